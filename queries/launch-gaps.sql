-- @title Pauses between launches
-- @question When does a process launch nothing for long, and what does it do meanwhile?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaLaunch*Kernel*, cudaGraphLaunch
-- @param min_ms DOUBLE 10 ms [0..] -- only pauses of at least this length
-- @param pid INTEGER null - [1..] -- only this process
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column gap_start UTC -- When the last launch before the pause had returned
-- @column gap_ns ns -- Time until the next launch
-- @column sync_ns ns -- Part of it in which the launching thread waited for the GPU
-- @column copy_ns ns -- Part of it in copies and fills of that thread
-- @column other_calls_ns ns -- Part of it in other CUDA calls of that thread
-- @column outside_ns ns -- Part of it in no recorded call of that thread: the program itself
-- @column longest_call - -- Operation of the longest call in the pause
-- @column reason - -- What took most of it: sync, copy, other calls, or outside
-- @column calls calls -- Calls of that thread in the pause
-- @column next_call_id - -- call_id of the launch that ends the pause
-- @sampling pairs
-- @fidelity proxy -- A process that launches nothing may keep the GPU busy with what it has queued: a pause in sync is the GPU working. A pause outside of calls is an idle GPU once the queue is empty.
-- @interpret reason outside: data loading, tokenization, network, Python. reason sync followed by outside: the program waits for a
--   result before it prepares the next step; prepare it meanwhile. Pauses of a service between requests are no loss.
-- @next time-breakdown, sync-stalls, cuda-api-trace
-- @nsys gpu_gaps
WITH slices AS (
  -- Two launches that begin in one slice as long as the shortest pause have none between them: its first and last matter.
  SELECT
    process_id,
    epoch_ns(start_time) // greatest(1, floor($min_ms * 1000000))::BIGINT AS slice,
    min(start_time) AS first_time,
    max(start_time) AS last_time
  FROM cuda_events
  WHERE (op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch') AND ($pid IS NULL OR pid = $pid)
  GROUP BY process_id, slice
),
pauses AS (
  SELECT process_id, first_time AS next_time, lag(last_time) OVER (PARTITION BY process_id ORDER BY slice) AS before_time
  FROM slices
  QUALIFY epoch_ns(next_time) - epoch_ns(before_time) >= $min_ms * 1000000
),
edges AS MATERIALIZED (
  SELECT process_id, next_time, unnest([before_time, next_time]) AS edge_time FROM pauses
),
gaps AS MATERIALIZED (
  SELECT
    l.run_id,
    l.process_id,
    epoch_ns(x.next_time) AS from_ns,
    min(l.call_id) FILTER (l.start_time = x.next_time) AS call_id,
    arg_min(l.tid, l.call_id) FILTER (l.start_time = x.next_time) AS tid,
    arg_max(epoch_ns(l.start_time) + coalesce(l.duration_ns, 0), l.call_id) FILTER (l.start_time < x.next_time) AS before_ns,
    from_ns - before_ns AS gap_ns
  FROM edges x
  JOIN cuda_events l ON l.process_id = x.process_id AND l.start_time = x.edge_time
  WHERE l.op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR l.op::VARCHAR = 'cudaGraphLaunch'
  GROUP BY l.run_id, l.process_id, x.next_time
  HAVING gap_ns >= $min_ms * 1000000
  ORDER BY gap_ns DESC, call_id
  LIMIT $limit
),
-- A call that reaches into a pause begins at most one step before it, or takes longer than a step.
steps AS MATERIALIZED (
  SELECT greatest(1, min(gap_ns), max(gap_ns) // 1000) AS step_ns FROM gaps
),
near AS (
  SELECT DISTINCT unnest(range(before_ns // step_ns - 1, from_ns // step_ns + 1)) AS step FROM gaps CROSS JOIN steps
),
calls AS (
  SELECT process_id, tid, op, epoch_ns(start_time) AS from_ns, epoch_ns(start_time) + coalesce(duration_ns, 0) AS to_ns
  FROM cuda_events
  WHERE epoch_ns(start_time) // (SELECT step_ns FROM steps) IN (SELECT step FROM near) OR duration_ns >= (SELECT step_ns FROM steps)
),
-- Calls of the thread that ends the pause, cut to it.
parts AS (
  SELECT g.run_id, g.call_id, c.op, least(c.to_ns, g.from_ns) - greatest(c.from_ns, g.before_ns) AS part_ns
  FROM gaps g
  JOIN calls c ON c.process_id = g.process_id AND c.tid = g.tid AND c.from_ns < g.from_ns AND c.to_ns > g.before_ns
),
filled AS (
  SELECT
    run_id,
    call_id,
    coalesce(sum(part_ns) FILTER (op::VARCHAR LIKE '%Synchronize'), 0) AS sync_part,
    coalesce(sum(part_ns) FILTER (op::VARCHAR LIKE 'cudaMemcpy%' OR op::VARCHAR LIKE 'cudaMemset%'), 0) AS copy_part,
    sum(part_ns) AS calls_ns,
    arg_max(op::VARCHAR, part_ns) AS longest_call,
    count(*) AS calls
  FROM parts
  GROUP BY run_id, call_id
)
SELECT
  g.run_id,
  p.pid,
  p.comm AS process,
  make_timestamp_ns(g.before_ns) AS gap_start,
  g.gap_ns,
  coalesce(f.sync_part, 0)::BIGINT AS sync_ns,
  coalesce(f.copy_part, 0)::BIGINT AS copy_ns,
  coalesce(f.calls_ns - f.sync_part - f.copy_part, 0)::BIGINT AS other_calls_ns,
  greatest(g.gap_ns - coalesce(f.calls_ns, 0), 0)::BIGINT AS outside_ns,
  f.longest_call,
  CASE greatest(sync_ns, copy_ns, other_calls_ns, outside_ns)
    WHEN sync_ns THEN 'sync'
    WHEN copy_ns THEN 'copy'
    WHEN other_calls_ns THEN 'other calls'
    ELSE 'outside'
  END AS reason,
  coalesce(f.calls, 0) AS calls,
  g.call_id AS next_call_id
FROM gaps g
LEFT JOIN filled f ON f.run_id = g.run_id AND f.call_id = g.call_id
LEFT JOIN processes p ON p.run_id = g.run_id AND p.process_id = g.process_id
ORDER BY g.gap_ns DESC, g.run_id, g.call_id
