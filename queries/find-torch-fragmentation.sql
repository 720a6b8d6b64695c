-- @title PyTorch holds memory it cannot use
-- @question Where did PyTorch ask for more memory, or fail to get it, although it held enough that was unused?
-- @requires tables=torch_alloc_events,processes,threads,call_sites schema>=2
-- @packs pytorch-allocator
-- @ops reportMemoryUsageToProfiler, reportOutOfMemoryToProfiler
-- @param min_bytes BIGINT 268435456 bytes -- report devices for which at least this much was reserved in spite of unused memory, or any failure
-- @param min_unused_pct DOUBLE 25 % -- count what was reserved while at least this part of the memory held was unused
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Largest part of the memory held that was unused at such a moment
-- @column lost_ns ns -- None: memory is lost, not time (NULL)
-- @column calls calls -- Times more memory was reserved, or refused, in spite of unused memory
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank of the process; NULL when it has none
-- @column device - -- Device
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First such moment
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity derived -- The allocator's own counts before and after each allocation. Unused memory may also belong to another stream or pool, which for the program is the same.
-- @interpret The unused memory is in pieces too small for what is asked. Set PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True, keep shapes equal
--   from step to step (pad or bucket sequences), allocate the largest first, and call torch.cuda.empty_cache() between phases that differ.
-- @next torch-fragmentation, torch-blocks, torch-timeline
WITH history AS (
  SELECT
    process_id, device, tid, stack_id, call_id, start_time, op, delta_bytes, requested_bytes,
    reserved_bytes::BIGINT AS reserved_bytes,
    lag(reserved_bytes::BIGINT) OVER earlier AS before_bytes,
    lag(reserved_bytes::BIGINT - allocated_bytes::BIGINT) OVER earlier AS unused_before,
    reserved_bytes::BIGINT - allocated_bytes::BIGINT AS unused_bytes
  FROM torch_alloc_events
  WHERE reserved_bytes IS NOT NULL
  WINDOW earlier AS (PARTITION BY process_id, device ORDER BY start_time, call_id)
),
in_spite AS (
  SELECT
    *,
    CASE WHEN requested_bytes IS NULL THEN reserved_bytes - before_bytes ELSE 0 END AS grown_bytes,
    CASE WHEN requested_bytes IS NULL THEN unused_before ELSE unused_bytes END AS unused_then,
    CASE WHEN requested_bytes IS NULL THEN before_bytes ELSE reserved_bytes END AS held_then
  FROM history
  WHERE requested_bytes <= unused_bytes
    OR (reserved_bytes > before_bytes AND delta_bytes <= unused_before AND 100 * unused_before >= $min_unused_pct * before_bytes)
),
found AS (
  SELECT
    process_id,
    device,
    mode(op)::VARCHAR AS op,
    mode(tid) AS tid,
    mode(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls,
    count(requested_bytes) AS failures,
    sum(grown_bytes) AS grown_bytes,
    max(unused_then) AS unused_bytes,
    max(100 * unused_then / nullif(held_then, 0)) AS unused_pct
  FROM in_spite
  GROUP BY process_id, device
  HAVING failures > 0 OR sum(grown_bytes) >= $min_bytes
)
SELECT
  CASE WHEN f.failures > 0 THEN printf('%d allocations failed', f.failures) ELSE printf('%.2f MiB more were reserved', f.grown_bytes / 1048576) END
    || printf(' although up to %.2f MiB were held unused', f.unused_bytes / 1048576) AS finding,
  round(f.unused_pct, 2) AS share_pct,
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
    'SELECT start_time, delta_bytes, requested_bytes, allocated_bytes, reserved_bytes, reserved_bytes::BIGINT - allocated_bytes::BIGINT AS unused_bytes FROM torch_alloc_events WHERE process_id = {} AND device = {} AND reserved_bytes IS NOT NULL AND start_time <= ''{}'' ORDER BY start_time DESC LIMIT 50',
    f.process_id, f.device, f.last_time
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
