-- @title Memory that is never freed
-- @question Which processes keep allocating memory that is not freed, all through the recording?
-- @requires tables=cuda_events,processes,threads,call_sites schema>=2
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
-- @fidelity derived -- An allocation counts as held until the next successful free of the same address in the same process, or until the address is handed out again. A program that keeps growing on purpose looks the same.
-- @interpret Memory allocated at the start and kept is a cache; memory that is added all the time is a leak, and ends in cudaErrorMemoryAllocation.
--   alloc-leaks lists the single allocations; those of one size by one thread usually come from one place.
-- @next alloc-leaks, alloc-balance
WITH ops (op, heap, action) AS (
  VALUES
    ('cudaMalloc', 'memory', 'alloc'),
    ('cudaMallocPitch', 'memory', 'alloc'),
    ('cudaMalloc3D', 'memory', 'alloc'),
    ('cudaMallocManaged', 'memory', 'alloc'),
    ('cudaMallocAsync', 'memory', 'alloc'),
    ('cudaMallocFromPoolAsync', 'memory', 'alloc'),
    ('cudaFree', 'memory', 'free'),
    ('cudaFreeAsync', 'memory', 'free'),
    ('cudaMallocHost', 'host', 'alloc'),
    ('cudaHostAlloc', 'host', 'alloc'),
    ('cudaFreeHost', 'host', 'free'),
    ('cudaMallocArray', 'array', 'alloc'),
    ('cudaMalloc3DArray', 'array', 'alloc'),
    ('cudaMallocMipmappedArray', 'array', 'alloc'),
    ('cudaFreeArray', 'array', 'free'),
    ('cudaFreeMipmappedArray', 'array', 'free')
),
spans AS (
  SELECT
    process_id,
    min(start_time) AS begun,
    greatest(max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)), 1) AS span_ns
  FROM cuda_events
  GROUP BY process_id
),
calls AS (
  SELECT
    e.process_id, e.tid, e.call_id, e.start_time, e.bytes, e.current_device, e.stack_id, e.op::VARCHAR AS op, o.heap, o.action,
    CASE o.heap WHEN 'array' THEN e."array" ELSE e.ptr END AS address,
    epoch_ns(e.start_time) + CASE o.action WHEN 'alloc' THEN coalesce(e.duration_ns, 0) ELSE 0 END AS at_ns
  FROM cuda_events e
  JOIN ops o ON o.op = e.op::VARCHAR
  WHERE e.status = 'ok'
),
lives AS (
  SELECT
    *,
    lead(action) OVER history AS next_action,
    lead(at_ns) OVER history AS next_at_ns,
    count(CASE WHEN action = 'alloc' THEN 1 END) OVER (PARTITION BY process_id ORDER BY at_ns, call_id ROWS UNBOUNDED PRECEDING) AS number
  FROM calls
  WHERE address IS NOT NULL AND address <> 0
  WINDOW history AS (PARTITION BY process_id, heap, address ORDER BY at_ns, call_id)
),
levels AS (
  SELECT process_id, max(level) AS peak_bytes
  FROM (
    SELECT process_id, sum(delta) OVER (PARTITION BY process_id ORDER BY at_ns, delta ROWS UNBOUNDED PRECEDING) AS level
    FROM (
      SELECT process_id, at_ns, coalesce(bytes, 0)::BIGINT AS delta FROM lives WHERE action = 'alloc'
      UNION ALL
      SELECT process_id, next_at_ns, -coalesce(bytes, 0)::BIGINT FROM lives WHERE action = 'alloc' AND next_action IS NOT NULL
    )
  )
  GROUP BY process_id
),
allocations AS (
  SELECT process_id, count(*) AS allocations FROM lives WHERE action = 'alloc' GROUP BY process_id
),
found AS (
  SELECT
    l.process_id,
    mode(l.op) AS op,
    any_value(l.current_device) FILTER (l.current_device IS NOT NULL) AS device,
    mode(l.tid) AS tid,
    mode(l.stack_id) AS stack_id,
    min(l.start_time) AS first_time,
    max(l.start_time) AS last_time,
    count(*) AS calls,
    sum(coalesce(l.bytes, 0))::BIGINT AS bytes,
    count(DISTINCT least(9, floor(10 * (epoch_ns(l.start_time) - epoch_ns(s.begun)) / s.span_ns))) AS time_slices,
    count(DISTINCT floor(10 * (l.number - 1) / a.allocations)) AS allocation_slices,
    (epoch_ns(max(l.start_time)) - epoch_ns(min(l.start_time))) / any_value(s.span_ns) AS spread
  FROM lives l
  JOIN spans s USING (process_id)
  JOIN allocations a USING (process_id)
  WHERE l.action = 'alloc' AND l.next_action IS NULL
  GROUP BY l.process_id
  HAVING count(*) >= $min_calls
    AND 100 * count(*) / any_value(a.allocations) >= $min_share_pct
    AND (
      time_slices >= $min_slices
      -- Most allocations come and go, and these stay; not only while the program starts.
      OR (allocation_slices >= $min_slices AND 2 * count(*) <= any_value(a.allocations) AND spread >= 0.05)
    )
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
  coalesce(
    (SELECT s.site FROM call_sites s WHERE s.stack_id = f.stack_id),
    'thread ' || (SELECT any_value(t.name) FROM threads t WHERE t.tid = f.tid AND t.process_id = f.process_id)
  ) AS site,
  f.first_time,
  f.last_time,
  'SELECT * FROM (SELECT start_time, tid, op, bytes, ptr, lead(op) OVER (PARTITION BY ptr ORDER BY start_time) AS next_op FROM cuda_events WHERE process_id = '
    || f.process_id || ' AND ptr <> 0 AND status = ''ok'' AND op::VARCHAR SIMILAR TO ''cuda(Malloc|HostAlloc|Free).*'') WHERE next_op IS NULL ORDER BY bytes DESC LIMIT 50' AS evidence
FROM found f
JOIN processes p USING (process_id)
JOIN levels v USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
