-- @title Life of executable graphs
-- @question How often is each CUDA graph instantiated, updated, launched and destroyed, and which are never launched?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaGraph*
-- @column run_id - -- Run the graph belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column graph_exec address -- Executable graph handle
-- @column instantiated_at UTC -- When it was instantiated; NULL when that was not seen
-- @column instantiate_ns ns -- Time in that call
-- @column uploads calls -- Uploads
-- @column updates calls -- Successful updates
-- @column failed_updates calls -- Updates that returned an error: the program usually instantiates anew
-- @column launches calls -- Launches
-- @column launch_ns ns -- Host time in the launches
-- @column first_launch_ns ns -- Time in the first launch
-- @column p50_launch_ns ns -- Median launch
-- @column last_launch UTC -- Last launch
-- @column destroyed_at UTC -- When it was destroyed; NULL when it was not
-- @column verdict - -- never launched, launched once, reused
-- @sampling pairs
-- @fidelity derived -- Calls of one handle in one process between its instantiation and its destruction; a handle that is used again is another row.
-- @interpret A graph pays off when it is launched many times: many rows with "launched once" or "never launched" are graphs that are
--   captured again and again (changing shapes). See graph-captures for what the captures cost.
-- @next graph-captures, launch-rate
WITH calls AS (
  SELECT
    run_id, process_id, graph_exec, call_id, start_time, duration_ns, status, sample_weight, op::VARCHAR AS op,
    op::VARCHAR LIKE 'cudaGraphInstantiate%' AS begins
  FROM cuda_events
  WHERE graph_exec IS NOT NULL AND graph_exec <> 0
    AND (op::VARCHAR NOT LIKE 'cudaGraphInstantiate%' OR status = 'ok')
),
lives AS (
  SELECT *, sum(begins::INTEGER) OVER (PARTITION BY run_id, process_id, graph_exec ORDER BY start_time, call_id) AS life
  FROM calls
)
SELECT
  l.run_id,
  p.pid,
  p.comm AS process,
  l.graph_exec,
  min(l.start_time) FILTER (l.begins) AS instantiated_at,
  min(l.duration_ns) FILTER (l.begins) AS instantiate_ns,
  count(*) FILTER (l.op = 'cudaGraphUpload') AS uploads,
  count(*) FILTER (l.op = 'cudaGraphExecUpdate' AND l.status = 'ok') AS updates,
  count(*) FILTER (l.op = 'cudaGraphExecUpdate' AND l.status = 'error') AS failed_updates,
  coalesce(sum(l.sample_weight) FILTER (l.op = 'cudaGraphLaunch'), 0)::BIGINT AS launches,
  coalesce(sum(l.duration_ns * l.sample_weight) FILTER (l.op = 'cudaGraphLaunch'), 0)::BIGINT AS launch_ns,
  arg_min(l.duration_ns, (l.start_time, l.call_id)) FILTER (l.op = 'cudaGraphLaunch') AS first_launch_ns,
  quantile_disc(l.duration_ns, 0.5) FILTER (l.op = 'cudaGraphLaunch') AS p50_launch_ns,
  max(l.start_time) FILTER (l.op = 'cudaGraphLaunch') AS last_launch,
  max(l.start_time) FILTER (l.op = 'cudaGraphExecDestroy' AND l.status = 'ok') AS destroyed_at,
  CASE launches WHEN 0 THEN 'never launched' WHEN 1 THEN 'launched once' ELSE 'reused' END AS verdict
FROM lives l
LEFT JOIN processes p ON p.run_id = l.run_id AND p.process_id = l.process_id
GROUP BY l.run_id, l.process_id, p.pid, p.comm, l.graph_exec, l.life
ORDER BY instantiated_at NULLS FIRST, l.run_id, p.pid, l.graph_exec, l.life
