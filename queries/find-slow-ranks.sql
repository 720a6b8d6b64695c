-- @title A rank the others wait for
-- @question Which rank of a job waits for the GPU far less than the others do at the same time, and so is the one they wait for?
-- @requires tables=events,processes,threads,call_sites schema>=2
-- @packs cuda-runtime, cuda-driver
-- @ops cu*Synchronize, cu*Synchronize_v2
-- @param factor DOUBLE 0.5 x -- report a rank whose waiting is at most this many times the median of the others
-- @param min_wait_pct DOUBLE 20 % -- when the others wait for at least this part of the time
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the time all ranks were there that the others waited longer than this one
-- @column lost_ns ns -- That time
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
-- @fidelity proxy -- Only the time in which all ranks were recorded is compared. In a synchronous job the rank that comes last waits least; a rank with less work to do on the GPU looks the same.
-- @interpret Look at what the rank does between its calls: data loading, logging, a checkpoint, a busier core or a slower disk. Compare its
--   launch rate and its copies with those of another rank.
-- @next sync-stalls, launch-rate, find-pageable-copies
WITH ranks AS (
  SELECT e.process_id, min(epoch_ns(e.start_time)) AS from_ns, max(epoch_ns(e.start_time) + coalesce(e.duration_ns, 0)) AS to_ns
  FROM events e
  JOIN processes p USING (process_id)
  WHERE p.rank IS NOT NULL AND e.layer IN ('runtime', 'driver')
  GROUP BY e.process_id
),
-- What the runtime or NCCL asks the driver for: that is their call.
nested AS (
  SELECT e.run_id, e.call_id
  FROM events e
  JOIN events o ON o.run_id = e.run_id AND o.call_id = e.parent_id
  WHERE e.layer = 'driver' AND e.op LIKE 'cu%Synchronize%' AND o.layer IN ('runtime', 'driver', 'nccl')
),
waits AS (
  SELECT *
  FROM events e
  ANTI JOIN nested USING (run_id, call_id)
  WHERE status = 'ok' AND op LIKE 'cu%Synchronize%'
),
together AS (SELECT max(from_ns) AS from_ns, min(to_ns) AS to_ns, count(*) AS ranks FROM ranks),
waited AS (
  SELECT
    r.process_id,
    coalesce(sum(least(epoch_ns(e.start_time) + e.duration_ns, t.to_ns) - greatest(epoch_ns(e.start_time), t.from_ns)), 0) AS wait_ns,
    count(e.call_id) AS calls,
    mode(e.op) AS op,
    any_value(e.current_device) FILTER (e.current_device IS NOT NULL) AS device,
    mode(e.tid) AS tid,
    mode(e.stack_id) AS stack_id,
    -- A rank that never waits has no wait to show: then it is the time compared.
    coalesce(min(e.start_time), make_timestamp_ns(any_value(t.from_ns))) AS first_time,
    coalesce(max(e.start_time), make_timestamp_ns(any_value(t.to_ns))) AS last_time
  FROM ranks r
  CROSS JOIN together t
  LEFT JOIN waits e ON e.process_id = r.process_id
    AND epoch_ns(e.start_time) < t.to_ns
    AND epoch_ns(e.start_time) + e.duration_ns > t.from_ns
  WHERE t.ranks > 1 AND t.to_ns > t.from_ns
  GROUP BY r.process_id
),
compared AS (
  SELECT w.*, (SELECT quantile_cont(o.wait_ns, 0.5) FROM waited o WHERE o.process_id <> w.process_id) AS others_ns, t.to_ns - t.from_ns AS span_ns
  FROM waited w
  CROSS JOIN together t
),
found AS (
  SELECT *, others_ns - wait_ns AS lost_ns
  FROM compared
  WHERE wait_ns <= $factor * others_ns AND 100 * others_ns / span_ns >= $min_wait_pct
)
SELECT
  printf('rank %d waits %.1f %% of the time, the other ranks %.1f %%: they wait for it', p.rank, 100 * f.wait_ns / f.span_ns, 100 * f.others_ns / f.span_ns) AS finding,
  round(100 * f.lost_ns / f.span_ns, 2) AS share_pct,
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
  'SELECT rank, layer, count(*) AS waits, sum(duration_ns) AS wait_ns, quantile_cont(duration_ns, 0.5) AS median_ns FROM events JOIN processes USING (process_id) WHERE rank IS NOT NULL AND op LIKE ''cu%Synchronize%'' GROUP BY rank, layer ORDER BY layer, rank' AS evidence
FROM found f
JOIN processes p USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
