-- @title Calls that never returned
-- @question Which calls were still running when recording ended, and since when?
-- @requires tables=capture,events,processes,threads schema>=1
-- @column event_table - -- Event table the call is in
-- @column op - -- Operation
-- @column waiting_ns ns -- Time in the call when recording ended; NULL when the recorder was cut off
-- @column start_time UTC -- When the call was entered
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread
-- @column thread - -- Name of the thread
-- @column bytes bytes -- Size the call moves or allocates
-- @column inside - -- Recorded call it was made inside of
-- @column call_id - -- Identity of the call in this capture
-- @fidelity exact -- Calls whose entry was recorded and whose return had not come when probes were detached.
-- @interpret Calls of a few microseconds are merely what was running at the end. A call that has waited for seconds is a hang:
--   several ranks in the same collective, or one that is in a different call than the rest, tell which.
-- @next sync-stalls, api-errors
SELECT
  e.event_table,
  e.op,
  (SELECT epoch_ns(ended_at) FROM capture) - epoch_ns(e.start_time) AS waiting_ns,
  e.start_time,
  e.pid,
  p.process,
  e.tid,
  t.thread,
  e.bytes,
  outer_call.op AS inside,
  e.call_id
FROM events e
LEFT JOIN events outer_call ON outer_call.call_id = e.parent_id
LEFT JOIN (SELECT pid, any_value(comm) AS process FROM processes GROUP BY pid) p ON p.pid = e.pid
LEFT JOIN (SELECT pid, tid, any_value(name) AS thread FROM threads GROUP BY pid, tid) t ON t.pid = e.pid AND t.tid = e.tid
WHERE e.status = 'in_flight'
ORDER BY e.start_time, e.call_id
