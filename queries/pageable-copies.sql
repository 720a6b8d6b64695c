-- @title Asynchronous copies that do not look asynchronous
-- @question Which asynchronous copies took as long as the copy itself, as they do from pageable memory?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMemcpy*Async
-- @param min_bytes BIGINT 65536 bytes [1..] -- only copies of at least this size
-- @param max_gb_per_s DOUBLE 100 GB/s [0..] -- a copy is suspected when bytes / time in the call is below this
-- @param min_copies INTEGER 1 calls [1..] -- only groups with at least this many suspected copies
-- @column run_id - -- Run the copies belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column op - -- Operation
-- @column direction - -- h2d or d2h
-- @column copies calls -- Asynchronous copies of at least min_bytes
-- @column suspected calls -- Those whose call lasted as long as such a copy takes
-- @column suspected_bytes bytes -- Bytes of the suspected copies
-- @column suspected_ns ns -- Time in the suspected calls: what the host lost
-- @column gb_per_s GB/s -- Rate of the suspected calls
-- @column other_p50_ns ns -- Median time in the other calls
-- @column host_buffers - -- Different host addresses of the suspected copies
-- @sampling weighted
-- @fidelity heuristic -- The kind of host memory is not recorded. A call that takes long in proportion to its bytes may also have waited for a full queue or a lock. d2h from pageable memory always blocks; h2d returns once the data is staged.
-- @interpret An asynchronous copy of pinned memory returns in microseconds whatever its size. Allocate the host_buffers with
--   cudaMallocHost or register them (pin_memory=True in a PyTorch DataLoader), then copy with non_blocking=True.
-- @next slow-memcpy, memcpy-sizes
-- @nsys cuda_memcpy_async
SELECT
  e.run_id,
  p.pid,
  p.comm AS process,
  e.op::VARCHAR AS op,
  e.kind::VARCHAR AS direction,
  sum(e.sample_weight)::BIGINT AS copies,
  coalesce(sum(e.sample_weight) FILTER (e.suspect), 0)::BIGINT AS suspected,
  coalesce(sum(e.bytes * e.sample_weight) FILTER (e.suspect), 0)::BIGINT AS suspected_bytes,
  coalesce(sum(e.duration_ns * e.sample_weight) FILTER (e.suspect), 0)::BIGINT AS suspected_ns,
  round(sum(e.bytes) FILTER (e.suspect) / nullif(sum(e.duration_ns) FILTER (e.suspect), 0), 3) AS gb_per_s,
  quantile_disc(e.duration_ns, 0.5) FILTER (NOT e.suspect) AS other_p50_ns,
  count(DISTINCT CASE WHEN e.kind::VARCHAR = 'd2h' THEN e.dst_ptr ELSE e.src_ptr END) FILTER (e.suspect) AS host_buffers
FROM (
  SELECT *, bytes / duration_ns < $max_gb_per_s AS suspect
  FROM cuda_events
  WHERE op::VARCHAR LIKE 'cudaMemcpy%Async'
    AND kind::VARCHAR IN ('h2d', 'd2h')
    AND status = 'ok'
    AND bytes >= $min_bytes
    AND duration_ns > 0
) e
LEFT JOIN processes p ON p.run_id = e.run_id AND p.process_id = e.process_id
GROUP BY e.run_id, e.process_id, p.pid, p.comm, e.op, e.kind
HAVING suspected >= $min_copies
ORDER BY suspected_ns DESC, e.run_id, p.pid, op, direction
