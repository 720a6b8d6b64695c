-- @title Calls that never returned
-- @question Which calls were still running when recording ended, and had been for long?
-- @requires tables=capture,events,processes,threads,call_sites schema>=2
-- @packs cuda-runtime, cuda-driver, nccl
-- @ops cu*, nccl*
-- @param min_ms DOUBLE 1000 ms -- report calls that had been running for at least this long
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the process's recorded time since the call was entered
-- @column lost_ns ns -- Time since the call was entered
-- @column calls calls -- Calls affected
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank of the process; NULL when it has none
-- @column device - -- Device that was current; NULL when unknown or several
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First affected call
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity exact -- Calls in flight are read from the kernel when recording ends.
-- @interpret A wait that does not end: a kernel in an endless loop, a collective one rank never joined, a deadlock between streams, a dead GPU.
--   The last launches before it on the same stream are the suspects; with several ranks, find the one that does not wait.
-- @next in-flight-calls
WITH ended AS (SELECT run_id, coalesce(ended_at, started_at) AS ended_at FROM capture),
-- What the runtime or NCCL asks the driver for: that is their call.
nested AS (
  SELECT e.run_id, e.call_id
  FROM events e
  JOIN events o ON o.run_id = e.run_id AND o.call_id = e.parent_id
  WHERE e.status = 'in_flight' AND o.layer IN ('runtime', 'driver', 'nccl')
),
flying AS (
  SELECT e.*, epoch_ns(c.ended_at) - epoch_ns(e.start_time) AS age_ns
  FROM events e
  JOIN ended c USING (run_id)
  ANTI JOIN nested n ON n.run_id = e.run_id AND n.call_id = e.call_id
  WHERE e.status = 'in_flight' AND e.layer IN ('runtime', 'driver', 'nccl')
),
begun AS (SELECT process_id, min(start_time) AS begun FROM events WHERE layer IN ('runtime', 'driver', 'nccl') GROUP BY process_id),
found AS (
  SELECT
    process_id,
    arg_max(op, age_ns) AS op,
    any_value(current_device) FILTER (current_device IS NOT NULL) AS device,
    arg_max(tid, age_ns) AS tid,
    mode(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls,
    max(age_ns) AS lost_ns,
    max(epoch_ns(start_time) + age_ns) AS ended_ns
  FROM flying
  WHERE age_ns >= $min_ms * 1000000
  GROUP BY process_id
)
SELECT
  printf('%s had not returned after %.1f s when recording ended', f.op, f.lost_ns / 1e9) AS finding,
  round(100 * f.lost_ns / greatest(f.ended_ns - epoch_ns(b.begun), 1), 2) AS share_pct,
  f.lost_ns::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  p.rank,
  f.device,
  f.op,
  call_site(f.stack_id, f.process_id, f.tid) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT start_time, tid, layer, op, status, duration_ns, call_id, parent_id FROM events WHERE process_id = {} ORDER BY start_time DESC LIMIT 20',
    f.process_id
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
JOIN begun b USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
