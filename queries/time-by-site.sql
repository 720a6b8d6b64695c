-- @title Calls and time by place in the program
-- @question Which functions of the program make which calls, and what time do they take there?
-- @requires tables=call_sites,events,processes,stacks schema>=2
-- @discovery SELECT CASE WHEN EXISTS (SELECT 1 FROM processes) AND NOT EXISTS (SELECT 1 FROM stacks) THEN 'no stacks were recorded: trace with --stacks' END
-- @param pid INTEGER null - [1..] -- only this process
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the calls belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column site - -- Innermost function of the stack outside of the CUDA and NCCL libraries, or its file; NULL for calls without a stack
-- @column layer - -- Layer the operation belongs to
-- @column op - -- Operation
-- @column stacks - -- Different stacks these calls came from
-- @column calls calls -- Calls
-- @column errors calls -- Calls that returned an error
-- @column total_ns ns -- Time in the call, all calls together
-- @column share_pct % -- Part of the time of all operations of the layer in the run
-- @column max_ns ns -- Longest call
-- @sampling weighted
-- @fidelity derived -- Time and calls are exact; the place is the innermost frame with a name, and frames of code built without frame pointers are missing.
-- @interpret The top rows are where to look in the source. A layer's rows add up to all of its time; layers repeat each other.
--   One site with many stacks is a wrapper that everything goes through: folded-stacks shows who calls it.
-- @next folded-stacks, alloc-sites, sync-stalls
WITH by_stack AS (
  SELECT
    run_id,
    process_id,
    pid,
    stack_id,
    layer,
    op,
    sum(sample_weight) AS calls,
    coalesce(sum(sample_weight) FILTER (status = 'error'), 0) AS errors,
    coalesce(sum(duration_ns * sample_weight), 0) AS total_ns,
    max(duration_ns) AS max_ns
  FROM events
  WHERE $pid IS NULL OR pid = $pid
  GROUP BY run_id, process_id, pid, stack_id, layer, op
)
SELECT
  b.run_id,
  b.pid,
  p.comm AS process,
  s.site,
  b.layer::VARCHAR AS layer,
  b.op::VARCHAR AS op,
  count(b.stack_id) AS stacks,
  sum(b.calls)::BIGINT AS calls,
  sum(b.errors)::BIGINT AS errors,
  sum(b.total_ns)::BIGINT AS total_ns,
  round(100 * sum(b.total_ns) / nullif(sum(sum(b.total_ns)) OVER (PARTITION BY b.run_id, b.layer), 0), 3) AS share_pct,
  max(b.max_ns) AS max_ns
FROM by_stack b
LEFT JOIN call_sites s USING (stack_id)
LEFT JOIN processes p USING (process_id)
GROUP BY b.run_id, b.process_id, b.pid, p.comm, s.site, b.layer, b.op
ORDER BY total_ns DESC, calls DESC, b.run_id, b.pid, b.layer, b.op, s.site
LIMIT $limit
