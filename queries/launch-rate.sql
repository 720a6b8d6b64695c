-- @title Kernel launch rate
-- @question How many kernels and graphs does each process launch over time, and where does launching pause?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @ops cudaLaunch*Kernel*, cudaGraphLaunch
-- @param bucket_ms INTEGER 1000 ms [1..] -- width of a row in time
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the launches belong to
-- @column bucket_start UTC -- Beginning of the time bucket
-- @column pid - -- Process
-- @column launches calls -- Kernel and graph launches
-- @column launches_per_s calls/s -- Rate in the bucket
-- @column errors calls -- Launches that returned an error
-- @column launch_ns ns -- Host time spent launching
-- @column p50_ns ns -- Half of the launches took no longer
-- @column max_ns ns -- Longest launch call
-- @column longest_pause_ns ns -- Longest time between two launches of the process that ends in this bucket
-- @sampling weighted
-- @fidelity proxy -- Launches as the host issues them. When kernels run is not seen, and a graph launch is one launch whatever it holds. Buckets without launches have no row.
-- @interpret A launch takes a few microseconds; a max_ns of milliseconds means that the launch queue was full (the GPU is behind) or
--   that code was loaded. Long pauses with an idle GPU are time lost on the host: data loading, synchronization, Python.
-- @next launch-gaps, sync-stalls, cuda-api-sum
WITH launches AS (
  SELECT
    run_id,
    process_id,
    pid,
    epoch_ns(start_time) AS at_ns,
    epoch_ns(start_time) - lag(epoch_ns(start_time)) OVER (PARTITION BY run_id, process_id ORDER BY start_time, call_id) AS pause_ns,
    duration_ns,
    status,
    sample_weight
  FROM cuda_events
  WHERE (op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch')
    AND ($pid IS NULL OR pid = $pid)
),
width AS (SELECT $bucket_ms::BIGINT * 1000000 AS ns)
SELECT
  run_id,
  make_timestamp_ns(at_ns // ns * ns) AS bucket_start,
  pid,
  sum(sample_weight)::BIGINT AS launches,
  round(sum(sample_weight) * 1e9 / any_value(ns), 3) AS launches_per_s,
  coalesce(sum(sample_weight) FILTER (status = 'error'), 0)::BIGINT AS errors,
  coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS launch_ns,
  quantile_disc(duration_ns, 0.5) AS p50_ns,
  max(duration_ns) AS max_ns,
  max(pause_ns) AS longest_pause_ns
FROM launches, width
GROUP BY run_id, bucket_start, process_id, pid
ORDER BY bucket_start, run_id, pid
