-- @title Calls by layer
-- @question What does each layer of the stack (runtime, driver, NCCL, PyTorch ...) do, seen for itself?
-- @requires tables=events schema>=2
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the calls belong to
-- @column layer - -- Layer of the stack
-- @column event_table - -- Table the calls are in
-- @column operations - -- Number of different operations
-- @column calls calls -- Calls
-- @column outermost calls -- Calls made inside no recorded call
-- @column errors calls -- Calls that returned an error
-- @column total_ns ns -- Time in the calls
-- @column outermost_ns ns -- Time in the outermost calls: these add up over layers without counting anything twice
-- @sampling weighted
-- @fidelity exact -- Counts of recorded calls. A call whose outer call was lost counts as outermost.
-- @interpret A runtime call is seen again in the driver: total_ns of two layers is never added, outermost_ns may be. Driver calls
--   that are outermost were made past the public runtime: see driver-direct.
-- @next cuda-api-sum, cuda-driver-sum, nccl-sum
SELECT
  run_id,
  layer,
  event_table,
  count(DISTINCT op) AS operations,
  sum(sample_weight)::BIGINT AS calls,
  coalesce(sum(sample_weight) FILTER (parent_id IS NULL), 0)::BIGINT AS outermost,
  coalesce(sum(sample_weight) FILTER (status = 'error'), 0)::BIGINT AS errors,
  coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS total_ns,
  coalesce(sum(duration_ns * sample_weight) FILTER (parent_id IS NULL), 0)::BIGINT AS outermost_ns
FROM events
WHERE $pid IS NULL OR pid = $pid
GROUP BY run_id, layer, event_table
ORDER BY run_id, total_ns DESC, layer, event_table
