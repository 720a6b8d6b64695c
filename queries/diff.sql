-- @title What changed between two captures
-- @question Which operations are called more, or take longer, in one run than in another?
-- @requires tables=events,capture schema>=2
-- @discovery SELECT CASE WHEN count(*) < 2 AND EXISTS (SELECT 1 FROM events) THEN 'it needs two runs: name two captures, or a merged one' END FROM capture
-- @param a INTEGER 1 - [1..] -- run to compare from
-- @param b INTEGER 2 - [1..] -- run to compare with
-- @param min_ms DOUBLE 0 ms [0..] -- only operations whose time per minute differs by at least this much
-- @column layer - -- Layer of the operation
-- @column op - -- Operation
-- @column calls_a calls -- Calls in run a
-- @column calls_b calls -- Calls in run b
-- @column calls_change_pct % -- Change of the calls per minute of recording
-- @column ms_per_min_a ms -- Time in the calls per minute of recording, run a
-- @column ms_per_min_b ms -- The same of run b
-- @column difference_ms ms -- ms_per_min_b less ms_per_min_a
-- @column p50_a_ns ns -- Median of run a
-- @column p50_b_ns ns -- Median of run b
-- @column p50_change x -- p50_b_ns / p50_a_ns
-- @column p99_a_ns ns -- 99 % of the calls of run a took no longer
-- @column p99_b_ns ns -- The same of run b
-- @column errors_a calls -- Calls of run a that returned an error
-- @column errors_b calls -- The same of run b
-- @column verdict - -- only in a, only in b, slower, faster, more calls, fewer calls, or same (within 20 %)
-- @sampling weighted
-- @fidelity derived -- Counts and quantiles are exact; rates divide by the time between the start and the end of each recording (its first and last call, for one that was cut off). Recordings of other phases of a program differ without anything being wrong.
-- @interpret Read from the top: difference_ms is where the time went. slower with equal calls: the operation or the GPU; more calls at an
--   equal median: the program.
-- @next cuda-api-sum, by-process
-- @nsys diff
WITH spans AS (
  SELECT
    c.run_id,
    (epoch_ns(coalesce(c.ended_at, (SELECT max(start_time) FROM events e WHERE e.run_id = c.run_id))) - epoch_ns(c.started_at)) / 6e10
      AS minutes
  FROM capture c
  WHERE c.run_id IN ($a, $b)
),
sums AS (
  SELECT
    e.run_id,
    e.layer,
    e.op,
    sum(e.sample_weight)::BIGINT AS calls,
    coalesce(sum(e.duration_ns * e.sample_weight), 0) / 1e6 AS ms,
    quantile_disc(e.duration_ns, 0.5) AS p50_ns,
    quantile_disc(e.duration_ns, 0.99) AS p99_ns,
    coalesce(sum(e.sample_weight) FILTER (e.status = 'error'), 0)::BIGINT AS errors,
    any_value(s.minutes) AS minutes
  FROM events e
  JOIN spans s USING (run_id)
  GROUP BY e.run_id, e.layer, e.op
)
SELECT
  layer,
  op,
  coalesce(a.calls, 0) AS calls_a,
  coalesce(b.calls, 0) AS calls_b,
  round(100 * ((b.calls / b.minutes) / nullif(a.calls / a.minutes, 0) - 1), 1) AS calls_change_pct,
  round(coalesce(a.ms / nullif(a.minutes, 0), 0), 3) AS ms_per_min_a,
  round(coalesce(b.ms / nullif(b.minutes, 0), 0), 3) AS ms_per_min_b,
  round(ms_per_min_b - ms_per_min_a, 3) AS difference_ms,
  a.p50_ns AS p50_a_ns,
  b.p50_ns AS p50_b_ns,
  round(b.p50_ns / nullif(a.p50_ns, 0), 2) AS p50_change,
  a.p99_ns AS p99_a_ns,
  b.p99_ns AS p99_b_ns,
  coalesce(a.errors, 0) AS errors_a,
  coalesce(b.errors, 0) AS errors_b,
  CASE
    WHEN b.calls IS NULL THEN 'only in a'
    WHEN a.calls IS NULL THEN 'only in b'
    WHEN p50_change > 1.2 THEN 'slower'
    WHEN p50_change < 0.8 THEN 'faster'
    WHEN calls_change_pct > 20 THEN 'more calls'
    WHEN calls_change_pct < -20 THEN 'fewer calls'
    ELSE 'same'
  END AS verdict
FROM (SELECT * FROM sums WHERE run_id = $a) a
FULL JOIN (SELECT * FROM sums WHERE run_id = $b) b USING (layer, op)
WHERE abs(coalesce(b.ms / nullif(b.minutes, 0), 0) - coalesce(a.ms / nullif(a.minutes, 0), 0)) >= $min_ms
ORDER BY abs(difference_ms) DESC, layer, op
