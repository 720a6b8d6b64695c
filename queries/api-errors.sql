-- @title Failed calls
-- @question Which calls failed, with which error, how often, since when, and who was first?
-- @requires tables=events schema>=2
-- @param pid INTEGER null - [1..] -- only this process
-- @param polling BOOLEAN false - -- include the "not ready" answers of event and stream queries
-- @column run_id - -- Run the calls belong to
-- @column layer - -- Layer of the operation
-- @column op - -- Operation
-- @column error - -- Name of the error; NULL when the code has no known name
-- @column return_code - -- Value returned
-- @column calls calls -- Calls that failed this way
-- @column share_pct % -- Part of all returned calls of this operation
-- @column first_time UTC -- First failure
-- @column last_time UTC -- Last failure
-- @column processes processes -- Number of processes it happened in
-- @column first_pid - -- Process of the first failure
-- @column first_tid - -- Thread of the first failure
-- @column first_call_id - -- call_id of the first failure
-- @sampling weighted
-- @fidelity exact -- Return values as the caller received them.
-- @interpret The earliest first_time is usually the cause and the rest follow. cudaErrorMemoryAllocation: see out-of-memory. Errors of
--   asynchronous work (illegal address, device assert) are reported by a later, innocent call. One failure shows in each layer it
--   passes: the driver's row is the inner one.
-- @next first-error, out-of-memory
WITH returned AS (
  SELECT run_id, layer, op, sum(sample_weight) AS returned
  FROM events
  WHERE status IN ('ok', 'error')
  GROUP BY run_id, layer, op
)
SELECT
  run_id,
  layer,
  op,
  error,
  return_code,
  sum(sample_weight)::BIGINT AS calls,
  round(100 * sum(sample_weight) / any_value(returned), 3) AS share_pct,
  min(start_time) AS first_time,
  max(start_time) AS last_time,
  count(DISTINCT process_id) AS processes,
  arg_min(pid, (start_time, call_id)) AS first_pid,
  arg_min(tid, (start_time, call_id)) AS first_tid,
  arg_min(call_id, (start_time, call_id)) AS first_call_id
FROM events
JOIN returned USING (run_id, layer, op)
WHERE status = 'error'
  AND ($pid IS NULL OR pid = $pid)
  AND ($polling OR coalesce(error, '') NOT IN ('cudaErrorNotReady', 'CUDA_ERROR_NOT_READY'))
GROUP BY run_id, layer, op, error, return_code
ORDER BY first_time, run_id, first_call_id
