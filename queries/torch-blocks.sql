-- @title PyTorch blocks by size
-- @question Which sizes does PyTorch allocate, how long do they live, and what is still in use at the end?
-- @requires tables=torch_alloc_events,processes schema>=2
-- @packs pytorch-allocator
-- @param min_bytes BIGINT 0 bytes [0..] -- only blocks of at least this size
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column device - -- Device
-- @column bytes bytes -- Size of a block, as the allocator rounded it
-- @column allocs calls -- Blocks allocated
-- @column live calls -- Blocks not freed when recording ended
-- @column live_bytes bytes -- Their bytes
-- @column live_pct % -- Part of the blocks of this size
-- @column life_p50_ns ns -- Median time from allocation to free
-- @column oldest_live UTC -- Allocation of the oldest block not freed
-- @sampling pairs
-- @fidelity derived -- A block is paired with the next free of its address on the same device and process.
-- @interpret Parameters and optimizer state live to the end. Many live blocks of one size whose number grows with the steps are tensors
--   somebody keeps.
-- @next torch-timeline, torch-fragmentation
WITH history AS (
  SELECT
    run_id, process_id, device, delta_bytes, start_time,
    lead(delta_bytes) OVER same_block AS next_delta,
    lead(start_time) OVER same_block AS next_time
  FROM torch_alloc_events
  WHERE delta_bytes IS NOT NULL
  WINDOW same_block AS (PARTITION BY run_id, process_id, device, ptr ORDER BY start_time, call_id)
)
SELECT
  h.run_id,
  p.pid,
  p.comm AS process,
  h.device,
  h.delta_bytes AS bytes,
  count(*) AS allocs,
  count(*) FILTER (h.next_delta IS NULL) AS live,
  coalesce(sum(h.delta_bytes) FILTER (h.next_delta IS NULL), 0)::BIGINT AS live_bytes,
  round(100 * live / allocs, 1) AS live_pct,
  quantile_disc(epoch_ns(h.next_time) - epoch_ns(h.start_time), 0.5) FILTER (h.next_delta < 0) AS life_p50_ns,
  min(h.start_time) FILTER (h.next_delta IS NULL) AS oldest_live
FROM history h
LEFT JOIN processes p ON p.run_id = h.run_id AND p.process_id = h.process_id
WHERE h.delta_bytes > 0 AND h.delta_bytes >= $min_bytes
GROUP BY h.run_id, h.process_id, p.pid, p.comm, h.device, h.delta_bytes
ORDER BY live_bytes DESC, allocs * h.delta_bytes DESC, h.run_id, p.pid, h.device, h.delta_bytes
LIMIT $limit
