-- @title Device memory over time
-- @question How much device memory does each process hold over time, on which device, and when is the peak?
-- @requires tables=cuda_allocations,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMalloc*
-- @param bucket_ms INTEGER 1000 ms [1..] -- width of a row in time
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the process belongs to
-- @column bucket_start UTC -- Beginning of the time bucket
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column device - -- Device that was current at the allocation; NULL when that was not recorded
-- @column allocs calls -- Successful allocations in the bucket
-- @column frees calls -- Frees in the bucket
-- @column net_bytes bytes -- Allocated less freed in the bucket
-- @column held_bytes bytes -- Held at the end of the bucket
-- @column peak_bytes bytes -- Most held at one time in the bucket
-- @sampling pairs
-- @fidelity derived -- Device, managed and stream-ordered memory that was asked for with calls of the runtime while recording. Contexts, code, NCCL and libraries that allocate through the driver come on top, and so do what was there before and what the driver rounds up. Buckets without a change have no row.
-- @interpret Compare the peak with the device's memory (memory-info). Growth from bucket to bucket: alloc-growth. One step up after every
--   model swap: what is loaded is not unloaded.
-- @next alloc-growth, alloc-sites, memory-info, out-of-memory
-- @nsys gpu_vram_usage_trace
WITH changes AS (
  SELECT run_id, process_id, device, epoch_ns(allocated_at) AS at_ns, bytes::BIGINT AS delta
  FROM cuda_allocations
  WHERE family IN ('device', 'managed', 'async') AND bytes IS NOT NULL AND ($pid IS NULL OR pid = $pid)
  UNION ALL
  SELECT run_id, process_id, device, epoch_ns(ended_at), -bytes::BIGINT
  FROM cuda_allocations
  WHERE family IN ('device', 'managed', 'async') AND bytes IS NOT NULL AND ended_by IS NOT NULL AND ($pid IS NULL OR pid = $pid)
),
levels AS (
  SELECT
    *,
    sum(delta) OVER (PARTITION BY run_id, process_id, device ORDER BY at_ns, delta ROWS UNBOUNDED PRECEDING) AS level
  FROM changes
),
width AS (SELECT $bucket_ms::BIGINT * 1000000 AS ns)
SELECT
  l.run_id,
  make_timestamp_ns(l.at_ns // ns * ns) AS bucket_start,
  p.pid,
  p.comm AS process,
  l.device,
  count(*) FILTER (l.delta > 0) AS allocs,
  count(*) FILTER (l.delta < 0) AS frees,
  sum(l.delta)::BIGINT AS net_bytes,
  arg_max(l.level, (l.at_ns, l.delta))::BIGINT AS held_bytes,
  max(l.level)::BIGINT AS peak_bytes
FROM levels l
CROSS JOIN width
LEFT JOIN processes p ON p.run_id = l.run_id AND p.process_id = l.process_id
GROUP BY l.run_id, bucket_start, l.process_id, p.pid, p.comm, l.device
ORDER BY bucket_start, l.run_id, p.pid, l.device
