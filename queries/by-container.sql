-- @title Break-down by container
-- @question Which container or service uses the GPU, and how much?
-- @requires tables=cuda_events,processes,capture schema>=2
-- @packs cuda-runtime
-- @column hostname - -- Host
-- @column container_id - -- Container id found in the control group path; NULL outside of containers
-- @column cgroup - -- Control group of its processes
-- @column processes processes -- Processes
-- @column users - -- User ids of the processes
-- @column calls calls -- Calls
-- @column errors calls -- Calls that returned an error
-- @column launches calls -- Kernel and graph launches
-- @column copied_bytes bytes -- Bytes of successful copies
-- @column call_ns ns -- Time in the calls, all threads together
-- @column share_pct % -- Part of the launches on this host
-- @column p99_launch_ns ns -- 99 % of its launches took no longer
-- @sampling weighted
-- @fidelity exact -- Counts of recorded calls, by the control group each process was in when it was first seen.
-- @interpret A container with most of the launches and copies is the neighbour the others feel: see contention.
-- @next by-process, contention
WITH calls AS (
  SELECT
    run_id, process_id, status, bytes, duration_ns, sample_weight,
    op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch' AS is_launch,
    op::VARCHAR LIKE 'cudaMemcpy%' AS is_copy
  FROM cuda_events
)
SELECT
  t.hostname,
  p.container_id,
  CASE WHEN count(DISTINCT p.cgroup) = 1 THEN any_value(p.cgroup) END AS cgroup,
  count(DISTINCT (c.run_id, c.process_id)) AS processes,
  array_to_string(list_sort(list(DISTINCT p.uid) FILTER (p.uid IS NOT NULL)), ',') AS users,
  sum(c.sample_weight)::BIGINT AS calls,
  coalesce(sum(c.sample_weight) FILTER (c.status = 'error'), 0)::BIGINT AS errors,
  coalesce(sum(c.sample_weight) FILTER (c.is_launch), 0)::BIGINT AS launches,
  coalesce(sum(c.bytes * c.sample_weight) FILTER (c.is_copy AND c.status = 'ok'), 0)::BIGINT AS copied_bytes,
  coalesce(sum(c.duration_ns * c.sample_weight), 0)::BIGINT AS call_ns,
  round(
    100 * coalesce(sum(c.sample_weight) FILTER (c.is_launch), 0)
    / nullif(sum(sum(c.sample_weight) FILTER (c.is_launch)) OVER (PARTITION BY t.hostname), 0),
    3
  ) AS share_pct,
  quantile_disc(c.duration_ns, 0.99) FILTER (c.is_launch) AS p99_launch_ns
FROM calls c
JOIN processes p USING (run_id, process_id)
JOIN capture t USING (run_id)
GROUP BY t.hostname, p.container_id, CASE WHEN p.container_id IS NULL THEN p.cgroup END
ORDER BY call_ns DESC, t.hostname, p.container_id, cgroup
