-- @title From the first launch to the next synchronization
-- @question How long are the steps of work each thread gives a stream, from the first launch until it waits for the result?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaLaunch*Kernel*, cudaGraphLaunch
-- @param min_launches INTEGER 1 calls [1..] -- only steps with at least this many launches
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the steps belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread
-- @column steps - -- Number of steps
-- @column launches_p50 calls -- Median number of launches of a step
-- @column p50_ns ns -- Median length of a step
-- @column p95_ns ns -- 95 % of the steps were no longer
-- @column max_ns ns -- Longest step
-- @column outliers - -- Steps longer than twice the median
-- @column wait_pct % -- Part of the steps' time the thread waited for the GPU
-- @column between_p50_ns ns -- Median time from the end of a step to the next launch
-- @column variation_pct % -- Standard deviation of the length of a step, as a part of its mean
-- @sampling pairs
-- @fidelity proxy -- A step begins with the first launch after a synchronization and ends with the next synchronization of the same thread. It stands for a training step, a decoding step or a request where the program waits once in each.
-- @interpret Outliers far above p50_ns are slow steps: find their time with tail-latency. A high between_p50_ns is host work between
--   steps. A high variation_pct with equal launches: the GPU's speed or its share of the device changes.
-- @next launch-gaps, tail-latency, contention
WITH calls AS (
  SELECT run_id, process_id, tid, start_time, duration_ns, op::VARCHAR LIKE '%Synchronize' AS waits
  FROM cuda_events
  WHERE ($pid IS NULL OR pid = $pid)
    AND (op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch' OR op::VARCHAR LIKE '%Synchronize')
),
numbered AS (
  SELECT
    *,
    -- Synchronizations before this call: the calls between two of them are one step, and the second ends it.
    sum(waits::INTEGER) OVER (PARTITION BY process_id, tid ORDER BY start_time ROWS UNBOUNDED PRECEDING) - waits::INTEGER AS step
  FROM calls
),
steps AS (
  SELECT
    any_value(run_id) AS run_id,
    process_id,
    tid,
    step,
    epoch_ns(min(start_time) FILTER (NOT waits)) AS began_ns,
    max(epoch_ns(start_time) + duration_ns) FILTER (waits) AS ended_ns,
    sum(duration_ns) FILTER (waits) AS wait_ns,
    count(*) FILTER (NOT waits) AS launches
  FROM numbered
  GROUP BY process_id, tid, step
  HAVING count(*) FILTER (NOT waits) >= $min_launches AND count(*) FILTER (waits AND duration_ns IS NOT NULL) > 0
),
lengths AS (
  SELECT
    *,
    ended_ns - began_ns AS ns,
    began_ns - lag(ended_ns) OVER (PARTITION BY run_id, process_id, tid ORDER BY step) AS between_ns
  FROM steps
),
medians AS (
  SELECT run_id, process_id, tid, median(ended_ns - began_ns) AS median_ns FROM steps GROUP BY run_id, process_id, tid
)
SELECT
  l.run_id,
  p.pid,
  p.comm AS process,
  l.tid,
  count(*) AS steps,
  quantile_disc(l.launches, 0.5) AS launches_p50,
  quantile_disc(l.ns, 0.5) AS p50_ns,
  quantile_disc(l.ns, 0.95) AS p95_ns,
  max(l.ns) AS max_ns,
  count(*) FILTER (l.ns > 2 * m.median_ns) AS outliers,
  round(100 * sum(l.wait_ns) / nullif(sum(l.ns), 0), 3) AS wait_pct,
  quantile_disc(l.between_ns, 0.5) AS between_p50_ns,
  round(100 * stddev_pop(l.ns) / nullif(avg(l.ns), 0), 1) AS variation_pct
FROM lengths l
JOIN medians m ON m.run_id = l.run_id AND m.process_id = l.process_id AND m.tid = l.tid
LEFT JOIN processes p ON p.run_id = l.run_id AND p.process_id = l.process_id
GROUP BY l.run_id, l.process_id, p.pid, p.comm, l.tid
ORDER BY sum(l.ns) DESC, l.run_id, p.pid, l.tid
