-- @title Tail latency by operation
-- @question Which operations have a long tail, and how much time does the tail cost?
-- @requires tables=events schema>=2
-- @param min_calls INTEGER 100 calls [1..] -- only operations that returned at least this often
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the calls belong to
-- @column layer - -- Layer of the operation
-- @column op - -- Operation
-- @column calls calls -- Calls that returned
-- @column p50_ns ns -- Median
-- @column p99_ns ns -- 99 % of the calls took no longer
-- @column p999_ns ns -- 99.9 % of the calls took no longer
-- @column max_ns ns -- Longest call
-- @column tail_ratio x -- p99_ns / p50_ns
-- @column tail_ns ns -- Time above the median in calls beyond p99_ns: what the tail costs
-- @sampling weighted
-- @fidelity exact -- Quantiles of the recorded calls; the cost is weighted.
-- @interpret A tail_ratio of 3 and more is an operation that now and then waits for something. tail_ns says whether that matters:
--   sort by it. tail-latency shows the single calls, and what the thread was doing.
-- @next tail-latency, latency-histogram, periodic-spikes
WITH quantiles AS (
  SELECT
    run_id,
    layer,
    op,
    count(*) AS calls,
    quantile_disc(duration_ns, [0.5, 0.99, 0.999])[1] AS p50_ns,
    quantile_disc(duration_ns, [0.5, 0.99, 0.999])[2] AS p99_ns,
    quantile_disc(duration_ns, [0.5, 0.99, 0.999])[3] AS p999_ns,
    max(duration_ns) AS max_ns
  FROM events
  WHERE duration_ns IS NOT NULL AND ($pid IS NULL OR pid = $pid)
  GROUP BY run_id, layer, op
  HAVING count(*) >= $min_calls
),
tails AS (
  SELECT run_id, layer, op, sum((e.duration_ns - q.p50_ns) * e.sample_weight) AS tail_ns
  FROM events e
  JOIN quantiles q USING (run_id, layer, op)
  WHERE e.duration_ns > q.p99_ns AND ($pid IS NULL OR e.pid = $pid)
  GROUP BY run_id, layer, op
)
SELECT
  run_id,
  layer,
  op,
  calls,
  p50_ns,
  p99_ns,
  p999_ns,
  max_ns,
  round(p99_ns / nullif(p50_ns, 0), 2) AS tail_ratio,
  coalesce(tail_ns, 0)::BIGINT AS tail_ns
FROM quantiles
LEFT JOIN tails USING (run_id, layer, op)
ORDER BY run_id, tail_ns DESC, op
