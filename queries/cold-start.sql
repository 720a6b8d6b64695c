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
WITH by_op AS (
  SELECT
    run_id,
    process_id,
    op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch' AS launches,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    min(start_time) FILTER (duration_ns IS NOT NULL) AS first_returned
  FROM cuda_events
  GROUP BY run_id, process_id, op
),
firsts AS (
  SELECT
    run_id,
    process_id,
    min(first_time) AS first_time,
    min(first_time) FILTER (launches) AS launch_time,
    min(first_returned) FILTER (launches) AS returned_time,
    -- Of a process without a launch, all its calls.
    coalesce(launch_time, max(last_time)) AS until_time
  FROM by_op
  GROUP BY run_id, process_id
),
until AS (
  SELECT
    e.run_id,
    e.process_id,
    sum(e.duration_ns)::BIGINT AS in_calls_ns,
    arg_max(e.op, e.duration_ns) AS slowest_op,
    max(e.duration_ns) AS slowest_ns
  FROM cuda_events e
  JOIN firsts f ON f.process_id = e.process_id
  -- The first condition is for speed: it lets most of the file go unread.
  WHERE e.start_time <= (SELECT max(until_time) FROM firsts) AND e.start_time <= f.until_time
  GROUP BY e.run_id, e.process_id
),
usual AS (
  SELECT
    e.run_id,
    e.process_id,
    arg_min(e.duration_ns, e.call_id) FILTER (e.start_time = f.returned_time) AS first_launch_ns,
    quantile_disc(e.duration_ns, 0.5) FILTER (e.start_time > f.launch_time) AS usual_launch_ns
  FROM cuda_events e
  JOIN firsts f ON f.process_id = e.process_id
  WHERE e.op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR e.op::VARCHAR = 'cudaGraphLaunch'
  GROUP BY e.run_id, e.process_id
)
SELECT
  run_id,
  p.pid,
  p.comm AS process,
  p.started_at,
  epoch_ns(f.first_time) - epoch_ns(p.started_at) AS to_first_call_ns,
  epoch_ns(f.launch_time) - epoch_ns(f.first_time) AS to_first_launch_ns,
  n.in_calls_ns,
  n.slowest_op::VARCHAR AS slowest_op,
  n.slowest_ns,
  u.first_launch_ns,
  u.usual_launch_ns,
  p.started_at < (SELECT min(started_at) FROM capture c WHERE c.run_id = p.run_id) AS before_recording
FROM processes p
JOIN firsts f USING (run_id, process_id)
LEFT JOIN until n USING (run_id, process_id)
LEFT JOIN usual u USING (run_id, process_id)
ORDER BY run_id, p.first_seen, p.pid
