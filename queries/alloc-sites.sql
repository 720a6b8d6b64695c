-- @title Leaks by size and site
-- @question Which places of the program allocate memory of which size, and how much of it is never freed?
-- @requires tables=call_sites,capture,cuda_allocations,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMalloc*, cudaHostAlloc
-- @param min_age_ms DOUBLE 0 ms [0..] -- count as held only what was allocated at least this long before the end
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the allocations belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread that allocated
-- @column site - -- Innermost function of the stack outside of the CUDA libraries, or its file; NULL without stacks
-- @column op - -- Operation
-- @column bytes bytes -- Size of one allocation
-- @column allocs calls -- Successful allocations of this size
-- @column held calls -- Those still held at the end
-- @column held_bytes bytes -- Their bytes
-- @column held_pct % -- Part of the allocations still held
-- @column first_time UTC -- First allocation still held
-- @column last_time UTC -- Last allocation still held
-- @sampling pairs
-- @fidelity derived -- Pairing as in alloc-leaks. Without stacks the site is the thread, operation and size, which tells most loops apart.
-- @interpret A leak grows steadily: many held allocations of one size, first_time to last_time over the whole run. A held_pct of 100 with
--   few allocations is start-up memory. Record with stacks to see the function.
-- @next alloc-leaks, alloc-growth
SELECT
  a.run_id,
  a.pid,
  p.comm AS process,
  a.tid,
  s.site,
  a.op,
  a.bytes,
  count(*) AS allocs,
  count(*) FILTER (a.is_held) AS held,
  coalesce(sum(a.bytes) FILTER (a.is_held), 0)::BIGINT AS held_bytes,
  round(100 * held / allocs, 1) AS held_pct,
  min(a.allocated_at) FILTER (a.is_held) AS first_time,
  max(a.allocated_at) FILTER (a.is_held) AS last_time
FROM (
  SELECT
    x.*,
    x.ended_by IS NULL
      AND ($min_age_ms = 0 OR coalesce(epoch_ns(c.ended_at) - epoch_ns(x.allocated_at) >= $min_age_ms * 1000000, true)) AS is_held
  FROM cuda_allocations x
  JOIN capture c USING (run_id)
) a
LEFT JOIN call_sites s USING (stack_id)
LEFT JOIN processes p ON p.run_id = a.run_id AND p.process_id = a.process_id
GROUP BY a.run_id, a.process_id, a.pid, p.comm, a.tid, s.site, a.op, a.bytes
ORDER BY held_bytes DESC, held DESC, allocs DESC, a.run_id, a.pid, a.tid, a.op, a.bytes
LIMIT $limit
