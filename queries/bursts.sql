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
WITH cells AS (
  -- Calls that begin within gap_ms of each other are in one burst, so they can be summed in cells of that width first.
  SELECT
    run_id,
    process_id,
    epoch_ns(start_time) // greatest(($gap_ms * 1000000)::BIGINT, 1) AS cell,
    min(epoch_ns(start_time)) AS from_ns,
    max(epoch_ns(start_time) + coalesce(duration_ns, 0)) AS to_ns,
    sum(sample_weight) AS calls,
    sum(sample_weight) FILTER (op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch') AS launches,
    sum(bytes * sample_weight) FILTER (op::VARCHAR LIKE 'cudaMemcpy%' AND kind::VARCHAR = 'h2d' AND status = 'ok') AS h2d_bytes,
    sum(bytes * sample_weight) FILTER (op::VARCHAR LIKE 'cudaMalloc%' AND status = 'ok') AS allocated_bytes,
    sum(duration_ns * sample_weight) FILTER (op::VARCHAR LIKE '%Synchronize') AS wait_ns
  FROM cuda_events
  WHERE $pid IS NULL OR pid = $pid
  GROUP BY run_id, process_id, cell
),
spaced AS (
  SELECT
    *,
    from_ns - max(to_ns) OVER (
      PARTITION BY run_id, process_id ORDER BY cell ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS pause_ns
  FROM cells
),
numbered AS (
  SELECT
    *,
    1 + sum((coalesce(pause_ns, 0) >= $gap_ms * 1000000 AND pause_ns IS NOT NULL)::INTEGER) OVER (
      PARTITION BY run_id, process_id ORDER BY cell ROWS UNBOUNDED PRECEDING
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
  CASE WHEN n.burst > 1 THEN max(n.pause_ns) END AS pause_before_ns,
  sum(n.calls)::BIGINT AS calls,
  coalesce(sum(n.launches), 0)::BIGINT AS launches,
  coalesce(sum(n.h2d_bytes), 0)::BIGINT AS h2d_bytes,
  coalesce(sum(n.allocated_bytes), 0)::BIGINT AS allocated_bytes,
  coalesce(sum(n.wait_ns), 0)::BIGINT AS wait_ns
FROM numbered n
LEFT JOIN processes p ON p.run_id = n.run_id AND p.process_id = n.process_id
GROUP BY n.run_id, n.process_id, p.pid, p.comm, n.burst
ORDER BY min(n.from_ns), n.run_id, p.pid, n.burst
