-- @title Allocations never freed
-- @question Which single allocations were still held when recording ended, largest first?
-- @requires tables=capture,cuda_events,processes schema>=1
-- @param min_bytes BIGINT 0 bytes -- only allocations of at least this size
-- @param limit INTEGER 50 rows -- show at most this many
-- @column start_time UTC -- When it was allocated
-- @column age_ns ns -- Time it was held until recording ended; NULL when the recorder was cut off
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread that allocated it
-- @column op - -- Operation
-- @column bytes bytes -- Size asked for
-- @column ptr address -- Address (or array handle)
-- @column call_id - -- Identity of the call in this capture
-- @fidelity derived -- An allocation counts as held until the next successful free of the same address in the same process, or until the address is handed out again. Memory released by cudaDeviceReset, by destroying a pool, or by the end of the process counts as held.
-- @interpret Old allocations of one size by one thread are the usual shape of a leak; the largest are often a cache or workspace
--   that is meant to live as long as the program.
-- @next alloc-balance
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
calls AS (
  SELECT
    e.*,
    o.heap,
    o.action,
    CASE o.heap WHEN 'array' THEN e."array" ELSE e.ptr END AS address,
    -- Memory exists from the return of an allocation; it may be handed out again as soon as a free has begun.
    epoch_ns(e.start_time) + CASE o.action WHEN 'alloc' THEN coalesce(e.duration_ns, 0) ELSE 0 END AS at_ns
  FROM cuda_events e
  JOIN ops o ON o.op = e.op::VARCHAR
  WHERE e.status = 'ok'
),
lives AS (
  SELECT
    *,
    lead(action) OVER (PARTITION BY pid, heap, address ORDER BY at_ns, call_id) AS next_action
  FROM calls
  WHERE address IS NOT NULL AND address <> 0
)
SELECT
  start_time,
  (SELECT epoch_ns(ended_at) FROM capture) - at_ns AS age_ns,
  pid,
  process,
  tid,
  op::VARCHAR AS op,
  bytes,
  address AS ptr,
  call_id
FROM lives
LEFT JOIN (SELECT pid, any_value(comm) AS process FROM processes GROUP BY pid) USING (pid)
WHERE action = 'alloc' AND next_action IS NULL AND coalesce(bytes, 0) >= $min_bytes
ORDER BY bytes DESC NULLS LAST, call_id
LIMIT $limit
