-- @title Memory that is never freed
-- @question Which processes keep allocating memory that is not freed, all through the recording?
-- @requires tables=events,processes,threads,call_sites schema>=2
-- @packs cuda-runtime, cuda-driver
-- @ops cudaMalloc*, cudaHostAlloc, cuMemAlloc*, cuMemHostAlloc, cuArray*Create*, cuMipmappedArrayCreate
-- @param min_calls INTEGER 10 calls -- report processes with at least this many allocations that stayed
-- @param min_slices INTEGER 5 - -- spread over at least this many of ten equal parts of the process's recorded time, or of its allocations where most of them are freed
-- @param min_share_pct DOUBLE 1 % -- and with at least this part of its allocations
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the most memory the process held at one time that was never freed
-- @column lost_ns ns -- None: memory is lost, not time (NULL)
-- @column calls calls -- Calls affected
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank of the process; NULL when it has none
-- @column device - -- Device that was current; NULL when unknown or several
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First affected call
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity derived -- An allocation counts as held until the next successful free of the same address in the same process and layer, or until the address is handed out again. Allocations the runtime or NCCL asks the driver for are counted once, as theirs; memory made with cuMemCreate is left out. A program that keeps growing on purpose looks the same.
-- @interpret Memory allocated at the start and kept is a cache or a pool (JAX, cupy); memory that is added all the time is a leak, and ends in
--   cudaErrorMemoryAllocation or CUDA_ERROR_OUT_OF_MEMORY. alloc-leaks lists the single allocations of the runtime; those of one size by one thread
--   usually come from one place.
-- @next alloc-leaks, alloc-balance, driver-direct
WITH ops (op, heap, is_alloc) AS (
  -- Addresses live in heaps: 0 to 2 are memory, host memory and arrays of the runtime, 3 to 5 those of the driver.
  VALUES
    ('cudaMalloc', 0, true),
    ('cudaMallocPitch', 0, true),
    ('cudaMalloc3D', 0, true),
    ('cudaMallocManaged', 0, true),
    ('cudaMallocAsync', 0, true),
    ('cudaMallocFromPoolAsync', 0, true),
    ('cudaFree', 0, false),
    ('cudaFreeAsync', 0, false),
    ('cudaMallocHost', 1, true),
    ('cudaHostAlloc', 1, true),
    ('cudaFreeHost', 1, false),
    ('cudaMallocArray', 2, true),
    ('cudaMalloc3DArray', 2, true),
    ('cudaMallocMipmappedArray', 2, true),
    ('cudaFreeArray', 2, false),
    ('cudaFreeMipmappedArray', 2, false),
    ('cuMemAlloc_v2', 3, true),
    ('cuMemAllocPitch_v2', 3, true),
    ('cuMemAllocManaged', 3, true),
    ('cuMemAllocAsync', 3, true),
    ('cuMemAllocFromPoolAsync', 3, true),
    ('cuMemFree_v2', 3, false),
    ('cuMemFreeAsync', 3, false),
    ('cuMemAllocHost_v2', 4, true),
    ('cuMemHostAlloc', 4, true),
    ('cuMemFreeHost', 4, false),
    ('cuArrayCreate_v2', 5, true),
    ('cuArray3DCreate_v2', 5, true),
    ('cuMipmappedArrayCreate', 5, true),
    ('cuArrayDestroy', 5, false),
    ('cuMipmappedArrayDestroy', 5, false)
),
-- What happened last to an address says whether its last allocation was kept. DuckDB would keep all calls in memory for CTEs that read the
-- same of them: therefore each of the three that read many has a pattern of its own, which is decided once for all calls with the same arguments.
addresses AS MATERIALIZED (
  SELECT
    process_id, heap, address,
    count(*) FILTER (is_alloc) AS allocations,
    max(at_ns) FILTER (is_alloc) AS at_ns,
    arg_max(call_id, at_ns) FILTER (is_alloc) AS call_id,
    coalesce(max(at_ns) FILTER (is_alloc) > coalesce(max(at_ns) FILTER (NOT is_alloc), 0), false) AS is_kept
  FROM (
    SELECT
      e.process_id, e.call_id, o.heap::UTINYINT AS heap, o.is_alloc, CASE WHEN o.heap IN (2, 5) THEN e."array" ELSE e.ptr END AS address,
      epoch_ns(e.start_time) + CASE WHEN o.is_alloc THEN coalesce(e.duration_ns, 0) ELSE 0 END AS at_ns
    FROM events e
    JOIN ops o USING (op)
    WHERE e.op SIMILAR TO 'cu.*([Aa]lloc|Free|Array).*' AND e.layer IN ('runtime', 'driver') AND e.status = 'ok'
  )
  WHERE address <> 0
  GROUP BY process_id, heap, address
),
-- The rest is looked at only in processes that may have a leak.
suspects AS MATERIALIZED (
  SELECT process_id, heap // 3 AS layer, sum(allocations) AS allocations, count(*) FILTER (is_kept) AS kept
  FROM addresses
  GROUP BY process_id, heap // 3
  HAVING kept >= $min_calls AND 100 * kept / sum(addresses.allocations) >= $min_share_pct
),
-- As a list, so that DuckDB knows they are few.
kept_calls AS (
  SELECT unnest(list(k), max_depth := 2)
  FROM (
    SELECT a.process_id, a.heap // 3 AS layer, a.call_id, a.at_ns
    FROM addresses a
    JOIN suspects s ON s.process_id = a.process_id AND s.layer = a.heap // 3
    WHERE a.is_kept
  ) k
),
kept AS MATERIALIZED (
  SELECT e.run_id, e.process_id, k.layer, e.tid, e.call_id, e.parent_id, e.start_time, e.bytes, e.current_device, e.stack_id, e.op, k.at_ns
  FROM events e
  JOIN kept_calls k USING (process_id, call_id)
),
-- What the runtime or NCCL asks the driver for: that is their call.
nested AS (
  SELECT k.run_id, k.call_id
  FROM kept k
  JOIN events o ON o.run_id = k.run_id AND o.call_id = k.parent_id
  WHERE k.layer = 1 AND k.parent_id IS NOT NULL AND o.layer IN ('runtime', 'driver', 'nccl')
),
spans AS (
  SELECT
    process_id,
    epoch_ns(min(start_time)) AS begun_ns,
    greatest(max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - epoch_ns(min(start_time)), 1) AS span_ns
  FROM events
  SEMI JOIN suspects USING (process_id)
  WHERE layer IN ('runtime', 'driver')
  GROUP BY process_id
),
-- Where each tenth of the allocations ends, of processes that free most of them.
mostly_freed AS (
  SELECT process_id, layer FROM suspects WHERE kept < allocations
),
tenths AS (
  SELECT
    e.process_id, o.heap // 3 AS layer,
    quantile_disc(epoch_ns(e.start_time) + coalesce(e.duration_ns, 0), [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) AS ends
  FROM events e
  JOIN ops o USING (op)
  SEMI JOIN mostly_freed m ON m.process_id = e.process_id AND m.layer = o.heap // 3
  WHERE e.op SIMILAR TO 'cu.*([Aa]lloc|Array).*' AND o.is_alloc AND e.status = 'ok' AND CASE WHEN o.heap IN (2, 5) THEN e."array" ELSE e.ptr END <> 0
  GROUP BY e.process_id, o.heap // 3
),
found AS MATERIALIZED (
  SELECT
    k.process_id,
    k.layer,
    mode(k.op) AS op,
    any_value(k.current_device) FILTER (k.current_device IS NOT NULL) AS device,
    mode(k.tid) AS tid,
    mode(k.stack_id) AS stack_id,
    min(k.start_time) AS first_time,
    max(k.start_time) AS last_time,
    count(*) AS calls,
    sum(coalesce(k.bytes, 0))::BIGINT AS bytes,
    count(DISTINCT least(9, floor(10 * (epoch_ns(k.start_time) - s.begun_ns) / s.span_ns))) AS time_slices,
    count(DISTINCT len(list_filter(t.ends, lambda e: e < k.at_ns))) AS allocation_slices,
    (epoch_ns(max(k.start_time)) - epoch_ns(min(k.start_time))) / any_value(s.span_ns) AS spread
  FROM kept k
  ANTI JOIN nested USING (run_id, call_id)
  JOIN spans s USING (process_id)
  JOIN suspects a USING (process_id, layer)
  LEFT JOIN tenths t USING (process_id, layer)
  GROUP BY k.process_id, k.layer
  HAVING count(*) >= $min_calls
    AND 100 * count(*) / any_value(a.allocations) >= $min_share_pct
    AND (
      time_slices >= $min_slices
      -- Most allocations come and go, and these stay; not only while the program starts.
      OR (allocation_slices >= $min_slices AND 2 * count(*) <= any_value(a.allocations) AND spread >= 0.05)
    )
),
-- How much is held after each call: what it allocates less what its address held before.
changes AS (
  SELECT process_id, layer, at_ns, held_bytes - lag(held_bytes, 1, 0) OVER (PARTITION BY process_id, heap, address ORDER BY at_ns, call_id) AS change_bytes
  FROM (
    SELECT
      e.process_id, o.heap // 3 AS layer, e.call_id, o.heap::UTINYINT AS heap, CASE WHEN o.heap IN (2, 5) THEN e."array" ELSE e.ptr END AS address,
      CASE WHEN o.is_alloc THEN coalesce(e.bytes, 0) ELSE 0 END::BIGINT AS held_bytes,
      epoch_ns(e.start_time) + CASE WHEN o.is_alloc THEN coalesce(e.duration_ns, 0) ELSE 0 END AS at_ns
    FROM events e
    JOIN ops o USING (op)
    SEMI JOIN found f ON f.process_id = e.process_id AND f.layer = o.heap // 3
    WHERE (e.op ILIKE 'cu%alloc%' OR e.op LIKE 'cu%Free%' OR e.op LIKE 'cu%Array%') AND e.status = 'ok'
  )
  WHERE address <> 0
),
levels AS (
  SELECT process_id, layer, max(level) AS peak_bytes
  FROM (
    SELECT process_id, layer, sum(change_bytes) OVER (PARTITION BY process_id, layer ORDER BY at_ns, change_bytes ROWS UNBOUNDED PRECEDING) AS level
    FROM changes
    WHERE change_bytes <> 0
  )
  GROUP BY process_id, layer
)
SELECT
  printf('%d allocations, %.2f MiB, were never freed, and more were added all the time', f.calls, f.bytes / 1048576) AS finding,
  round(100 * f.bytes / nullif(v.peak_bytes, 0), 2) AS share_pct,
  NULL::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  p.rank,
  f.device,
  f.op,
  call_site(f.stack_id, f.process_id, f.tid) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT * FROM (SELECT start_time, tid, op, bytes, ptr, lead(op) OVER (PARTITION BY ptr ORDER BY start_time) AS next_op FROM events WHERE process_id = {} AND layer = ''{}'' AND ptr <> 0 AND status = ''ok'' AND op SIMILAR TO ''cu(da|Mem)(Malloc|Alloc|HostAlloc|Free).*'') WHERE next_op IS NULL ORDER BY bytes DESC LIMIT 50',
    f.process_id, CASE f.layer WHEN 0 THEN 'runtime' ELSE 'driver' END
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
LEFT JOIN levels v USING (process_id, layer)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
