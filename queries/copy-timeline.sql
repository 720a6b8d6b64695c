-- @title Copies over time
-- @question How much does each process copy over time, in which direction, and does the rate fall?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMemcpy*
-- @param bucket_ms INTEGER 1000 ms [1..] -- width of a row in time
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the copies belong to
-- @column bucket_start UTC -- Beginning of the time bucket
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column direction - -- h2d, d2h, d2d, h2h, default; NULL when the call names none
-- @column copies calls -- Successful copies that began in the bucket
-- @column bytes bytes -- Bytes of these copies
-- @column bytes_per_s bytes/s -- bytes / width of the bucket
-- @column in_copies_ns ns -- Time in the calls
-- @column gb_per_s GB/s -- Rate of the blocking copies among them; NULL without any
-- @sampling weighted
-- @fidelity derived -- A copy counts whole in the bucket it began in. Buckets without copies have no row.
-- @interpret Bursts of d2h at a regular interval are checkpoints or logging; bursts of h2d with allocations are a model being loaded. A
--   gb_per_s that falls during the run: memcpy-drift.
-- @next memcpy-drift, memcpy-bandwidth
WITH width AS (SELECT $bucket_ms::BIGINT * 1000000 AS ns)
SELECT
  e.run_id,
  make_timestamp_ns(epoch_ns(e.start_time) // ns * ns) AS bucket_start,
  p.pid,
  p.comm AS process,
  e.kind::VARCHAR AS direction,
  sum(e.sample_weight)::BIGINT AS copies,
  coalesce(sum(e.bytes * e.sample_weight), 0)::BIGINT AS bytes,
  round(1e9 * sum(e.bytes * e.sample_weight) / any_value(ns))::BIGINT AS bytes_per_s,
  coalesce(sum(e.duration_ns * e.sample_weight), 0)::BIGINT AS in_copies_ns,
  round(
    sum(e.bytes) FILTER (e.op::VARCHAR NOT LIKE '%Async%')
    / nullif(sum(e.duration_ns) FILTER (e.op::VARCHAR NOT LIKE '%Async%'), 0),
    3
  ) AS gb_per_s
FROM cuda_events e
CROSS JOIN width
LEFT JOIN processes p ON p.run_id = e.run_id AND p.process_id = e.process_id
WHERE e.op::VARCHAR LIKE 'cudaMemcpy%'
  AND e.status = 'ok'
  AND ($pid IS NULL OR e.pid = $pid)
GROUP BY e.run_id, bucket_start, e.process_id, p.pid, p.comm, e.kind
ORDER BY bucket_start, e.run_id, p.pid, direction
