-- @title CUDA API summary
-- @question Which CUDA runtime calls take the host's time, and how are their durations spread?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the calls belong to
-- @column op - -- Operation (the C function)
-- @column calls calls -- Calls
-- @column errors calls -- Calls that returned an error
-- @column unfinished calls -- Calls that were not seen to return (in flight at the end, thread exited, unwound)
-- @column total_ns ns -- Time in the call, all calls together
-- @column share_pct % -- Part of the time of all operations of the run
-- @column avg_ns ns -- Mean time in the call
-- @column p50_ns ns -- Half of the calls took no longer
-- @column p90_ns ns -- 90 % of the calls took no longer
-- @column p99_ns ns -- 99 % of the calls took no longer
-- @column max_ns ns -- Longest call
-- @sampling weighted
-- @fidelity exact -- Host time between entry and return of every recorded call; calls that did not return count as calls and add no time. Quantiles are of the recorded calls.
-- @interpret High total_ns in cudaStreamSynchronize, cudaDeviceSynchronize or cudaMemcpy is the host waiting for the GPU: see sync-stalls.
--   A p99_ns far above p50_ns is an occasional stall: see tail-latency. Totals of several threads can exceed the wall time.
-- @next time-breakdown, sync-stalls, slow-memcpy, api-errors
-- @nsys cuda_api_sum
SELECT
  run_id,
  op::VARCHAR AS op,
  sum(sample_weight)::BIGINT AS calls,
  coalesce(sum(sample_weight) FILTER (status = 'error'), 0)::BIGINT AS errors,
  coalesce(sum(sample_weight) FILTER (duration_ns IS NULL AND status <> 'entry'), 0)::BIGINT AS unfinished,
  coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS total_ns,
  round(100 * total_ns / nullif(sum(total_ns) OVER (PARTITION BY run_id), 0), 3) AS share_pct,
  round(total_ns / nullif(sum(sample_weight) FILTER (duration_ns IS NOT NULL), 0))::BIGINT AS avg_ns,
  quantile_disc(duration_ns, [0.5, 0.9, 0.99])[1] AS p50_ns,
  quantile_disc(duration_ns, [0.5, 0.9, 0.99])[2] AS p90_ns,
  quantile_disc(duration_ns, [0.5, 0.9, 0.99])[3] AS p99_ns,
  max(duration_ns) AS max_ns
FROM cuda_events
WHERE $pid IS NULL OR pid = $pid
GROUP BY run_id, op
ORDER BY run_id, total_ns DESC, calls DESC, op
