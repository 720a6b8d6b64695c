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
WITH ranked AS (
  SELECT
    run_id, process_id, op, start_time, duration_ns, call_id,
    row_number() OVER (PARTITION BY run_id, process_id, op ORDER BY start_time, call_id) AS n
  FROM cuda_events
  WHERE duration_ns IS NOT NULL
),
others AS (
  SELECT run_id, process_id, op, quantile_disc(duration_ns, 0.5) AS usual_ns, count(*) AS other_calls
  FROM ranked
  WHERE n > 1
  GROUP BY run_id, process_id, op
)
SELECT
  run_id,
  p.pid,
  p.comm AS process,
  r.op::VARCHAR AS op,
  r.start_time AS first_time,
  r.duration_ns AS first_ns,
  o.usual_ns,
  round(r.duration_ns / nullif(o.usual_ns, 0), 1) AS times_usual,
  o.other_calls,
  r.call_id
FROM ranked r
JOIN others o USING (run_id, process_id, op)
JOIN processes p USING (run_id, process_id)
WHERE r.n = 1 AND r.duration_ns >= greatest($factor * o.usual_ns, $min_us * 1000)
ORDER BY first_ns DESC, run_id, r.call_id
