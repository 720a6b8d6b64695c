-- @title Copies by direction
-- @question How much data is copied in each direction, in copies of what size, and how fast?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @ops cudaMemcpy*
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the copies belong to
-- @column direction - -- h2d, d2h, d2d, h2h, default (told from the addresses); NULL when the call names none
-- @column mode - -- blocking or async
-- @column copies calls -- Successful copies
-- @column bytes bytes -- Bytes copied
-- @column share_pct % -- Part of all bytes copied in the run
-- @column p50_bytes bytes -- Half of the copies are no larger
-- @column max_bytes bytes -- Largest copy
-- @column small_copies calls -- Copies under 64 KiB, which cost as much as they move
-- @column total_ns ns -- Time in the calls
-- @column gb_per_s GB/s -- bytes / total_ns of blocking copies; NULL for asynchronous ones
-- @sampling weighted
-- @fidelity derived -- Sizes are exact. The rate is that of the calls as the host saw them, which includes waiting for earlier work: a lower bound of the link's rate.
-- @interpret PCIe 4 x16 carries about 25 GB/s, PCIe 5 about 50 from pinned memory; a few GB/s means pageable memory or small copies.
--   Large d2h totals in training often are logging or checkpoints.
-- @next memcpy-sizes, slow-memcpy, pageable-copies
-- @nsys cuda_gpu_mem_size_sum
SELECT
  run_id,
  kind::VARCHAR AS direction,
  CASE WHEN op::VARCHAR LIKE '%Async%' THEN 'async' ELSE 'blocking' END AS mode,
  sum(sample_weight)::BIGINT AS copies,
  coalesce(sum(bytes * sample_weight), 0)::BIGINT AS bytes,
  round(
    100 * coalesce(sum(bytes * sample_weight), 0) / nullif(sum(sum(bytes * sample_weight)) OVER (PARTITION BY run_id), 0), 3
  ) AS share_pct,
  quantile_disc(bytes, 0.5) AS p50_bytes,
  max(bytes) AS max_bytes,
  coalesce(sum(sample_weight) FILTER (bytes < 65536), 0)::BIGINT AS small_copies,
  coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS total_ns,
  CASE WHEN mode = 'blocking' THEN round(sum(bytes) / nullif(sum(duration_ns), 0), 3) END AS gb_per_s
FROM cuda_events
WHERE op::VARCHAR LIKE 'cudaMemcpy%'
  AND status = 'ok'
  AND ($pid IS NULL OR pid = $pid)
GROUP BY run_id, direction, mode
ORDER BY run_id, bytes DESC, direction, mode
