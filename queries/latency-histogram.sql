-- @title Durations by power of two
-- @question Are the durations of an operation one group or several?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @param op VARCHAR * - -- only operations that match this pattern (* and ?)
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the calls belong to
-- @column op - -- Operation
-- @column from_ns ns -- Shortest duration of the class
-- @column below_ns ns -- First duration beyond the class (twice from_ns)
-- @column calls calls -- Calls in the class
-- @column share_pct % -- Part of the operation's calls
-- @column total_ns ns -- Time in these calls
-- @column time_share_pct % -- Part of the operation's time
-- @sampling weighted
-- @fidelity exact -- Calls that returned, by the power of two below their duration.
-- @interpret Two humps are two kinds of call: a launch that goes into the queue and one that waits for a full queue, a copy of
--   pinned memory and one of pageable memory. A few calls with most of the time: see tail-latency.
-- @next tail-latency, cuda-api-sum
SELECT
  run_id,
  op::VARCHAR AS op,
  CASE WHEN class < 0 THEN 0 ELSE 1::BIGINT << class END AS from_ns,
  1::BIGINT << (class + 1) AS below_ns,
  sum(sample_weight)::BIGINT AS calls,
  round(100 * sum(sample_weight) / sum(sum(sample_weight)) OVER (PARTITION BY run_id, op), 3) AS share_pct,
  sum(duration_ns * sample_weight)::BIGINT AS total_ns,
  round(
    100 * sum(duration_ns * sample_weight) / nullif(sum(sum(duration_ns * sample_weight)) OVER (PARTITION BY run_id, op), 0),
    3
  ) AS time_share_pct
FROM (
  SELECT run_id, op, duration_ns, sample_weight, CASE WHEN duration_ns < 1 THEN -1 ELSE floor(log2(duration_ns))::INTEGER END AS class
  FROM cuda_events
  WHERE duration_ns IS NOT NULL AND op::VARCHAR GLOB $op AND ($pid IS NULL OR pid = $pid)
)
GROUP BY run_id, op, class
ORDER BY run_id, op, class
