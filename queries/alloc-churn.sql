-- @title Memory allocated and freed again and again
-- @question Which sizes are allocated and freed over and over, how long do they live, and what does that cost?
-- @requires tables=cuda_allocations,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMalloc*, cudaHostAlloc
-- @param min_allocs INTEGER 10 calls [1..] -- only sizes allocated at least this often
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the allocations belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column op - -- Operation
-- @column bytes bytes -- Size of one allocation
-- @column allocs calls -- Successful allocations of this size
-- @column freed calls -- Those freed while recording
-- @column life_p50_ns ns -- Median time from allocation to free
-- @column call_ns ns -- Time in the allocating and freeing calls
-- @column most_at_once calls -- Most of them held at one time: the size of a pool that would serve all
-- @sampling pairs
-- @fidelity derived -- Pairing as in alloc-leaks.
-- @interpret cudaFree waits for the device: hundreds of short-lived allocations a second are a stall each. Keep most_at_once of them in a
--   pool, or use cudaMallocAsync.
-- @next alloc-balance, time-breakdown
WITH levels AS (
  SELECT
    run_id, process_id, op, bytes,
    sum(delta) OVER (PARTITION BY run_id, process_id, op, bytes ORDER BY at_ns, delta ROWS UNBOUNDED PRECEDING) AS level
  FROM (
    SELECT run_id, process_id, op, bytes, epoch_ns(allocated_at) AS at_ns, 1 AS delta FROM cuda_allocations
    UNION ALL
    SELECT run_id, process_id, op, bytes, epoch_ns(ended_at), -1 FROM cuda_allocations WHERE ended_by IS NOT NULL
  )
),
peaks AS (
  SELECT run_id, process_id, op, bytes, max(level)::BIGINT AS most_at_once FROM levels GROUP BY run_id, process_id, op, bytes
)
SELECT
  a.run_id,
  a.pid,
  p.comm AS process,
  a.op,
  a.bytes,
  count(*) AS allocs,
  count(*) FILTER (a.ended_by = 'free') AS freed,
  quantile_disc(epoch_ns(a.ended_at) - epoch_ns(a.allocated_at), 0.5) FILTER (a.ended_by = 'free') AS life_p50_ns,
  coalesce(sum(a.alloc_ns), 0)::BIGINT + coalesce(sum(a.free_ns), 0)::BIGINT AS call_ns,
  any_value(k.most_at_once) AS most_at_once
FROM cuda_allocations a
JOIN peaks k ON k.run_id = a.run_id AND k.process_id = a.process_id AND k.op = a.op AND k.bytes IS NOT DISTINCT FROM a.bytes
LEFT JOIN processes p ON p.run_id = a.run_id AND p.process_id = a.process_id
GROUP BY a.run_id, a.process_id, a.pid, p.comm, a.op, a.bytes
HAVING count(*) >= $min_allocs
ORDER BY call_ns DESC, allocs DESC, a.run_id, a.pid, a.op, a.bytes
LIMIT $limit
