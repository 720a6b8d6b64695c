-- @title Slowest copies
-- @question Which single copies kept the host waiting longest, and at what rate did they move data?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @ops cudaMemcpy*
-- @param min_ms DOUBLE 0.1 ms [0..] -- only copies that took at least this long
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the copy belongs to
-- @column start_time UTC -- When the copy was called
-- @column op - -- Operation
-- @column direction - -- h2d, d2h, d2d, h2h, or default (told from the addresses)
-- @column bytes bytes -- Size of the copy
-- @column duration_ns ns -- Time in the call
-- @column gb_per_s GB/s -- bytes / duration of a copy that returns when it is done; NULL for asynchronous ones
-- @column stream address -- Stream handle; 0 is the legacy default stream
-- @column status - -- ok, error, or how the call ended
-- @column pid - -- Process
-- @column tid - -- Thread
-- @column call_id - -- Identity of the call in its run
-- @sampling rows
-- @fidelity derived -- Rate of the call as the host saw it: it includes waiting for earlier work on the same stream, so it is a lower bound of the link's rate.
-- @interpret Copies that start while kernels run wait for them first: a low rate on a large copy means either that or pageable memory
--   (allocate with cudaMallocHost). An asynchronous copy with a long duration was probably from pageable memory and not asynchronous.
--   Many small copies are better merged.
-- @next memcpy-bandwidth, pageable-copies, sync-stalls
-- @nsys cuda_memcpy_sync
SELECT
  run_id,
  start_time,
  op::VARCHAR AS op,
  kind::VARCHAR AS direction,
  bytes,
  duration_ns,
  CASE WHEN op::VARCHAR NOT LIKE '%Async%' AND status = 'ok' THEN round(bytes / nullif(duration_ns, 0), 3) END AS gb_per_s,
  stream,
  status::VARCHAR AS status,
  pid,
  tid,
  call_id
FROM cuda_events
WHERE op::VARCHAR LIKE 'cudaMemcpy%'
  AND duration_ns >= $min_ms * 1000000
ORDER BY duration_ns DESC, run_id, call_id
LIMIT $limit
