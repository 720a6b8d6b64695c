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
WITH thirds AS MATERIALIZED (
  -- The first call of the last two thirds and of the last third begins no earlier than this.
  SELECT
    process_id,
    make_timestamp_ns(from_ns + (to_ns - from_ns + 2) // 3) AS first_end,
    make_timestamp_ns(from_ns + (2 * (to_ns - from_ns) + 2) // 3) AS last_start
  FROM (
    SELECT process_id, epoch_ns(min(start_time)) AS from_ns, epoch_ns(max(start_time)) + 1 AS to_ns
    FROM cuda_events
    GROUP BY process_id
  )
),
by_op AS (
  SELECT
    e.run_id,
    e.process_id,
    e.layer,
    e.op,
    count(*) AS calls,
    quantile_disc(e.duration_ns, 0.5) FILTER (e.start_time < t.first_end) AS first_third_ns,
    quantile_disc(e.duration_ns, 0.5) FILTER (e.start_time >= t.last_start) AS last_third_ns,
    coalesce(sum(e.duration_ns) FILTER (e.start_time >= t.last_start), 0)::BIGINT AS last_third_total_ns
  FROM cuda_events e
  JOIN thirds t ON t.process_id = e.process_id
  WHERE e.duration_ns IS NOT NULL
  GROUP BY e.run_id, e.process_id, e.layer, e.op
  HAVING count(*) >= $min_calls
)
SELECT
  b.run_id,
  p.pid,
  p.comm AS process,
  b.layer::VARCHAR AS layer,
  b.op::VARCHAR AS op,
  b.calls,
  b.first_third_ns,
  b.last_third_ns,
  round(b.last_third_ns / nullif(b.first_third_ns, 0), 2) AS change,
  b.last_third_total_ns
FROM by_op b
LEFT JOIN processes p ON p.run_id = b.run_id AND p.process_id = b.process_id
ORDER BY change DESC NULLS LAST, b.last_third_total_ns DESC, b.run_id, p.pid, b.op::VARCHAR
