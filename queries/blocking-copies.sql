-- @title Copies and fills that block
-- @question Which blocking copies and fills stop the host, in which thread, and for what part of its time?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMemcpy*, cudaMemset*
-- @param min_us DOUBLE 0 us [0..] -- count only calls that took at least this long
-- @column run_id - -- Run the calls belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread
-- @column op - -- Operation
-- @column direction - -- Direction of a copy
-- @column calls calls -- Calls
-- @column bytes bytes -- Bytes copied or filled
-- @column total_ns ns -- Time in the calls
-- @column share_pct % -- Part of the thread's time between its first and last recorded call
-- @column p50_ns ns -- Median
-- @column max_ns ns -- Longest
-- @sampling weighted
-- @fidelity exact -- Time in operations without Async in their name. A fill of device memory may return before it is done, and a small copy to the device may too.
-- @interpret Each of these waits for everything queued before on its stream. A high share: use the Async form with pinned memory and
--   its own stream, or copy less often (.item(), .cpu() and print of a tensor are such copies).
-- @next slow-memcpy, sync-stalls, time-breakdown
-- @nsys cuda_memcpy_sync, cuda_memset_sync
WITH spans AS (
  SELECT run_id, process_id, tid, max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)) AS span_ns
  FROM cuda_events
  GROUP BY run_id, process_id, tid
)
SELECT
  e.run_id,
  p.pid,
  p.comm AS process,
  e.tid,
  e.op::VARCHAR AS op,
  e.kind::VARCHAR AS direction,
  sum(e.sample_weight)::BIGINT AS calls,
  coalesce(sum(e.bytes * e.sample_weight) FILTER (e.status = 'ok'), 0)::BIGINT AS bytes,
  coalesce(sum(e.duration_ns * e.sample_weight), 0)::BIGINT AS total_ns,
  round(100 * total_ns / nullif(any_value(s.span_ns), 0), 3) AS share_pct,
  quantile_disc(e.duration_ns, 0.5) AS p50_ns,
  max(e.duration_ns) AS max_ns
FROM cuda_events e
JOIN spans s ON s.run_id = e.run_id AND s.process_id = e.process_id AND s.tid = e.tid
LEFT JOIN processes p ON p.run_id = e.run_id AND p.process_id = e.process_id
WHERE (e.op::VARCHAR LIKE 'cudaMemcpy%' OR e.op::VARCHAR LIKE 'cudaMemset%')
  AND e.op::VARCHAR NOT LIKE '%Async%'
  AND e.duration_ns >= $min_us * 1000
GROUP BY e.run_id, e.process_id, p.pid, p.comm, e.tid, e.op, e.kind
ORDER BY run_id, total_ns DESC, p.pid, e.tid, op, direction
