-- @title PyTorch gives memory back and asks for it again
-- @question Where does PyTorch's allocator give memory back to CUDA and reserve it again, over and over?
-- @requires tables=torch_alloc_events,events,processes,threads,call_sites schema>=2
-- @packs pytorch-allocator
-- @ops reportMemoryUsageToProfiler
-- @param min_calls INTEGER 10 calls -- report devices for which memory was reserved again after it was given back at least this often
-- @param min_slices INTEGER 5 - [1..10] -- in at least this many of ten equal parts of the recorded time
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of a hundred equal parts of the recorded time in which memory was given back or reserved again
-- @column lost_ns ns -- Time of the process in cudaMalloc, cudaFree and the like from the first time on; NULL when calls of CUDA were not recorded
-- @column calls calls -- Times memory was reserved again after it was given back
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank of the process; NULL when it has none
-- @column device - -- Device
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First time
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity derived -- The allocator's count of what it holds falls, and rises again later. Why is not seen: torch.cuda.empty_cache(), or an allocation that failed at first and made the allocator free its cache.
-- @interpret Each round costs cudaFree, which waits for the device, and cudaMalloc. Remove torch.cuda.empty_cache() from the loop; when the device is
--   nearly full, the allocator does it by itself: less memory per step (batch size), or expandable_segments:True, ends it.
-- @next torch-timeline, torch-fragmentation, alloc-churn
WITH history AS (
  SELECT
    process_id, device, tid, stack_id, call_id, start_time, op, reserved_bytes::BIGINT AS reserved_bytes,
    lag(reserved_bytes::BIGINT) OVER (PARTITION BY process_id, device ORDER BY start_time, call_id) AS before_bytes
  FROM torch_alloc_events
  WHERE reserved_bytes IS NOT NULL
),
spans AS (
  SELECT process_id, device, min(epoch_ns(start_time)) AS from_ns, greatest(max(epoch_ns(start_time)) - min(epoch_ns(start_time)), 1) AS span_ns
  FROM torch_alloc_events
  WHERE reserved_bytes IS NOT NULL
  GROUP BY process_id, device
),
changes AS (
  SELECT
    h.*, 100 * (epoch_ns(h.start_time) - s.from_ns) // s.span_ns AS part,
    h.reserved_bytes > h.before_bytes AS is_more,
    lag(h.reserved_bytes > h.before_bytes) OVER (PARTITION BY h.process_id, h.device ORDER BY h.start_time, h.call_id) AS was_more
  FROM history h
  JOIN spans s ON s.process_id = h.process_id AND s.device IS NOT DISTINCT FROM h.device
  WHERE h.reserved_bytes <> h.before_bytes
),
found AS (
  SELECT
    process_id,
    device,
    mode(op)::VARCHAR AS op,
    mode(tid) AS tid,
    mode(stack_id) AS stack_id,
    min(start_time) FILTER (NOT is_more) AS first_time,
    max(start_time) AS last_time,
    count(*) FILTER (is_more AND NOT was_more) AS calls,
    count(DISTINCT least(part, 99)) AS parts,
    count(DISTINCT least(part // 10, 9)) FILTER (is_more AND NOT was_more) AS slices,
    sum(before_bytes - reserved_bytes) FILTER (NOT is_more) AS given_bytes
  FROM changes
  GROUP BY process_id, device
  HAVING count(*) FILTER (is_more AND NOT was_more) >= $min_calls AND slices >= $min_slices
),
-- What it costs, where the calls of CUDA were recorded: those a program sees, not what is inside of them.
costly AS (
  SELECT f.process_id, f.device, e.run_id, e.call_id, e.parent_id, e.duration_ns
  FROM found f
  JOIN events e ON e.process_id = f.process_id AND e.start_time >= f.first_time
  WHERE e.op IN ('cudaMalloc', 'cudaFree', 'cuMemAlloc_v2', 'cuMemFree_v2', 'cuMemCreate', 'cuMemMap', 'cuMemSetAccess', 'cuMemUnmap', 'cuMemRelease')
),
nested AS (
  SELECT c.run_id, c.call_id
  FROM costly c
  JOIN events o ON o.run_id = c.run_id AND o.call_id = c.parent_id
  WHERE o.layer IN ('runtime', 'driver', 'nccl')
),
driver_time AS (
  SELECT process_id, device, sum(duration_ns) AS lost_ns
  FROM costly
  ANTI JOIN nested USING (run_id, call_id)
  GROUP BY process_id, device
)
SELECT
  printf('%.2f MiB were given back and memory was reserved again %d times', f.given_bytes / 1048576, f.calls) AS finding,
  f.parts::DOUBLE AS share_pct,
  d.lost_ns::BIGINT AS lost_ns,
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
    'SELECT * FROM (SELECT start_time, delta_bytes, allocated_bytes, reserved_bytes, reserved_bytes::BIGINT - lag(reserved_bytes::BIGINT) OVER (ORDER BY start_time, call_id) AS change_bytes FROM torch_alloc_events WHERE process_id = {} AND device = {} AND reserved_bytes IS NOT NULL) WHERE change_bytes <> 0 ORDER BY start_time LIMIT 50',
    f.process_id, f.device
  ) AS evidence
FROM found f
LEFT JOIN driver_time d ON d.process_id = f.process_id AND d.device IS NOT DISTINCT FROM f.device
JOIN processes p ON p.process_id = f.process_id
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
