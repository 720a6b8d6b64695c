-- @title Operations that become slower
-- @question Does an operation take longer at the end of the run than at its beginning?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @param min_calls INTEGER 300 calls [6..] -- only operations a process called at least this often
-- @column run_id - -- Run the calls belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column layer - -- Layer of the operation
-- @column op - -- Operation
-- @column calls calls -- Recorded calls that returned
-- @column first_third_ns ns -- Median in the first third of the process's recorded time
-- @column last_third_ns ns -- Median in the last third
-- @column change x -- last_third_ns / first_third_ns
-- @column last_third_total_ns ns -- Time in the calls of the last third
-- @sampling rows
-- @fidelity heuristic -- Thirds are of the time between the first and last call of the process. Another phase of the program (evaluation, larger batches) also changes durations.
-- @interpret All synchronizations and copies slower while launches stay: the GPU does more or runs slower (throttling). Everything slower,
--   launches too: the host (CPU frequency, neighbours). Check with nvidia-smi -q -d CLOCK,PERFORMANCE.
-- @next memcpy-drift, launch-rate, contention
WITH spans AS MATERIALIZED (
  SELECT run_id, process_id, min(epoch_ns(start_time)) AS from_ns, max(epoch_ns(start_time)) + 1 AS to_ns
  FROM cuda_events
  GROUP BY run_id, process_id
),
-- 0, 1 or 2: the third of its process's time a call began in.
thirds AS (
  SELECT e.run_id, e.process_id, e.layer::VARCHAR AS layer, e.op::VARCHAR AS op, e.duration_ns, 3 * (epoch_ns(e.start_time) - s.from_ns) // (s.to_ns - s.from_ns) AS third
  FROM cuda_events e
  JOIN spans s ON s.run_id = e.run_id AND s.process_id = e.process_id
  WHERE e.duration_ns IS NOT NULL
),
per_third AS (
  SELECT
    run_id, process_id, layer, op, third,
    count(*) AS calls,
    CASE WHEN third <> 1 THEN quantile_disc(duration_ns, 0.5) END AS p50_ns,
    sum(duration_ns) AS total_ns
  FROM thirds
  GROUP BY run_id, process_id, layer, op, third
)
SELECT
  t.run_id,
  p.pid,
  p.comm AS process,
  t.layer,
  t.op,
  sum(t.calls)::BIGINT AS calls,
  max(t.p50_ns) FILTER (t.third = 0) AS first_third_ns,
  max(t.p50_ns) FILTER (t.third = 2) AS last_third_ns,
  round(last_third_ns / nullif(first_third_ns, 0), 2) AS change,
  coalesce(max(t.total_ns) FILTER (t.third = 2), 0)::BIGINT AS last_third_total_ns
FROM per_third t
LEFT JOIN processes p ON p.run_id = t.run_id AND p.process_id = t.process_id
GROUP BY t.run_id, t.process_id, p.pid, p.comm, t.layer, t.op
HAVING sum(t.calls) >= $min_calls
ORDER BY change DESC NULLS LAST, last_third_total_ns DESC, t.run_id, p.pid, t.op
