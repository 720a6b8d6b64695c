-- @title CUDA API summary
-- @question Which CUDA runtime calls take the host's time, and how are their durations spread?
-- @requires tables=cuda_events schema>=1
-- @param pid INTEGER null - -- only this process
-- @column op - -- Operation (the C function)
-- @column calls calls -- Calls recorded
-- @column errors calls -- Calls that returned an error
-- @column unfinished calls -- Calls that were not seen to return (in flight at the end, thread exited, unwound)
-- @column total_ns ns -- Time in the call, all calls together
-- @column share_pct % -- Part of the time of all operations
-- @column avg_ns ns -- Mean time in the call
-- @column p50_ns ns -- Half of the calls took no longer
-- @column p90_ns ns -- 90 % of the calls took no longer
-- @column p99_ns ns -- 99 % of the calls took no longer
-- @column max_ns ns -- Longest call
-- @fidelity exact -- Host time between entry and return of every recorded call; calls that did not return count as calls and add no time.
-- @interpret A high share of synchronizing calls (cudaDeviceSynchronize, cudaStreamSynchronize, cudaMemcpy) means the host waits for
--   the GPU: see sync-stalls. A p99 far above p50 points at single slow calls rather than at steady cost. Nested calls count in both.
-- @next sync-stalls, slow-memcpy, api-errors
-- @nsys cuda_api_sum
SELECT
  op::VARCHAR AS op,
  count(*) AS calls,
  count(*) FILTER (status = 'error') AS errors,
  count(*) FILTER (duration_ns IS NULL AND status <> 'entry') AS unfinished,
  coalesce(sum(duration_ns), 0)::BIGINT AS total_ns,
  round(100 * coalesce(sum(duration_ns), 0) / nullif(sum(sum(duration_ns)) OVER (), 0), 3) AS share_pct,
  round(avg(duration_ns))::BIGINT AS avg_ns,
  quantile_disc(duration_ns, 0.5) AS p50_ns,
  quantile_disc(duration_ns, 0.9) AS p90_ns,
  quantile_disc(duration_ns, 0.99) AS p99_ns,
  max(duration_ns) AS max_ns
FROM cuda_events
WHERE $pid IS NULL OR pid = $pid
GROUP BY op
ORDER BY total_ns DESC, calls DESC, op
