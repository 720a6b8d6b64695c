-- @title Calls inside calls
-- @question Which recorded calls are made inside which others, and where is the time spent?
-- @requires tables=events schema>=1
-- @param pid INTEGER null - -- only this process
-- @param max_depth INTEGER 8 levels -- follow nesting this deep
-- @column path - -- Operations from the outermost to this one
-- @column depth levels -- Nesting; 1 is a call made inside no recorded call
-- @column layer - -- Layer of the innermost operation
-- @column calls calls -- Calls on this path
-- @column errors calls -- Calls that returned an error
-- @column total_ns ns -- Time in these calls, with what they call
-- @column self_ns ns -- Time in these calls without the recorded calls inside them
-- @column max_ns ns -- Longest call
-- @fidelity exact -- Nesting is recorded by the kernel on the thread. A call whose outer call was lost appears as outermost.
-- @interpret High self_ns is time in the operation itself; high total_ns with low self_ns points to the rows below it.
-- @next cuda-api-sum
WITH RECURSIVE nested AS MATERIALIZED (
  SELECT call_id, parent_id, op, layer, status, duration_ns
  FROM events
  WHERE parent_id IS NOT NULL AND ($pid IS NULL OR pid = $pid)
),
inner_time AS MATERIALIZED (
  SELECT parent_id AS call_id, coalesce(sum(duration_ns), 0)::BIGINT AS inner_ns FROM nested GROUP BY parent_id
),
outermost AS NOT MATERIALIZED (
  SELECT call_id, op, layer, status, duration_ns
  FROM events
  WHERE parent_id IS NULL AND ($pid IS NULL OR pid = $pid)
  UNION ALL
  SELECT call_id, op, layer, status, duration_ns
  FROM nested
  WHERE NOT EXISTS (SELECT 1 FROM events o WHERE o.call_id = nested.parent_id)
),
-- Only calls with others inside are followed one by one: most have none.
tree AS (
  SELECT call_id, op AS path, 1 AS depth, layer, status, duration_ns FROM outermost SEMI JOIN inner_time USING (call_id)
  UNION ALL
  SELECT c.call_id, t.path || ' > ' || c.op, t.depth + 1, c.layer, c.status, c.duration_ns
  FROM tree t
  JOIN nested c ON c.parent_id = t.call_id
  WHERE t.depth < $max_depth
),
calls AS (
  SELECT op AS path, 1 AS depth, layer, status, duration_ns, 0 AS inner_ns
  FROM outermost
  ANTI JOIN inner_time USING (call_id)
  UNION ALL
  SELECT path, depth, layer, status, duration_ns, coalesce(inner_ns, 0)
  FROM tree
  LEFT JOIN inner_time USING (call_id)
)
SELECT
  path,
  depth,
  layer,
  count(*) AS calls,
  count(*) FILTER (status = 'error') AS errors,
  coalesce(sum(duration_ns), 0)::BIGINT AS total_ns,
  coalesce(sum(duration_ns - inner_ns), 0)::BIGINT AS self_ns,
  max(duration_ns) AS max_ns
FROM calls
GROUP BY path, depth, layer
ORDER BY path, layer
