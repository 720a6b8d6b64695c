-- @title Single long waits
-- @question Which waits for the GPU took far longer than the others of the same kind?
-- @requires tables=events,processes,threads,call_sites schema>=2
-- @packs cuda-runtime, cuda-driver
-- @ops cu*Synchronize, cu*Synchronize_v2
-- @param min_ms DOUBLE 100 ms -- report waits of at least this length
-- @param factor DOUBLE 10 x -- and of at least this many times the median of the same operation in the same process
-- @param min_calls INTEGER 10 calls -- compare only operations with at least this many calls
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the process's recorded time lost
-- @column lost_ns ns -- Time in these waits beyond the median
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
-- @fidelity derived -- Durations are exact; the median of the same operation in the same process stands for the time it should have taken.
-- @interpret The GPU was busy with something unusual, or something held the thread up: a much larger kernel, another process on the device,
--   a clock or power limit, a page fault storm, a slow rank that the collective waited for. Look at what the other threads and
--   processes did at that time.
-- @next sync-stalls
WITH spans AS (
  SELECT
    process_id,
    min(start_time) AS begun,
    greatest(max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)), 1) AS span_ns
  FROM events
  WHERE layer IN ('runtime', 'driver')
  GROUP BY process_id
),
waits AS (
  SELECT
    *,
    quantile_cont(duration_ns, 0.5) OVER (PARTITION BY process_id, op) AS median_ns,
    count(*) OVER (PARTITION BY process_id, op) AS others
  FROM events e
  WHERE status = 'ok' AND op LIKE 'cu%Synchronize%'
    -- Not what the runtime or NCCL asks the driver for: that is their call.
    AND NOT EXISTS (SELECT 1 FROM events o WHERE o.run_id = e.run_id AND o.call_id = e.parent_id AND o.layer IN ('runtime', 'driver', 'nccl'))
),
found AS (
  SELECT
    process_id,
    op,
    any_value(current_device) FILTER (current_device IS NOT NULL) AS device,
    mode(tid) AS tid,
    mode(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls,
    sum(duration_ns - median_ns) AS lost_ns,
    max(duration_ns) AS max_ns,
    any_value(median_ns) AS median_ns
  FROM waits
  WHERE duration_ns >= $min_ms * 1000000 AND duration_ns >= $factor * median_ns AND others >= $min_calls
  GROUP BY process_id, op
)
SELECT
  printf('%d %s of up to %.0f ms, where %.3f ms is usual', f.calls, f.op, f.max_ns / 1e6, f.median_ns / 1e6) AS finding,
  round(100 * f.lost_ns / s.span_ns, 2) AS share_pct,
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
    'SELECT start_time, tid, op, duration_ns FROM events WHERE process_id = {} AND op = ''{}'' ORDER BY duration_ns DESC LIMIT {}',
    f.process_id, f.op, f.calls + 5
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
JOIN spans s USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
