-- @title PyTorch: reserved and not used
-- @question How much memory does PyTorch's allocator hold without using it, at the peak and at failures?
-- @requires tables=torch_alloc_events,processes schema>=2
-- @packs pytorch-allocator
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column device - -- Device
-- @column peak_allocated_bytes bytes -- Most used by tensors
-- @column reserved_then_bytes bytes -- Held by the allocator at that moment
-- @column peak_reserved_bytes bytes -- Most held
-- @column allocated_then_bytes bytes -- Used by tensors at that moment
-- @column unused_then_bytes bytes -- Held and not used at that moment
-- @column unused_then_pct % -- Part of the held memory
-- @column failures calls -- Allocations that ran out of memory
-- @column failed_though_unused calls -- Failures of a request no larger than what was held and not used: fragmentation
-- @column peak_time UTC -- When most was held
-- @sampling rows
-- @fidelity derived -- Unused memory is reserved less allocated. That it was in pieces too small is certain only for a failure of a smaller request.
-- @interpret failed_though_unused above 0, or a high unused_then_pct: set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True, keep batch
--   shapes equal, or call torch.cuda.empty_cache() between phases that differ.
-- @next torch-out-of-memory, torch-timeline, torch-blocks
WITH peaks AS (
  SELECT
    run_id,
    process_id,
    device,
    max(allocated_bytes) AS peak_allocated_bytes,
    arg_max(reserved_bytes, (allocated_bytes, start_time)) AS reserved_then_bytes,
    max(reserved_bytes) AS peak_reserved_bytes,
    arg_min(allocated_bytes, (-reserved_bytes::BIGINT, start_time, call_id)) AS allocated_then_bytes,
    arg_min(start_time, (-reserved_bytes::BIGINT, start_time, call_id)) AS peak_time,
    count(*) FILTER (requested_bytes IS NOT NULL) AS failures,
    count(*) FILTER (requested_bytes <= reserved_bytes::BIGINT - allocated_bytes::BIGINT) AS failed_though_unused
  FROM torch_alloc_events
  GROUP BY run_id, process_id, device
)
SELECT
  k.run_id,
  p.pid,
  p.comm AS process,
  k.device,
  k.peak_allocated_bytes,
  k.reserved_then_bytes,
  k.peak_reserved_bytes,
  k.allocated_then_bytes,
  k.peak_reserved_bytes::BIGINT - k.allocated_then_bytes::BIGINT AS unused_then_bytes,
  round(100 * (k.peak_reserved_bytes::BIGINT - k.allocated_then_bytes::BIGINT) / nullif(k.peak_reserved_bytes, 0), 3) AS unused_then_pct,
  k.failures,
  k.failed_though_unused,
  k.peak_time
FROM peaks k
LEFT JOIN processes p ON p.run_id = k.run_id AND p.process_id = k.process_id
ORDER BY k.peak_reserved_bytes DESC NULLS LAST, k.run_id, p.pid, k.device
