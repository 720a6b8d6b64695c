-- @title Operations that become slower
-- @question Does an operation take longer at the end of the run than at its beginning?
-- @requires tables=events,processes schema>=2
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
WITH spans AS (
  SELECT run_id, process_id, min(epoch_ns(start_time)) AS from_ns, max(epoch_ns(start_time)) + 1 AS to_ns
  FROM events
  GROUP BY run_id, process_id
)
SELECT
  e.run_id,
  p.pid,
  p.comm AS process,
  e.layer,
  e.op,
  count(*) AS calls,
  quantile_disc(e.duration_ns, 0.5) FILTER (3 * (epoch_ns(e.start_time) - s.from_ns) < s.to_ns - s.from_ns) AS first_third_ns,
  quantile_disc(e.duration_ns, 0.5) FILTER (3 * (epoch_ns(e.start_time) - s.from_ns) >= 2 * (s.to_ns - s.from_ns)) AS last_third_ns,
  round(last_third_ns / nullif(first_third_ns, 0), 2) AS change,
  coalesce(sum(e.duration_ns) FILTER (3 * (epoch_ns(e.start_time) - s.from_ns) >= 2 * (s.to_ns - s.from_ns)), 0)::BIGINT
    AS last_third_total_ns
FROM events e
JOIN spans s ON s.run_id = e.run_id AND s.process_id = e.process_id
LEFT JOIN processes p ON p.run_id = e.run_id AND p.process_id = e.process_id
WHERE e.duration_ns IS NOT NULL
GROUP BY e.run_id, e.process_id, p.pid, p.comm, e.layer, e.op
HAVING count(*) >= $min_calls
ORDER BY change DESC NULLS LAST, last_third_total_ns DESC, e.run_id, p.pid, e.op
