-- @title Failed calls
-- @question Which calls failed, with which error, how often, since when, and who was first?
-- @requires tables=cuda_events schema>=1
-- @column op - -- Operation
-- @column error - -- Name of the error; NULL when the code has no known name
-- @column return_code - -- Value returned
-- @column calls calls -- Calls that failed this way
-- @column share_pct % -- Part of all returned calls of this operation
-- @column first_time UTC -- First failure
-- @column last_time UTC -- Last failure
-- @column processes - -- Number of processes it happened in
-- @column first_pid - -- Process of the first failure
-- @column first_tid - -- Thread of the first failure
-- @column first_call_id - -- call_id of the first failure
-- @fidelity exact -- Return values as the caller received them.
-- @interpret The earliest first_time is usually the cause and the rest follow. cudaErrorNotReady from cudaEventQuery and cudaStreamQuery
--   is how polling looks, not a failure. cudaErrorMemoryAllocation: see alloc-balance. Errors of asynchronous work (illegal address ...)
--   are reported by a later, innocent call.
-- @next cuda-api-sum, alloc-balance
WITH returned AS (
  SELECT op, count(*) AS returned FROM cuda_events WHERE status IN ('ok', 'error') GROUP BY op
)
SELECT
  op::VARCHAR AS op,
  error::VARCHAR AS error,
  return_code,
  count(*) AS calls,
  round(100 * count(*) / any_value(returned), 3) AS share_pct,
  min(start_time) AS first_time,
  max(start_time) AS last_time,
  count(DISTINCT pid) AS processes,
  arg_min(pid, (start_time, call_id)) AS first_pid,
  arg_min(tid, (start_time, call_id)) AS first_tid,
  arg_min(call_id, (start_time, call_id)) AS first_call_id
FROM cuda_events
JOIN returned USING (op)
WHERE status = 'error'
GROUP BY op, error, return_code
ORDER BY first_time, first_call_id
