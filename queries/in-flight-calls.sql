-- @title Calls still running at the end
-- @question Which calls had not returned when recording ended, and how long had they been waiting?
-- @requires tables=capture,events,processes,threads schema>=2
-- @param min_ms DOUBLE 0 ms [0..] -- only calls that had been running at least this long
-- @column run_id - -- Run the call belongs to
-- @column event_table - -- Table the call is in
-- @column op - -- Operation
-- @column waiting_ns ns -- Time from its entry to the end of recording; NULL when the recorder was cut off
-- @column start_time UTC -- When it was entered
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Global rank of the process
-- @column tid - -- Thread
-- @column thread - -- Name of the thread
-- @column bytes bytes -- Size it moves or allocates
-- @column inside - -- Recorded call it was made inside of
-- @column call_id - -- Identity of the call in its run
-- @sampling rows
-- @fidelity exact -- Calls whose entry was recorded and whose return had not come when probes were detached.
-- @interpret Calls of a few microseconds are merely what was running at the end. A call that has waited for seconds is a hang:
--   several ranks in the same collective, or one that is in a different call than the rest, tell which.
-- @next never-returned, nccl-desync, sync-stalls
SELECT
  e.run_id,
  e.event_table,
  e.op,
  epoch_ns(c.ended_at) - epoch_ns(e.start_time) AS waiting_ns,
  e.start_time,
  e.pid,
  p.comm AS process,
  p.rank,
  e.tid,
  t.thread,
  e.bytes,
  outer_call.op AS inside,
  e.call_id
FROM events e
JOIN capture c USING (run_id)
LEFT JOIN events outer_call ON outer_call.run_id = e.run_id AND outer_call.call_id = e.parent_id
LEFT JOIN processes p ON p.run_id = e.run_id AND p.process_id = e.process_id
LEFT JOIN (
  SELECT run_id, process_id, tid, any_value(name) AS thread FROM threads GROUP BY run_id, process_id, tid
) t ON t.run_id = e.run_id AND t.process_id = e.process_id AND t.tid = e.tid
WHERE e.status = 'in_flight'
  AND ($min_ms = 0 OR epoch_ns(c.ended_at) - epoch_ns(e.start_time) >= $min_ms * 1000000)
ORDER BY e.start_time, e.run_id, e.call_id
