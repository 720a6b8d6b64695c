-- @title Calls that never returned
-- @question Which operations were entered and not seen to return, and how did they end?
-- @requires tables=capture,events schema>=2
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the calls belong to
-- @column layer - -- Layer of the operation
-- @column op - -- Operation
-- @column status - -- in_flight: still running at the end; thread_exited: its thread ended inside it; unwound: left by an exception or longjmp
-- @column calls calls -- Calls that ended this way
-- @column processes processes -- Processes it happened in
-- @column threads threads -- Threads it happened in
-- @column first_time UTC -- First of these calls
-- @column last_time UTC -- Last of these calls
-- @column longest_ns ns -- Longest time an in-flight call had been waiting when recording ended
-- @sampling weighted
-- @fidelity exact -- As seen by the kernel on the thread.
-- @interpret in_flight for seconds is a hang (in-flight-calls shows each). thread_exited in many processes at one time is a kill or a
--   crash while they waited. unwound in PyTorch is an exception that passed through the call, usually out of memory.
-- @next in-flight-calls, first-error
SELECT
  e.run_id,
  e.layer,
  e.op,
  e.status,
  sum(e.sample_weight)::BIGINT AS calls,
  count(DISTINCT e.process_id) AS processes,
  count(DISTINCT (e.process_id, e.tid)) AS threads,
  min(e.start_time) AS first_time,
  max(e.start_time) AS last_time,
  max(epoch_ns(c.ended_at) - epoch_ns(e.start_time)) FILTER (e.status = 'in_flight') AS longest_ns
FROM events e
JOIN capture c USING (run_id)
WHERE e.status IN ('in_flight', 'thread_exited', 'unwound')
  AND ($pid IS NULL OR e.pid = $pid)
GROUP BY e.run_id, e.layer, e.op, e.status
ORDER BY longest_ns DESC NULLS LAST, calls DESC, e.run_id, e.layer, e.op, e.status
