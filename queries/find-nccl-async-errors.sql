-- @title Communicators that failed
-- @question Which communicators reported an error of their own work, when, and how long did the program go on?
-- @requires tables=nccl_events,processes,threads,call_sites schema>=2
-- @packs nccl
-- @ops ncclCommGetAsyncError
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the process's recorded time from the first report on
-- @column lost_ns ns -- Time from the first report to the process's last NCCL call
-- @column calls calls -- Reports of an error
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank of the process; NULL when it has none
-- @column device - -- Device that was current; NULL when unknown or several
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First report
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling rows
-- @fidelity exact -- What ncclCommGetAsyncError told the program. An error nobody asked for is not seen.
-- @interpret Work in the background failed: a rank that died (ncclRemoteError: look at the others), the network (ncclSystemError), the device
--   (ncclUnhandledCudaError: see find-errors). Run again with NCCL_DEBUG=WARN. The communicator has to be aborted (ncclCommAbort).
-- @next nccl-desync, first-error
WITH spans AS (
  SELECT process_id, min(epoch_ns(start_time)) AS from_ns, max(epoch_ns(start_time) + coalesce(duration_ns, 0)) AS to_ns
  FROM nccl_events
  GROUP BY process_id
),
found AS (
  SELECT
    process_id,
    comm,
    arg_min(op::VARCHAR, (start_time, call_id)) AS op,
    arg_min(async_error::VARCHAR, (start_time, call_id)) AS error,
    any_value(current_device) FILTER (current_device IS NOT NULL) AS device,
    mode(tid) AS tid,
    mode(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls
  FROM nccl_events
  WHERE async_error::VARCHAR NOT IN ('ncclSuccess', 'ncclInProgress')
  GROUP BY process_id, comm
)
SELECT
  printf('communicator 0x%x failed with %s, told %d times', f.comm, f.error, f.calls) AS finding,
  round(100 * (s.to_ns - epoch_ns(f.first_time)) / greatest(s.to_ns - s.from_ns, 1), 2) AS share_pct,
  (s.to_ns - epoch_ns(f.first_time))::BIGINT AS lost_ns,
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
    'SELECT start_time, tid, op, status, error, async_error, comm FROM nccl_events WHERE process_id = {} AND start_time <= ''{}'' ORDER BY start_time DESC LIMIT 50',
    f.process_id, f.last_time
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
JOIN spans s USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
