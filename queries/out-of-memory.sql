-- @title Out of memory, and what came before
-- @question Which allocations ran out of memory, and what did the process call before each?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMalloc*, cudaHostAlloc
-- @param before INTEGER 10 calls [0..1000] -- show this many calls of the process before each failure
-- @param limit INTEGER 20 rows [0..] -- show at most this many failures
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column failure - -- Number of the failure in this result, in order of time
-- @column step - -- 0 is the failed allocation, -1 the call of the process before it, and so on
-- @column start_time UTC -- When the call was entered
-- @column tid - -- Thread
-- @column op - -- Operation
-- @column status - -- ok, error, or how the call ended
-- @column error - -- Name of the error
-- @column bytes bytes -- Size asked for, copied or filled
-- @column free_bytes bytes -- Free device memory the process was last told by cudaMemGetInfo; on the failed allocation only
-- @column total_bytes bytes -- Total device memory it was told
-- @column call_id - -- Identity of the call in its run
-- @sampling pairs
-- @fidelity exact -- Allocations that returned cudaErrorMemoryAllocation. What held the memory is told by vram-timeline and by-process.
-- @interpret A small request that fails means the device is full; a large one that fails with free_bytes above it means fragmentation,
--   or that the free memory is on another device. PyTorch empties its cache and tries again: see torch-out-of-memory.
-- @next vram-timeline, alloc-balance, torch-out-of-memory
WITH failures AS (
  SELECT run_id, process_id, start_time, call_id, row_number() OVER (ORDER BY start_time, run_id, call_id) AS failure
  FROM cuda_events
  WHERE error::VARCHAR = 'cudaErrorMemoryAllocation'
  QUALIFY failure <= $limit
),
steps AS (
  SELECT
    e.*,
    f.failure,
    1 - row_number() OVER (PARTITION BY f.failure ORDER BY e.start_time DESC, e.call_id DESC) AS step,
    last_value(e.free_bytes IGNORE NULLS) OVER earlier AS known_free,
    last_value(e.total_bytes IGNORE NULLS) OVER earlier AS known_total
  FROM failures f
  JOIN cuda_events e ON e.run_id = f.run_id AND e.process_id = f.process_id
    AND (e.start_time, e.call_id) <= (f.start_time, f.call_id)
  WINDOW earlier AS (PARTITION BY f.failure ORDER BY e.start_time, e.call_id ROWS UNBOUNDED PRECEDING)
)
SELECT
  s.run_id,
  s.pid,
  p.comm AS process,
  s.failure,
  s.step,
  s.start_time,
  s.tid,
  s.op::VARCHAR AS op,
  s.status::VARCHAR AS status,
  s.error::VARCHAR AS error,
  s.bytes,
  CASE WHEN s.step = 0 THEN s.known_free END AS free_bytes,
  CASE WHEN s.step = 0 THEN s.known_total END AS total_bytes,
  s.call_id
FROM steps s
LEFT JOIN processes p USING (run_id, process_id)
WHERE s.step >= -$before
ORDER BY s.failure, s.step
