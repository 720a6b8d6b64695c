-- @title Bursts and pauses of each process
-- @question In which stretches does a process use the GPU, and how long is it idle between them?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @param gap_ms DOUBLE 500 ms [0..] -- a pause of at least this length ends a burst
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column burst - -- Number of the burst
-- @column started UTC -- First call of the burst
-- @column burst_ns ns -- Length of the burst
-- @column pause_before_ns ns -- Time without any call before it; NULL for the first
-- @column calls calls -- Calls
-- @column launches calls -- Kernel and graph launches
-- @column h2d_bytes bytes -- Bytes copied to the device
-- @column allocated_bytes bytes -- Bytes of successful allocations
-- @column wait_ns ns -- Time in synchronizations
-- @sampling pairs
-- @fidelity derived -- A burst is a stretch of calls without a pause of gap_ms, over all threads of the process.
-- @interpret A service has a burst for each request, a training job one for each epoch or evaluation. A burst that copies and allocates
--   gigabytes with few launches loads a model: swapping models costs this each time. Long pauses of a GPU that costs money are idle
--   time, for example while an agent waits for tools or the network.
-- @next launch-gaps, copy-timeline, vram-timeline
WITH calls AS (
  SELECT
    run_id, process_id, call_id, sample_weight, status, bytes, duration_ns,
    epoch_ns(start_time) AS from_ns,
    epoch_ns(start_time) + coalesce(duration_ns, 0) AS to_ns,
    op::VARCHAR AS op,
    kind::VARCHAR AS kind
  FROM cuda_events
  WHERE $pid IS NULL OR pid = $pid
),
spaced AS (
  SELECT
    *,
    from_ns - max(to_ns) OVER (
      PARTITION BY run_id, process_id ORDER BY from_ns, call_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS pause_ns
  FROM calls
),
numbered AS (
  SELECT
    *,
    1 + sum((coalesce(pause_ns, 0) >= $gap_ms * 1000000)::INTEGER) OVER (
      PARTITION BY run_id, process_id ORDER BY from_ns, call_id ROWS UNBOUNDED PRECEDING
    )::BIGINT AS burst
  FROM spaced
)
SELECT
  n.run_id,
  p.pid,
  p.comm AS process,
  n.burst,
  make_timestamp_ns(min(n.from_ns)) AS started,
  max(n.to_ns) - min(n.from_ns) AS burst_ns,
  arg_min(n.pause_ns, (n.from_ns, n.call_id)) AS pause_before_ns,
  sum(n.sample_weight)::BIGINT AS calls,
  coalesce(sum(n.sample_weight) FILTER (n.op LIKE 'cudaLaunch%Kernel%' OR n.op = 'cudaGraphLaunch'), 0)::BIGINT AS launches,
  coalesce(sum(n.bytes * n.sample_weight) FILTER (n.op LIKE 'cudaMemcpy%' AND n.kind = 'h2d' AND n.status = 'ok'), 0)::BIGINT AS h2d_bytes,
  coalesce(sum(n.bytes * n.sample_weight) FILTER (n.op LIKE 'cudaMalloc%' AND n.status = 'ok'), 0)::BIGINT AS allocated_bytes,
  coalesce(sum(n.duration_ns * n.sample_weight) FILTER (n.op LIKE '%Synchronize'), 0)::BIGINT AS wait_ns
FROM numbered n
LEFT JOIN processes p ON p.run_id = n.run_id AND p.process_id = n.process_id
GROUP BY n.run_id, n.process_id, p.pid, p.comm, n.burst
ORDER BY min(n.from_ns), n.run_id, p.pid, n.burst
