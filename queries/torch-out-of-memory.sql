-- @title PyTorch out of memory
-- @question Which allocations of PyTorch ran out of memory, what was held then, and which allocations came before?
-- @requires tables=torch_alloc_events,processes schema>=2
-- @packs pytorch-allocator
-- @param before INTEGER 10 calls [0..1000] -- show this many allocations of the device before each failure
-- @param limit INTEGER 20 rows [0..] -- show at most this many failures
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column device - -- Device
-- @column failure - -- Number of the failure in this result, in order of time
-- @column step - -- 0 is the failure, -1 the allocation or free before it, and so on
-- @column start_time UTC -- When it happened
-- @column tid - -- Thread
-- @column event - -- out of memory, alloc, free; or what became of a segment of the device's memory: segment alloc, segment free, segment map, segment unmap
-- @column bytes bytes -- Asked for, allocated or freed; size of the segment
-- @column allocated_bytes bytes -- Used by tensors after it
-- @column reserved_bytes bytes -- Held by the allocator after it
-- @column unused_bytes bytes -- Held and not used
-- @sampling pairs
-- @fidelity exact -- As the allocator reports it. It reports after it has freed its cache and tried again.
-- @interpret A request smaller than unused_bytes fails for fragmentation: see torch-fragmentation. Where reserved_bytes is far below the
--   device's memory another process or library holds the rest: see by-process and memory-info.
-- @next torch-fragmentation, out-of-memory, memory-info
WITH failures AS (
  SELECT run_id, process_id, device, start_time, call_id, row_number() OVER (ORDER BY start_time, run_id, call_id) AS failure
  FROM torch_alloc_events
  WHERE requested_bytes IS NOT NULL
  QUALIFY failure <= $limit
),
steps AS (
  SELECT e.*, f.failure, 1 - row_number() OVER (PARTITION BY f.failure ORDER BY e.start_time DESC, e.call_id DESC) AS step
  FROM failures f
  JOIN torch_alloc_events e ON e.run_id = f.run_id AND e.process_id = f.process_id AND e.device IS NOT DISTINCT FROM f.device
    AND (e.start_time, e.call_id) <= (f.start_time, f.call_id)
)
SELECT
  s.run_id,
  s.pid,
  p.comm AS process,
  s.device,
  s.failure,
  s.step,
  s.start_time,
  s.tid,
  CASE
    WHEN s.requested_bytes IS NOT NULL THEN 'out of memory'
    WHEN s.action IS NOT NULL THEN replace(s.action::VARCHAR, '_', ' ')
    WHEN s.delta_bytes < 0 THEN 'free'
    ELSE 'alloc'
  END AS event,
  coalesce(s.requested_bytes, abs(s.delta_bytes), s.segment_bytes) AS bytes,
  s.allocated_bytes,
  s.reserved_bytes,
  s.reserved_bytes::BIGINT - s.allocated_bytes::BIGINT AS unused_bytes
FROM steps s
LEFT JOIN processes p ON p.run_id = s.run_id AND p.process_id = s.process_id
WHERE s.step >= -$before
ORDER BY s.failure, s.step
