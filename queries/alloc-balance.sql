-- @title Allocation balance
-- @question How much memory did each process allocate, free and still hold at the end, by kind of allocation?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMalloc*, cudaHostAlloc, cudaFree*
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column family - -- device, async (stream-ordered), managed, host (pinned) or array
-- @column allocs calls -- Successful allocations
-- @column alloc_bytes bytes -- Bytes of the successful allocations; NULL for arrays, whose size only the driver knows
-- @column failed_allocs calls -- Allocations that returned an error (they allocate nothing)
-- @column frees calls -- Allocations that were freed by a successful call in this capture
-- @column freed_bytes bytes -- Bytes of the freed allocations
-- @column unseen_frees calls -- Allocations whose address was handed out again without a recorded free
-- @column foreign_frees calls -- Successful frees of memory that was allocated before the trace (or by a call that was not traced)
-- @column live calls -- Allocations not freed when recording ended
-- @column live_bytes bytes -- Bytes not freed when recording ended
-- @column peak_bytes bytes -- Most bytes live at one time
-- @column largest_live_bytes bytes -- Size of the largest allocation not freed
-- @column largest_live_ptr address -- Its address (or array handle)
-- @sampling pairs
-- @fidelity derived -- Each successful allocation is paired with the next successful free of the same address in the same process; a failed free frees nothing, and freeing NULL is no free. Memory released by cudaDeviceReset, by destroying a pool, or by the end of the process counts as live. The driver rounds sizes up.
-- @interpret live_bytes that grow from capture to capture of a steady program are a leak: alloc-leaks lists them. A caching allocator
--   (PyTorch) holds memory on purpose. A trace that attached to a running program sees frees of what it did not see allocated.
-- @next alloc-leaks, alloc-growth, vram-timeline
WITH ops (op, family, heap, action) AS (
  VALUES
    ('cudaMalloc', 'device', 'memory', 'alloc'),
    ('cudaMallocPitch', 'device', 'memory', 'alloc'),
    ('cudaMalloc3D', 'device', 'memory', 'alloc'),
    ('cudaMallocManaged', 'managed', 'memory', 'alloc'),
    ('cudaMallocAsync', 'async', 'memory', 'alloc'),
    ('cudaMallocFromPoolAsync', 'async', 'memory', 'alloc'),
    ('cudaFree', 'device', 'memory', 'free'),
    ('cudaFreeAsync', 'async', 'memory', 'free'),
    ('cudaMallocHost', 'host', 'host', 'alloc'),
    ('cudaHostAlloc', 'host', 'host', 'alloc'),
    ('cudaFreeHost', 'host', 'host', 'free'),
    ('cudaMallocArray', 'array', 'array', 'alloc'),
    ('cudaMalloc3DArray', 'array', 'array', 'alloc'),
    ('cudaMallocMipmappedArray', 'array', 'array', 'alloc'),
    ('cudaFreeArray', 'array', 'array', 'free'),
    ('cudaFreeMipmappedArray', 'array', 'array', 'free')
),
calls AS (
  SELECT
    e.run_id,
    e.process_id,
    e.pid,
    o.family,
    o.heap,
    o.action,
    e.status,
    CASE o.heap WHEN 'array' THEN e."array" ELSE e.ptr END AS address,
    e.bytes,
    -- Memory exists from the return of an allocation; it may be handed out again as soon as a free has begun.
    epoch_ns(e.start_time) + CASE o.action WHEN 'alloc' THEN coalesce(e.duration_ns, 0) ELSE 0 END AS at_ns,
    e.call_id
  FROM cuda_events e
  JOIN ops o ON o.op = e.op::VARCHAR
  WHERE $pid IS NULL OR e.pid = $pid
),
-- The next thing that happens to an address says what became of the allocation.
lives AS (
  SELECT
    *,
    lead(action) OVER history AS next_action,
    lead(at_ns) OVER history AS next_at_ns,
    lag(action) OVER history AS previous_action
  FROM calls
  WHERE status = 'ok' AND address IS NOT NULL AND address <> 0
  WINDOW history AS (PARTITION BY run_id, process_id, heap, address ORDER BY at_ns, call_id)
),
levels AS (
  SELECT
    run_id, process_id, family,
    sum(delta) OVER (PARTITION BY run_id, process_id, family ORDER BY at_ns, delta ROWS UNBOUNDED PRECEDING) AS level
  FROM (
    SELECT run_id, process_id, family, at_ns, bytes::BIGINT AS delta FROM lives WHERE action = 'alloc' AND bytes IS NOT NULL
    UNION ALL
    SELECT run_id, process_id, family, next_at_ns, -bytes::BIGINT
    FROM lives
    WHERE action = 'alloc' AND bytes IS NOT NULL AND next_action IS NOT NULL
  )
),
peaks AS (
  SELECT run_id, process_id, family, max(level) AS peak_bytes FROM levels GROUP BY run_id, process_id, family
),
failures AS (
  SELECT run_id, process_id, pid, family, count(*) AS failed
  FROM calls
  WHERE action = 'alloc' AND status = 'error'
  GROUP BY run_id, process_id, pid, family
),
balance AS (
  SELECT
    run_id,
    process_id,
    pid,
    family,
    count(*) FILTER (action = 'alloc') AS allocs,
    sum(bytes) FILTER (action = 'alloc') AS alloc_bytes,
    count(*) FILTER (action = 'alloc' AND next_action = 'free') AS frees,
    sum(bytes) FILTER (action = 'alloc' AND next_action = 'free') AS freed_bytes,
    count(*) FILTER (action = 'alloc' AND next_action = 'alloc') AS unseen_frees,
    count(*) FILTER (action = 'free' AND previous_action IS DISTINCT FROM 'alloc') AS foreign_frees,
    count(*) FILTER (action = 'alloc' AND next_action IS NULL) AS live,
    sum(bytes) FILTER (action = 'alloc' AND next_action IS NULL) AS live_bytes,
    max(bytes) FILTER (action = 'alloc' AND next_action IS NULL) AS largest_live_bytes,
    arg_max(address, bytes) FILTER (action = 'alloc' AND next_action IS NULL) AS largest_live_ptr
  FROM lives
  GROUP BY run_id, process_id, pid, family
)
SELECT
  run_id,
  pid,
  p.comm AS process,
  family,
  coalesce(allocs, 0) AS allocs,
  -- A sum over nothing is 0; a sum over sizes nobody knows is NULL.
  CASE WHEN coalesce(allocs, 0) = 0 THEN 0 ELSE alloc_bytes END::BIGINT AS alloc_bytes,
  coalesce(failed, 0) AS failed_allocs,
  coalesce(frees, 0) AS frees,
  CASE WHEN coalesce(frees, 0) = 0 THEN 0 ELSE freed_bytes END::BIGINT AS freed_bytes,
  coalesce(unseen_frees, 0) AS unseen_frees,
  coalesce(foreign_frees, 0) AS foreign_frees,
  coalesce(live, 0) AS live,
  CASE WHEN coalesce(live, 0) = 0 THEN 0 ELSE live_bytes END::BIGINT AS live_bytes,
  CASE WHEN coalesce(allocs, 0) = 0 THEN 0 ELSE peak_bytes END::BIGINT AS peak_bytes,
  largest_live_bytes,
  largest_live_ptr
FROM balance
FULL JOIN failures USING (run_id, process_id, pid, family)
LEFT JOIN peaks USING (run_id, process_id, family)
LEFT JOIN (SELECT run_id, process_id, comm FROM processes) p USING (run_id, process_id)
-- Frees of an allocation of another family (cudaFree of managed memory) leave a group with nothing to say.
WHERE coalesce(allocs, 0) + coalesce(foreign_frees, 0) + coalesce(failed, 0) > 0
ORDER BY live_bytes DESC NULLS LAST, run_id, pid, family
