-- @title Copies that become slower
-- @question Do copies of one size take longer at the end of the run than at its beginning?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMemcpy*
-- @param min_copies INTEGER 30 calls [6..] -- only groups with at least this many copies
-- @param min_bytes BIGINT 65536 bytes [0..] -- only copies of at least this size
-- @column run_id - -- Run the copies belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column op - -- Operation
-- @column direction - -- Direction of the copies
-- @column size_bytes bytes -- Smallest size of the class; a class ends at twice its size
-- @column copies calls -- Successful copies
-- @column first_third_ns ns -- Median time in the call, first third of the copies
-- @column last_third_ns ns -- Median time in the call, last third
-- @column change x -- last_third_ns / first_third_ns
-- @sampling weighted
-- @fidelity heuristic -- Thirds are of the copies in order of time. A longer call is a slower link only when nothing else is queued before it.
-- @interpret A change of 2 and more over a run that repeats itself: a link that has trained down, a device that throttles, host memory on
--   another NUMA node, or more work queued before the copies. Compare with duration-drift: if all operations slow down, it is the host.
-- @next duration-drift, copy-timeline
WITH copies AS (
  SELECT
    run_id, process_id, op, kind,
    CASE WHEN bytes < 1 THEN 0 ELSE 1::BIGINT << floor(log2(bytes))::INTEGER END AS size_bytes,
    duration_ns, start_time, call_id, sample_weight
  FROM cuda_events
  WHERE op::VARCHAR LIKE 'cudaMemcpy%' AND status = 'ok' AND bytes >= $min_bytes
),
thirds AS (
  SELECT *, ntile(3) OVER (PARTITION BY run_id, process_id, op, kind, size_bytes ORDER BY start_time, call_id) AS third
  FROM copies
)
SELECT
  t.run_id,
  p.pid,
  p.comm AS process,
  t.op::VARCHAR AS op,
  t.kind::VARCHAR AS direction,
  t.size_bytes,
  sum(t.sample_weight)::BIGINT AS copies,
  quantile_disc(t.duration_ns, 0.5) FILTER (t.third = 1) AS first_third_ns,
  quantile_disc(t.duration_ns, 0.5) FILTER (t.third = 3) AS last_third_ns,
  round(last_third_ns / nullif(first_third_ns, 0), 2) AS change
FROM thirds t
LEFT JOIN processes p ON p.run_id = t.run_id AND p.process_id = t.process_id
GROUP BY t.run_id, t.process_id, p.pid, p.comm, t.op, t.kind, t.size_bytes
HAVING count(*) >= $min_copies
ORDER BY change DESC NULLS LAST, t.run_id, p.pid, op, direction, t.size_bytes
