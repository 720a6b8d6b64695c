-- @title Memory that grows
-- @question Does the memory a process holds grow steadily, and how fast?
-- @requires tables=cuda_allocations,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMalloc*, cudaHostAlloc
-- @param min_changes INTEGER 20 calls [2..] -- only processes and kinds with at least this many allocations and frees
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column family - -- device, async (stream-ordered), managed or host (pinned)
-- @column changes calls -- Allocations and frees
-- @column held_bytes bytes -- Held at the last change
-- @column peak_bytes bytes -- Most held at one time
-- @column growth_bytes_per_s bytes/s -- Slope of the line through the held bytes of the second half
-- @column fit - -- How well that line fits, 0 to 1 (r squared)
-- @column grows - -- Whether the second half grows with a fit of at least 0.7
-- @sampling pairs
-- @fidelity heuristic -- A line through the held bytes after each change in the second half of the time between the first and last change. The first half is taken as warming up. Memory released without a recorded free counts as held.
-- @interpret grows: multiply growth_bytes_per_s with the time the program is to run, and compare with the free memory. alloc-sites shows
--   what is held. A caching allocator above (PyTorch) grows in steps and then stays.
-- @next alloc-sites, vram-timeline, torch-timeline
WITH changes AS (
  SELECT run_id, process_id, family, epoch_ns(allocated_at) AS at_ns, bytes::BIGINT AS delta FROM cuda_allocations WHERE bytes IS NOT NULL
  UNION ALL
  SELECT run_id, process_id, family, epoch_ns(ended_at), -bytes::BIGINT
  FROM cuda_allocations
  WHERE bytes IS NOT NULL AND ended_by IS NOT NULL
),
levels AS (
  SELECT
    *,
    sum(delta) OVER (PARTITION BY run_id, process_id, family ORDER BY at_ns, delta ROWS UNBOUNDED PRECEDING) AS level,
    min(at_ns) OVER (PARTITION BY run_id, process_id, family) AS from_ns,
    max(at_ns) OVER (PARTITION BY run_id, process_id, family) AS to_ns
  FROM changes
)
SELECT
  l.run_id,
  p.pid,
  p.comm AS process,
  l.family,
  count(*) AS changes,
  sum(l.delta)::BIGINT AS held_bytes,
  max(l.level)::BIGINT AS peak_bytes,
  round(regr_slope(l.level, (l.at_ns - l.from_ns) / 1e9) FILTER (2 * (l.at_ns - l.from_ns) >= l.to_ns - l.from_ns))::BIGINT
    AS growth_bytes_per_s,
  round(regr_r2(l.level, (l.at_ns - l.from_ns) / 1e9) FILTER (2 * (l.at_ns - l.from_ns) >= l.to_ns - l.from_ns), 3) AS fit,
  coalesce(growth_bytes_per_s > 0 AND fit >= 0.7, false) AS grows
FROM levels l
LEFT JOIN processes p ON p.run_id = l.run_id AND p.process_id = l.process_id
GROUP BY l.run_id, l.process_id, p.pid, p.comm, l.family
HAVING count(*) >= $min_changes
ORDER BY grows DESC, growth_bytes_per_s DESC NULLS LAST, l.run_id, p.pid, l.family
