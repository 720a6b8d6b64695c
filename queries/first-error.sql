-- @title First error of each process
-- @question What failed first in each process, and what had the thread done just before?
-- @requires tables=events,processes schema>=2
-- @param before INTEGER 5 calls [0..1000] -- show this many calls the thread made before the failure
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread
-- @column step - -- 0 is the failed call, -1 the call before it on the same thread, and so on
-- @column start_time UTC -- When the call was entered
-- @column layer - -- Layer of the operation
-- @column op - -- Operation
-- @column status - -- ok, error, or how the call ended
-- @column error - -- Name of the error
-- @column return_code - -- Value returned
-- @column duration_ns ns -- Time in the call
-- @column bytes bytes -- Size the call moves or allocates
-- @column later_errors calls -- Failed calls of the process after the first
-- @column call_id - -- Identity of the call in its run
-- @sampling pairs
-- @fidelity exact -- Return values in the order of entry; "not ready" answers of queries are no errors. Of a failure seen in several layers the outermost call that entered first is shown.
-- @interpret A copy, launch or synchronization that fails with an illegal address, an assert or a launch failure reports work that was
--   queued earlier: look at the launches before it, and run again with CUDA_LAUNCH_BLOCKING=1 to find the one. later_errors are
--   usually that first failure again (sticky errors).
-- @next api-errors, cuda-api-trace, out-of-memory
WITH failures AS (
  SELECT *
  FROM events
  WHERE status = 'error' AND coalesce(error, '') NOT IN ('cudaErrorNotReady', 'CUDA_ERROR_NOT_READY')
),
firsts AS (
  SELECT
    run_id,
    process_id,
    arg_min(tid, (start_time, call_id)) AS tid,
    min((start_time, call_id)) AS at,
    count(*) - 1 AS later_errors
  FROM failures
  GROUP BY run_id, process_id
),
steps AS (
  SELECT
    e.*,
    f.later_errors,
    1 - row_number() OVER (PARTITION BY e.run_id, e.process_id ORDER BY e.start_time DESC, e.call_id DESC) AS step
  FROM events e
  JOIN firsts f ON f.run_id = e.run_id AND f.process_id = e.process_id AND f.tid = e.tid
    AND (e.start_time, e.call_id) <= f.at
)
SELECT
  s.run_id,
  s.pid,
  p.comm AS process,
  s.tid,
  s.step,
  s.start_time,
  s.layer,
  s.op,
  s.status,
  s.error,
  s.return_code,
  s.duration_ns,
  s.bytes,
  s.later_errors,
  s.call_id
FROM steps s
LEFT JOIN processes p USING (run_id, process_id)
WHERE s.step >= -$before
ORDER BY s.run_id, max(s.start_time) OVER (PARTITION BY s.run_id, s.process_id), s.process_id, s.step
