-- @title Cold start
-- @question How long does each process take from its start to its first call and its first kernel, and where does that time go?
-- @requires tables=capture,cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column started_at UTC -- When the process started; NULL when it had ended before it could be read
-- @column to_first_call_ns ns -- From the start of the process to its first CUDA call
-- @column to_first_launch_ns ns -- From its first CUDA call to its first kernel or graph launch
-- @column in_calls_ns ns -- Time in CUDA calls until that launch had returned
-- @column slowest_op - -- Operation of the longest of these calls
-- @column slowest_ns ns -- Time in that call
-- @column first_launch_ns ns -- Time in the first launch
-- @column usual_launch_ns ns -- Median of its other launches
-- @column before_recording - -- True when the process started before recording did: its first calls may not be here
-- @sampling pairs
-- @fidelity derived -- The first recorded call stands for the first call: true for a process that was started while recording.
-- @interpret The first CUDA call makes the context: hundreds of milliseconds are normal, seconds mean many devices or a driver without
--   persistence mode. A first launch of milliseconds loads code (lazy loading). Time between calls is the program's own: imports,
--   reading a model.
-- @next first-calls, cuda-api-trace
WITH calls AS (
  SELECT
    run_id, process_id, call_id, start_time, duration_ns, op::VARCHAR AS op, epoch_ns(start_time) AS at_ns,
    op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch' AS launches
  FROM cuda_events
),
firsts AS (
  SELECT
    run_id,
    process_id,
    min(at_ns) AS first_ns,
    min(at_ns) FILTER (launches) AS launch_ns,
    arg_min(duration_ns, (at_ns, call_id)) FILTER (launches) AS first_launch_ns
  FROM calls
  GROUP BY run_id, process_id
),
until AS (
  SELECT
    run_id,
    process_id,
    sum(c.duration_ns)::BIGINT AS in_calls_ns,
    arg_max(c.op, c.duration_ns) AS slowest_op,
    max(c.duration_ns) AS slowest_ns
  FROM calls c
  JOIN firsts f USING (run_id, process_id)
  WHERE c.at_ns <= coalesce(f.launch_ns, c.at_ns)
  GROUP BY run_id, process_id
),
usual AS (
  SELECT run_id, process_id, quantile_disc(c.duration_ns, 0.5) AS usual_launch_ns
  FROM calls c
  JOIN firsts f USING (run_id, process_id)
  WHERE c.launches AND c.at_ns > f.launch_ns
  GROUP BY run_id, process_id
)
SELECT
  run_id,
  p.pid,
  p.comm AS process,
  p.started_at,
  f.first_ns - epoch_ns(p.started_at) AS to_first_call_ns,
  f.launch_ns - f.first_ns AS to_first_launch_ns,
  n.in_calls_ns,
  n.slowest_op,
  n.slowest_ns,
  f.first_launch_ns,
  u.usual_launch_ns,
  p.started_at < (SELECT min(started_at) FROM capture c WHERE c.run_id = p.run_id) AS before_recording
FROM processes p
JOIN firsts f USING (run_id, process_id)
LEFT JOIN until n USING (run_id, process_id)
LEFT JOIN usual u USING (run_id, process_id)
ORDER BY run_id, p.first_seen, p.pid
