-- @title Copies from or to pageable memory
-- @question Which copies between host and device ran at the speed of pageable memory, and held the caller up?
-- @requires tables=events,processes,threads,call_sites schema>=2
-- @packs cuda-runtime, cuda-driver
-- @ops cudaMemcpy*, cuMemcpy*
-- @param min_bytes BIGINT 65536 bytes -- look at copies of at least this size
-- @param async_gb_per_s DOUBLE 60 GB/s -- an asynchronous copy whose bytes divided by its time in the call are below this has blocked
-- @param sync_gb_per_s DOUBLE 8 GB/s -- a synchronous copy below this is slower than from page-locked memory
-- @param pinned_gb_per_s DOUBLE 20 GB/s -- rate of a copy from page-locked memory, for the time lost
-- @param min_lost_ms DOUBLE 5 ms -- report operations that lost at least this much
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the process's recorded time lost
-- @column lost_ns ns -- Time in the copies beyond what copies of page-locked memory would take
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
-- @fidelity heuristic -- Copies the runtime or NCCL asks the driver for are counted once, as theirs. Where the host memory was allocated page-locked in this capture, the copy is left out. Otherwise low speed stands for pageable memory; a synchronous copy may also have waited for work before it.
-- @interpret The driver copies pageable memory through a small page-locked buffer while the caller waits, and nothing overlaps. Allocate the host
--   side with cudaHostAlloc or cudaMallocHost, in the driver cuMemHostAlloc (PyTorch: pin_memory=True and non_blocking=True; cupy: cupyx.empty_pinned;
--   JAX: donate and prefetch batches) and copy asynchronously.
-- @next slow-memcpy, memcpy-bandwidth, driver-direct
WITH spans AS (
  SELECT
    process_id,
    min(start_time) AS begun,
    greatest(max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)), 1) AS span_ns
  FROM events
  WHERE layer IN ('runtime', 'driver')
  GROUP BY process_id
),
pinned AS (
  SELECT process_id, ptr, bytes, epoch_ns(start_time) AS at_ns
  FROM events
  WHERE op IN ('cudaMallocHost', 'cudaHostAlloc', 'cudaHostRegister', 'cuMemAllocHost_v2', 'cuMemHostAlloc', 'cuMemHostRegister_v2')
    AND status = 'ok' AND ptr IS NOT NULL
),
copies AS (
  SELECT
    run_id, process_id, layer, tid, call_id, parent_id, start_time, duration_ns, op, bytes, current_device, stack_id,
    CASE kind WHEN 'h2d' THEN src_ptr ELSE dst_ptr END AS host_ptr,
    op LIKE '%Async%' AS is_async
  FROM events
  WHERE kind IN ('h2d', 'd2h') AND layer IN ('runtime', 'driver') AND status = 'ok' AND bytes >= $min_bytes
    AND bytes / nullif(duration_ns, 0) < CASE WHEN is_async THEN $async_gb_per_s ELSE $sync_gb_per_s END
),
pageable AS MATERIALIZED (
  SELECT c.*
  FROM copies c
  ASOF LEFT JOIN pinned h ON c.process_id = h.process_id AND c.host_ptr >= h.ptr
  WHERE h.ptr IS NULL OR c.host_ptr >= h.ptr + h.bytes
),
-- As a list, so that DuckDB knows they are few and keeps them in memory, not the calls they are looked for in.
inner_calls AS (
  SELECT unnest(list(c), max_depth := 2)
  FROM (SELECT run_id, call_id, parent_id FROM pageable WHERE layer = 'driver' AND parent_id IS NOT NULL) c
),
-- What the runtime or NCCL asks the driver for: that is their call.
nested AS (
  SELECT c.run_id, c.call_id
  FROM events o
  JOIN inner_calls c ON c.run_id = o.run_id AND c.parent_id = o.call_id
  WHERE o.layer IN ('runtime', 'driver', 'nccl')
),
slow AS (
  SELECT * FROM pageable ANTI JOIN nested USING (run_id, call_id)
),
found AS (
  SELECT
    process_id,
    layer,
    arg_max(op, (duration_ns, op)) AS op,
    string_agg(DISTINCT op, ', ' ORDER BY op) AS ops,
    any_value(current_device) FILTER (current_device IS NOT NULL) AS device,
    mode(tid) AS tid,
    mode(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls,
    sum(bytes)::BIGINT AS bytes,
    sum(duration_ns) AS in_call_ns,
    sum(greatest(0, duration_ns - bytes / $pinned_gb_per_s)) AS lost_ns
  FROM slow
  GROUP BY process_id, layer
  HAVING sum(greatest(0, duration_ns - bytes / $pinned_gb_per_s)) >= $min_lost_ms * 1000000
)
SELECT
  printf('%d copies (%s) moved %.1f MiB at %.1f GB/s, as from pageable memory, and blocked', f.calls, f.ops, f.bytes / 1048576, f.bytes / f.in_call_ns) AS finding,
  round(100 * f.lost_ns / s.span_ns, 2) AS share_pct,
  f.lost_ns::BIGINT AS lost_ns,
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
    'SELECT start_time, tid, op, kind, bytes, duration_ns, round(bytes / duration_ns, 2) AS gb_per_s, src_ptr, dst_ptr FROM events WHERE process_id = {} AND layer = ''{}'' AND bytes >= {} AND kind IN (''h2d'', ''d2h'') ORDER BY duration_ns DESC LIMIT 20',
    f.process_id, f.layer, $min_bytes
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
JOIN spans s USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
