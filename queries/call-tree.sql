-- @title Calls inside calls
-- @question Which recorded calls are made inside which others, and where is the time spent?
-- @requires tables=events schema>=2
-- @param pid INTEGER null - [1..] -- only this process
-- @param max_depth INTEGER 8 levels [1..32] -- follow nesting this deep
-- @column run_id - -- Run the calls belong to
-- @column path - -- Operations from the outermost to this one
-- @column depth levels -- Nesting; 1 is a call made inside no recorded call
-- @column layer - -- Layer of the innermost operation
-- @column calls calls -- Calls on this path
-- @column errors calls -- Calls that returned an error
-- @column total_ns ns -- Time in these calls, with what they call
-- @column self_ns ns -- Time in these calls without the recorded calls inside them: adds up without counting anything twice
-- @column max_ns ns -- Longest call
-- @sampling pairs
-- @fidelity exact -- Nesting is recorded by the kernel on the thread. A call whose outer call was lost appears as outermost.
-- @interpret High self_ns is time in the operation itself; high total_ns with low self_ns points to the rows below it.
-- @next runtime-to-driver, cuda-api-sum
WITH RECURSIVE nested AS MATERIALIZED (
  SELECT run_id, call_id, parent_id, op, layer, status, duration_ns
  FROM events
  WHERE parent_id IS NOT NULL AND ($pid IS NULL OR pid = $pid)
),
inner_time AS MATERIALIZED (
  SELECT run_id, parent_id AS call_id, coalesce(sum(duration_ns), 0)::BIGINT AS inner_ns FROM nested GROUP BY run_id, parent_id
),
-- Calls with calls inside of them.
outer_calls AS MATERIALIZED (
  SELECT e.run_id, e.call_id, e.parent_id, e.op, e.layer, e.status, e.duration_ns
  FROM events e
  SEMI JOIN inner_time USING (run_id, call_id)
),
-- Calls whose parent was not recorded are outermost as well.
orphans AS MATERIALIZED (
  SELECT n.*
  FROM nested n
  ANTI JOIN outer_calls o ON o.run_id = n.run_id AND o.call_id = n.parent_id
),
tree AS (
  SELECT run_id, call_id, op AS path, 1 AS depth, layer, status, duration_ns
  FROM outer_calls
  WHERE parent_id IS NULL
  UNION ALL
  SELECT run_id, call_id, op, 1, layer, status, duration_ns
  FROM orphans
  SEMI JOIN inner_time USING (run_id, call_id)
  UNION ALL
  SELECT c.run_id, c.call_id, t.path || ' > ' || c.op, t.depth + 1, c.layer, c.status, c.duration_ns
  FROM tree t
  JOIN nested c ON c.run_id = t.run_id AND c.parent_id = t.call_id
  WHERE t.depth < $max_depth
),
sums AS (
  SELECT
    run_id, op AS path, 1 AS depth, layer, count(*) AS calls, count(*) FILTER (status = 'error') AS errors,
    sum(duration_ns) AS total_ns, sum(duration_ns) AS self_ns, max(duration_ns) AS max_ns
  FROM events
  WHERE parent_id IS NULL AND ($pid IS NULL OR pid = $pid)
  GROUP BY run_id, op, layer
  UNION ALL
  SELECT run_id, op, 1, layer, 1, (status = 'error')::INTEGER, duration_ns, duration_ns, duration_ns
  FROM orphans
  UNION ALL
  SELECT run_id, path, depth, layer, 1, (status = 'error')::INTEGER, duration_ns, duration_ns - coalesce(inner_ns, 0), duration_ns
  FROM tree
  LEFT JOIN inner_time USING (run_id, call_id)
  WHERE depth > 1
  UNION ALL
  -- What the outermost calls spent in calls inside of them.
  SELECT run_id, path, depth, layer, 0, 0, NULL, -inner_ns, NULL
  FROM tree
  JOIN inner_time USING (run_id, call_id)
  WHERE depth = 1 AND duration_ns IS NOT NULL
)
SELECT
  run_id,
  path,
  depth,
  layer,
  sum(calls)::BIGINT AS calls,
  sum(errors)::BIGINT AS errors,
  coalesce(sum(total_ns), 0)::BIGINT AS total_ns,
  coalesce(sum(self_ns), 0)::BIGINT AS self_ns,
  max(max_ns) AS max_ns
FROM sums
GROUP BY run_id, path, depth, layer
ORDER BY run_id, path, layer
