-- @title What each thread does with its time
-- @question How is the time of each thread divided between launching, waiting, copying, memory management, other calls and the program itself?
-- @requires tables=cuda_events,threads,processes schema>=2
-- @packs cuda-runtime
-- @param min_calls INTEGER 10 calls [1..] -- only threads with at least this many calls
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the thread belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread
-- @column thread - -- Name of the thread
-- @column span_ns ns -- Time between its first and last recorded call
-- @column calls calls -- Calls
-- @column launch_pct % -- Part of the span in kernel and graph launches
-- @column wait_pct % -- Part in synchronizations
-- @column copy_pct % -- Part in copies and fills
-- @column memory_pct % -- Part in allocations and frees
-- @column other_pct % -- Part in other CUDA calls
-- @column outside_pct % -- Part in no CUDA call: the program itself, or waiting for something else
-- @sampling weighted
-- @fidelity derived -- Time in recorded calls by kind of operation; calls nested in calls of the same table would count twice and are left out. Sampled operations are scaled up.
-- @interpret A thread that feeds the GPU well waits for it (wait_pct) or launches. High outside_pct: the GPU starves, see launch-gaps.
--   High memory_pct: allocate once and reuse. High copy_pct: see blocking-copies and pageable-copies.
-- @next launch-gaps, sync-stalls, blocking-copies, alloc-churn
WITH calls AS (
  SELECT
    run_id, process_id, tid, sample_weight,
    epoch_ns(start_time) AS from_ns,
    coalesce(duration_ns, 0) AS ns,
    CASE
      WHEN op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch' THEN 'launch'
      WHEN op::VARCHAR LIKE '%Synchronize' THEN 'wait'
      WHEN op::VARCHAR LIKE 'cudaMemcpy%' OR op::VARCHAR LIKE 'cudaMemset%' THEN 'copy'
      WHEN op::VARCHAR LIKE 'cudaMalloc%' OR op::VARCHAR LIKE 'cudaFree%' OR op::VARCHAR LIKE 'cudaHost%' THEN 'memory'
      ELSE 'other'
    END AS kind
  FROM cuda_events
  WHERE ($pid IS NULL OR pid = $pid)
    AND (parent_id IS NULL OR NOT EXISTS (
      SELECT 1 FROM cuda_events o WHERE o.run_id = cuda_events.run_id AND o.call_id = cuda_events.parent_id
    ))
),
totals AS (
  SELECT
    run_id,
    process_id,
    tid,
    max(from_ns + ns) - min(from_ns) AS span_ns,
    sum(sample_weight)::BIGINT AS calls,
    coalesce(sum(ns * sample_weight) FILTER (kind = 'launch'), 0) AS launch_ns,
    coalesce(sum(ns * sample_weight) FILTER (kind = 'wait'), 0) AS wait_ns,
    coalesce(sum(ns * sample_weight) FILTER (kind = 'copy'), 0) AS copy_ns,
    coalesce(sum(ns * sample_weight) FILTER (kind = 'memory'), 0) AS memory_ns,
    coalesce(sum(ns * sample_weight) FILTER (kind = 'other'), 0) AS other_ns
  FROM calls
  GROUP BY run_id, process_id, tid
  HAVING count(*) >= $min_calls
)
SELECT
  t.run_id,
  p.pid,
  p.comm AS process,
  t.tid,
  n.thread,
  t.span_ns,
  t.calls,
  round(100 * launch_ns / nullif(span_ns, 0), 3) AS launch_pct,
  round(100 * wait_ns / nullif(span_ns, 0), 3) AS wait_pct,
  round(100 * copy_ns / nullif(span_ns, 0), 3) AS copy_pct,
  round(100 * memory_ns / nullif(span_ns, 0), 3) AS memory_pct,
  round(100 * other_ns / nullif(span_ns, 0), 3) AS other_pct,
  round(100 * greatest(span_ns - launch_ns - wait_ns - copy_ns - memory_ns - other_ns, 0) / nullif(span_ns, 0), 3) AS outside_pct
FROM totals t
LEFT JOIN processes p ON p.run_id = t.run_id AND p.process_id = t.process_id
LEFT JOIN (
  SELECT run_id, process_id, tid, any_value(name) AS thread FROM threads GROUP BY run_id, process_id, tid
) n ON n.run_id = t.run_id AND n.process_id = t.process_id AND n.tid = t.tid
ORDER BY t.span_ns DESC, t.run_id, p.pid, t.tid
