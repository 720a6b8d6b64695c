-- @title Allocations never freed
-- @question Which single allocations were still held when recording ended, largest first?
-- @requires tables=capture,cuda_allocations,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMalloc*, cudaHostAlloc
-- @param min_bytes BIGINT 0 bytes [0..] -- only allocations of at least this size
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the call belongs to
-- @column start_time UTC -- When it was allocated
-- @column age_ns ns -- Time it was held until recording ended; NULL when the recorder was cut off
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread that allocated it
-- @column op - -- Operation
-- @column bytes bytes -- Size asked for
-- @column ptr address -- Address (or array handle)
-- @column stack_id - -- Stack it was allocated from; NULL when none was taken
-- @column call_id - -- Identity of the call in its run
-- @sampling pairs
-- @fidelity derived -- An allocation counts as held until the next successful free of the same address in the same process, or until the address is handed out again. Memory released by cudaDeviceReset, by destroying a pool, or by the end of the process counts as held.
-- @interpret Old allocations of one size by one thread are the usual shape of a leak; the largest are often a cache or workspace
--   that is meant to live as long as the program.
-- @next alloc-sites, alloc-balance, alloc-growth
SELECT
  a.run_id,
  a.allocated_at AS start_time,
  epoch_ns(c.ended_at) - epoch_ns(a.allocated_at) AS age_ns,
  a.pid,
  p.comm AS process,
  a.tid,
  a.op,
  a.bytes,
  a.ptr,
  a.stack_id,
  a.call_id
FROM cuda_allocations a
JOIN capture c USING (run_id)
LEFT JOIN processes p ON p.run_id = a.run_id AND p.process_id = a.process_id
WHERE a.ended_by IS NULL AND coalesce(a.bytes, 0) >= $min_bytes
ORDER BY a.bytes DESC NULLS LAST, a.run_id, a.call_id
LIMIT $limit
