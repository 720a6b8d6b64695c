-- @title Copies by size
-- @question How many copies of each size class are there, how long do they take, and at which size does copying become fast?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @ops cudaMemcpy*
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the copies belong to
-- @column direction - -- h2d, d2h, d2d, h2h, default; NULL when the call names none
-- @column mode - -- blocking or async
-- @column from_bytes bytes -- Smallest size of the class
-- @column below_bytes bytes -- First size beyond the class (four times from_bytes; 1024 for the first class)
-- @column copies calls -- Successful copies
-- @column bytes bytes -- Bytes copied
-- @column total_ns ns -- Time in the calls
-- @column p50_ns ns -- Median time in the call
-- @column max_ns ns -- Longest
-- @column gb_per_s GB/s -- bytes / total_ns of blocking copies; NULL for asynchronous ones
-- @sampling weighted
-- @fidelity derived -- Sizes are exact; the rate includes waiting for earlier work.
-- @interpret The time of a small copy does not depend on its size: many of one small class are better packed into one. A rate that
--   stays low for large classes is pageable memory or a slow link.
-- @next slow-memcpy, pageable-copies, memcpy-bandwidth
-- @nsys cuda_gpu_mem_size_sum
SELECT
  run_id,
  kind::VARCHAR AS direction,
  CASE WHEN op::VARCHAR LIKE '%Async%' THEN 'async' ELSE 'blocking' END AS mode,
  -- Classes of a factor of four: below 1 KiB, 1-4 KiB, 4-16 KiB ...
  CASE WHEN bytes < 1024 THEN 0 ELSE 1::UBIGINT << (floor(log2(bytes) / 2) * 2)::INTEGER END AS from_bytes,
  CASE WHEN from_bytes = 0 THEN 1024 ELSE from_bytes * 4 END AS below_bytes,
  sum(sample_weight)::BIGINT AS copies,
  sum(bytes * sample_weight)::BIGINT AS bytes,
  coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS total_ns,
  quantile_disc(duration_ns, 0.5) AS p50_ns,
  max(duration_ns) AS max_ns,
  CASE WHEN mode = 'blocking' THEN round(sum(cuda_events.bytes) / nullif(sum(duration_ns), 0), 3) END AS gb_per_s
FROM cuda_events
WHERE op::VARCHAR LIKE 'cudaMemcpy%'
  AND status = 'ok'
  AND cuda_events.bytes IS NOT NULL
  AND ($pid IS NULL OR pid = $pid)
GROUP BY run_id, direction, mode, from_bytes
ORDER BY run_id, direction, mode, from_bytes
