-- @title Waiting for the GPU
-- @question Where do host threads wait for the GPU, for how long, and for what part of their time?
-- @requires tables=cuda_events schema>=1
-- @param min_ms DOUBLE 0 ms -- count only waits that took at least this long
-- @column pid - -- Process
-- @column tid - -- Thread
-- @column op - -- Synchronizing operation
-- @column stream address -- Stream waited for; NULL when the call names none
-- @column calls calls -- Waits
-- @column unfinished calls -- Waits that were not seen to end (see in-flight-calls)
-- @column total_ns ns -- Time waited
-- @column avg_ns ns -- Mean wait
-- @column max_ns ns -- Longest wait
-- @column share_pct % -- Part of the thread's time between its first and last recorded call
-- @fidelity exact -- Time in calls that only wait. Blocking copies wait too and are left to slow-memcpy.
-- @interpret A training loop that waits in cudaStreamSynchronize or cudaDeviceSynchronize for most of its time is bound by the GPU,
--   which is good, or serialized by reading a result (.item(), print) every step, which is not: compare with launch-rate. Many
--   short waits hint at a synchronization inside a loop.
-- @next launch-rate, slow-memcpy, in-flight-calls
-- @nsys cuda_api_sync
WITH spans AS (
  SELECT pid, tid, max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)) AS span_ns
  FROM cuda_events
  GROUP BY pid, tid
)
SELECT
  e.pid,
  e.tid,
  e.op::VARCHAR AS op,
  e.stream,
  count(*) AS calls,
  count(*) FILTER (e.duration_ns IS NULL) AS unfinished,
  coalesce(sum(e.duration_ns), 0)::BIGINT AS total_ns,
  round(avg(e.duration_ns))::BIGINT AS avg_ns,
  max(e.duration_ns) AS max_ns,
  round(100 * coalesce(sum(e.duration_ns), 0) / nullif(any_value(s.span_ns), 0), 3) AS share_pct
FROM cuda_events e
JOIN spans s USING (pid, tid)
WHERE e.op::VARCHAR IN ('cudaDeviceSynchronize', 'cudaStreamSynchronize', 'cudaEventSynchronize', 'cudaThreadSynchronize')
  AND (e.duration_ns IS NULL OR e.duration_ns >= $min_ms * 1000000)
GROUP BY e.pid, e.tid, e.op, e.stream
ORDER BY total_ns DESC, calls DESC, e.pid, e.tid, op, e.stream
