-- @title Processes that disturb each other
-- @question Does a process wait longer while other processes use the GPU than when it is alone?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @param bucket_ms INTEGER 100 ms [1..] -- time is divided into buckets of this width
-- @param min_launches INTEGER 5 calls [1..] -- a process is active in a bucket with at least this many launches
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column buckets_alone - -- Buckets in which it alone was active
-- @column buckets_shared - -- Buckets in which others were active too
-- @column launches_alone calls/s -- Launch rate when alone
-- @column launches_shared calls/s -- Launch rate when others were active
-- @column wait_alone_ns ns -- Median wait for the GPU when alone
-- @column wait_shared_ns ns -- Median wait when others were active
-- @column slowdown x -- wait_shared_ns / wait_alone_ns
-- @column others - -- Processes it shared buckets with most, by pid
-- @sampling weighted
-- @fidelity heuristic -- Activity is told from launches on the host, in buckets; that two processes use one device is assumed, as devices of processes are numbered apart. A process that works harder when others do too looks disturbed.
-- @interpret slowdown of 1.5 and more with a launch rate that falls: they share the device by time slices. Move one to another device, or
--   use MPS or MIG. Check by-device and CUDA_VISIBLE_DEVICES first.
-- @next by-process, by-device, launch-rate
WITH width AS (SELECT $bucket_ms::BIGINT * 1000000 AS ns),
activity AS (
  SELECT
    e.run_id,
    e.process_id,
    epoch_ns(e.start_time) // ns AS bucket,
    sum(e.sample_weight) FILTER (e.op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR e.op::VARCHAR = 'cudaGraphLaunch') AS launches,
    quantile_disc(e.duration_ns, 0.5) FILTER (e.op::VARCHAR LIKE '%Synchronize') AS wait_ns
  FROM cuda_events e, width
  GROUP BY e.run_id, e.process_id, bucket
  HAVING launches >= $min_launches
),
marked AS (
  SELECT *, count(*) OVER (PARTITION BY run_id, bucket) > 1 AS shared FROM activity
),
companions AS (
  SELECT run_id, process_id, array_to_string(list(pid ORDER BY n DESC, pid)[1:3], ',') AS others
  FROM (
    SELECT a.run_id, a.process_id, p.pid, count(*) AS n
    FROM marked a
    JOIN marked b ON b.run_id = a.run_id AND b.bucket = a.bucket AND b.process_id <> a.process_id
    JOIN processes p ON p.run_id = b.run_id AND p.process_id = b.process_id
    WHERE a.shared
    GROUP BY a.run_id, a.process_id, p.pid
  )
  GROUP BY run_id, process_id
)
SELECT
  m.run_id,
  p.pid,
  p.comm AS process,
  count(*) FILTER (NOT m.shared) AS buckets_alone,
  count(*) FILTER (m.shared) AS buckets_shared,
  round(1000 * avg(m.launches) FILTER (NOT m.shared) / $bucket_ms, 1) AS launches_alone,
  round(1000 * avg(m.launches) FILTER (m.shared) / $bucket_ms, 1) AS launches_shared,
  quantile_disc(m.wait_ns, 0.5) FILTER (NOT m.shared) AS wait_alone_ns,
  quantile_disc(m.wait_ns, 0.5) FILTER (m.shared) AS wait_shared_ns,
  round(wait_shared_ns / nullif(wait_alone_ns, 0), 2) AS slowdown,
  any_value(o.others) AS others
FROM marked m
LEFT JOIN companions o ON o.run_id = m.run_id AND o.process_id = m.process_id
LEFT JOIN processes p ON p.run_id = m.run_id AND p.process_id = m.process_id
GROUP BY m.run_id, m.process_id, p.pid, p.comm
ORDER BY slowdown DESC NULLS LAST, buckets_shared DESC, m.run_id, p.pid
