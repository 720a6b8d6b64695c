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
WITH calls AS (
  SELECT
    run_id, process_id, tid, call_id, epoch_ns(start_time) AS from_ns, epoch_ns(start_time) + coalesce(duration_ns, 0) AS to_ns,
    op::VARCHAR AS op
  FROM cuda_events
  WHERE $pid IS NULL OR pid = $pid
),
launches AS (
  SELECT
    run_id, process_id, tid, call_id, from_ns,
    lag(to_ns) OVER (PARTITION BY run_id, process_id ORDER BY from_ns, call_id) AS before_ns
  FROM calls
  WHERE op LIKE 'cudaLaunch%Kernel%' OR op = 'cudaGraphLaunch'
),
gaps AS MATERIALIZED (
  SELECT *, from_ns - before_ns AS gap_ns
  FROM launches
  WHERE from_ns - before_ns >= $min_ms * 1000000
  ORDER BY from_ns - before_ns DESC, call_id
  LIMIT $limit
),
-- Calls of the thread that ends the pause, cut to it.
parts AS (
  SELECT
    g.run_id, g.process_id, g.call_id, c.op,
    least(c.to_ns, g.from_ns) - greatest(c.from_ns, g.before_ns) AS part_ns
  FROM gaps g
  JOIN calls c ON c.run_id = g.run_id AND c.process_id = g.process_id AND c.tid = g.tid
    AND c.from_ns < g.from_ns AND c.to_ns > g.before_ns
),
filled AS (
  SELECT
    run_id,
    call_id,
    coalesce(sum(part_ns) FILTER (op LIKE '%Synchronize'), 0) AS sync_part,
    coalesce(sum(part_ns) FILTER (op LIKE 'cudaMemcpy%' OR op LIKE 'cudaMemset%'), 0) AS copy_part,
    sum(part_ns) AS calls_ns,
    arg_max(op, part_ns) AS longest_call,
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
