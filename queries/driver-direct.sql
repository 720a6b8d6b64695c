-- @title Driver calls past the runtime
-- @question Which driver calls were made inside no recorded call: by Triton, by a private runtime of cuBLAS or cuDNN, by the program?
-- @requires tables=cuda_driver_events,processes schema>=2
-- @packs cuda-driver
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the calls belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column op - -- Operation
-- @column calls calls -- Calls made inside no recorded call
-- @column share_pct % -- Part of all calls of this operation in the process
-- @column total_ns ns -- Time in these calls
-- @column errors calls -- Calls that returned an error
-- @sampling weighted
-- @fidelity exact -- parent_id is NULL: nothing recorded was open on the thread. When only the driver pack was traced, every call is here.
-- @interpret Work that a trace of the runtime alone does not see. Launches here in a PyTorch program are Triton kernels or cuBLAS.
-- @next runtime-to-driver, cuda-driver-sum
SELECT
  run_id,
  pid,
  p.comm AS process,
  op::VARCHAR AS op,
  sum(sample_weight) FILTER (parent_id IS NULL)::BIGINT AS calls,
  round(100 * calls / sum(sample_weight), 3) AS share_pct,
  coalesce(sum(duration_ns * sample_weight) FILTER (parent_id IS NULL), 0)::BIGINT AS total_ns,
  coalesce(sum(sample_weight) FILTER (parent_id IS NULL AND status = 'error'), 0)::BIGINT AS errors
FROM cuda_driver_events
LEFT JOIN (SELECT run_id, process_id, comm FROM processes) p USING (run_id, process_id)
WHERE $pid IS NULL OR pid = $pid
GROUP BY run_id, process_id, pid, p.comm, op
HAVING calls > 0
ORDER BY run_id, total_ns DESC, calls DESC, pid, op
