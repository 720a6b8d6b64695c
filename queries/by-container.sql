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
WITH by_op AS (
  SELECT
    process_id,
    op,
    sum(sample_weight) AS calls,
    sum(sample_weight) FILTER (status = 'error') AS errors,
    sum(bytes * sample_weight) FILTER (status = 'ok') AS ok_bytes,
    sum(duration_ns * sample_weight) AS call_ns
  FROM cuda_events
  GROUP BY process_id, op
),
by_process AS (
  SELECT
    process_id,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(calls) FILTER (op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch') AS launches,
    sum(ok_bytes) FILTER (op::VARCHAR LIKE 'cudaMemcpy%') AS copied_bytes,
    sum(call_ns) AS call_ns
  FROM by_op
  GROUP BY process_id
),
containers AS (
  SELECT p.process_id, t.hostname, p.container_id, p.cgroup, p.uid, CASE WHEN p.container_id IS NULL THEN p.cgroup END AS outside
  FROM processes p
  JOIN capture t USING (run_id)
),
launches AS (
  SELECT c.hostname, c.container_id, c.outside, quantile_disc(e.duration_ns, 0.99) AS p99_launch_ns
  FROM cuda_events e
  JOIN containers c ON c.process_id = e.process_id
  WHERE e.op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR e.op::VARCHAR = 'cudaGraphLaunch'
  GROUP BY c.hostname, c.container_id, c.outside
)
SELECT
  c.hostname,
  c.container_id,
  CASE WHEN count(DISTINCT c.cgroup) = 1 THEN any_value(c.cgroup) END AS cgroup,
  count(*) AS processes,
  array_to_string(list_sort(list(DISTINCT c.uid) FILTER (c.uid IS NOT NULL)), ',') AS users,
  sum(b.calls)::BIGINT AS calls,
  coalesce(sum(b.errors), 0)::BIGINT AS errors,
  coalesce(sum(b.launches), 0)::BIGINT AS launches,
  coalesce(sum(b.copied_bytes), 0)::BIGINT AS copied_bytes,
  coalesce(sum(b.call_ns), 0)::BIGINT AS call_ns,
  round(100 * coalesce(sum(b.launches), 0) / nullif(sum(sum(b.launches)) OVER (PARTITION BY c.hostname), 0), 3) AS share_pct,
  any_value(l.p99_launch_ns) AS p99_launch_ns
FROM by_process b
JOIN containers c ON c.process_id = b.process_id
LEFT JOIN launches l ON l.hostname IS NOT DISTINCT FROM c.hostname AND l.container_id IS NOT DISTINCT FROM c.container_id
  AND l.outside IS NOT DISTINCT FROM c.outside
GROUP BY c.hostname, c.container_id, c.outside
ORDER BY call_ns DESC, c.hostname, c.container_id, cgroup
