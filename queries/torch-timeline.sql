-- @title PyTorch memory over time
-- @question How much device memory does PyTorch use and hold over time, and when is the peak?
-- @requires tables=torch_alloc_events,processes schema>=2
-- @packs pytorch-allocator
-- @param bucket_ms INTEGER 1000 ms [1..] -- width of a row in time
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the process belongs to
-- @column bucket_start UTC -- Beginning of the time bucket
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column device - -- Device
-- @column allocs calls -- Allocations from the cache
-- @column frees calls -- Frees into the cache
-- @column allocated_bytes bytes -- Used by tensors at the last event of the bucket
-- @column peak_allocated_bytes bytes -- Most used in the bucket
-- @column reserved_bytes bytes -- Held by the allocator at the last event
-- @column unused_pct % -- Part of the held memory that tensors do not use, at the last event
-- @column failed calls -- Allocations that ran out of memory
-- @sampling weighted
-- @fidelity exact -- The allocator's own counts after each event; sizes are rounded as the allocator does. Buckets without events have no row.
-- @interpret reserved_bytes is what other programs see as used. A high unused_pct at the peak is fragmentation or a cache from an
--   earlier phase: see torch-fragmentation. allocated_bytes that grows from step to step holds on to tensors (losses in a list).
-- @next torch-fragmentation, torch-blocks, torch-out-of-memory
WITH width AS (SELECT $bucket_ms::BIGINT * 1000000 AS ns)
SELECT
  e.run_id,
  make_timestamp_ns(epoch_ns(e.start_time) // ns * ns) AS bucket_start,
  p.pid,
  p.comm AS process,
  e.device,
  coalesce(sum(e.sample_weight) FILTER (e.delta_bytes > 0), 0)::BIGINT AS allocs,
  coalesce(sum(e.sample_weight) FILTER (e.delta_bytes < 0), 0)::BIGINT AS frees,
  arg_max(e.allocated_bytes, (e.start_time, e.call_id)) AS allocated_bytes,
  max(e.allocated_bytes) AS peak_allocated_bytes,
  arg_max(e.reserved_bytes, (e.start_time, e.call_id)) AS reserved_bytes,
  round(
    100 * (1 - arg_max(e.allocated_bytes, (e.start_time, e.call_id)) / nullif(arg_max(e.reserved_bytes, (e.start_time, e.call_id)), 0)), 3
  ) AS unused_pct,
  coalesce(sum(e.sample_weight) FILTER (e.requested_bytes IS NOT NULL), 0)::BIGINT AS failed
FROM torch_alloc_events e
CROSS JOIN width
LEFT JOIN processes p ON p.run_id = e.run_id AND p.process_id = e.process_id
WHERE $pid IS NULL OR e.pid = $pid
GROUP BY e.run_id, bucket_start, e.process_id, p.pid, p.comm, e.device
ORDER BY bucket_start, e.run_id, p.pid, e.device
