-- @title What the first call costs
-- @question Which operations are slow the first time a process calls them?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @param factor DOUBLE 10 x [1..] -- only first calls that took at least this many times the median of the others
-- @param min_us DOUBLE 100 us [0..] -- and at least this long
-- @column run_id - -- Run the call belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column op - -- Operation
-- @column first_time UTC -- First call
-- @column first_ns ns -- Time in the first call
-- @column usual_ns ns -- Median of the other calls
-- @column times_usual x -- first_ns / usual_ns
-- @column other_calls calls -- Recorded calls after the first
-- @column call_id - -- Identity of the first call in its run
-- @sampling pairs
-- @fidelity derived -- The first recorded call stands for the first call: true for a process that was started while recording.
-- @interpret First calls make contexts, load code and fill pools. A service can make them before it takes requests: launch each kernel
--   once, allocate once, warm up every graph.
-- @next cold-start
WITH firsts AS MATERIALIZED (
  SELECT run_id, process_id, op, count(*) - 1 AS other_calls, min(start_time) AS first_time
  FROM cuda_events
  WHERE duration_ns IS NOT NULL
  GROUP BY run_id, process_id, op
),
-- The first call itself: of several at that nanosecond, the one with the smallest call_id.
slow AS MATERIALIZED (
  SELECT e.run_id, e.process_id, e.op, e.start_time, f.other_calls, min(e.call_id) AS call_id, arg_min(e.duration_ns, e.call_id) AS duration_ns
  FROM cuda_events e
  JOIN firsts f ON f.process_id = e.process_id AND f.op = e.op AND f.first_time = e.start_time
  WHERE e.duration_ns IS NOT NULL AND f.other_calls > 0
  GROUP BY e.run_id, e.process_id, e.op, e.start_time, f.other_calls
  HAVING arg_min(e.duration_ns, e.call_id) >= $min_us * 1000
),
usual AS (
  SELECT e.run_id, e.process_id, e.op, quantile_disc(e.duration_ns, 0.5) AS usual_ns
  FROM cuda_events e
  JOIN slow s ON s.process_id = e.process_id AND s.op = e.op
  WHERE e.duration_ns IS NOT NULL AND e.call_id <> s.call_id
  GROUP BY e.run_id, e.process_id, e.op
)
SELECT
  run_id,
  p.pid,
  p.comm AS process,
  s.op::VARCHAR AS op,
  s.start_time AS first_time,
  s.duration_ns AS first_ns,
  u.usual_ns,
  round(s.duration_ns / nullif(u.usual_ns, 0), 1) AS times_usual,
  s.other_calls,
  s.call_id
FROM slow s
JOIN usual u USING (run_id, process_id, op)
JOIN processes p USING (run_id, process_id)
WHERE s.duration_ns >= greatest($factor * u.usual_ns, $min_us * 1000)
ORDER BY first_ns DESC, run_id, s.call_id
