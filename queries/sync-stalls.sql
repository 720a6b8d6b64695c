-- @title Waiting for the GPU
-- @question Where do host threads wait for the GPU, for how long, and for what part of their time?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @ops cuda*Synchronize
-- @param min_ms DOUBLE 0 ms [0..] -- count only waits that took at least this long
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the calls belong to
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
-- @sampling weighted
-- @fidelity exact -- Time in calls that only wait. Blocking copies wait too and are left to blocking-copies.
-- @interpret A training loop that waits in cudaStreamSynchronize or cudaDeviceSynchronize for most of its time is bound by the GPU,
--   which is good, or serialized by reading a result (.item(), print) every step, which is not: compare with launch-gaps. Many
--   short waits hint at a synchronization inside a loop.
-- @next launch-gaps, blocking-copies, event-waits, in-flight-calls
-- @nsys cuda_api_sync
WITH spans AS (
  SELECT run_id, process_id, tid, max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)) AS span_ns
  FROM cuda_events
  GROUP BY run_id, process_id, tid
)
SELECT
  e.run_id,
  e.pid,
  e.tid,
  e.op::VARCHAR AS op,
  e.stream,
  sum(e.sample_weight)::BIGINT AS calls,
  coalesce(sum(e.sample_weight) FILTER (e.duration_ns IS NULL), 0)::BIGINT AS unfinished,
  coalesce(sum(e.duration_ns * e.sample_weight), 0)::BIGINT AS total_ns,
  round(total_ns / nullif(sum(e.sample_weight) FILTER (e.duration_ns IS NOT NULL), 0))::BIGINT AS avg_ns,
  max(e.duration_ns) AS max_ns,
  round(100 * total_ns / nullif(any_value(s.span_ns), 0), 3) AS share_pct
FROM cuda_events e
JOIN spans s ON s.run_id = e.run_id AND s.process_id = e.process_id AND s.tid = e.tid
WHERE e.op::VARCHAR IN ('cudaDeviceSynchronize', 'cudaStreamSynchronize', 'cudaEventSynchronize', 'cudaThreadSynchronize')
  AND (e.duration_ns IS NULL OR e.duration_ns >= $min_ms * 1000000)
  AND ($pid IS NULL OR e.pid = $pid)
GROUP BY e.run_id, e.process_id, e.pid, e.tid, e.op, e.stream
ORDER BY total_ns DESC, calls DESC, e.run_id, e.pid, e.tid, op, e.stream
