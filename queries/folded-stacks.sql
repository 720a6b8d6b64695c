-- @title Stacks in folded form
-- @question How did the program come to its calls, and what time do they take by stack?
-- @requires tables=events,frames,processes schema>=2
-- @discovery SELECT CASE WHEN EXISTS (SELECT 1 FROM processes) AND NOT EXISTS (SELECT 1 FROM frames) THEN 'no stacks were recorded: trace with --stacks' END
-- @param pid INTEGER null - [1..] -- only this process
-- @param layer VARCHAR null - -- only calls of this layer
-- @column run_id - -- Run the calls belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column folded - -- Process, functions from the outermost to the called one, operation, with `;` between them; a frame without a name is its file, or [unknown]
-- @column calls calls -- Calls
-- @column total_ns ns -- Time in the call, all calls together
-- @sampling weighted
-- @fidelity derived -- Time and calls are exact; frames of code built without frame pointers are missing, and what is further out with them.
-- @interpret For a flame graph: `ingero run-query folded-stacks run.duckdb --layer runtime --format jsonl | jq -r '"\(.folded) \(.total_ns)"' | flamegraph.pl`.
--   One layer at a time: a call is seen in each.
-- @next time-by-site, call-tree
WITH by_stack AS (
  SELECT
    run_id,
    process_id,
    pid,
    stack_id,
    op,
    sum(sample_weight) AS calls,
    coalesce(sum(duration_ns * sample_weight), 0) AS total_ns
  FROM events
  WHERE ($pid IS NULL OR pid = $pid) AND ($layer IS NULL OR layer::VARCHAR = $layer)
  GROUP BY run_id, process_id, pid, stack_id, op
),
folded AS (
  SELECT
    stack_id,
    string_agg(
      coalesce(replace(function, ';', ':'), '[' || parse_filename(module) || ']', '[unknown]'),
      ';' ORDER BY position DESC
    ) FILTER (NOT (position = 0 AND module_offset IS NOT NULL)) AS frames
  FROM frames
  GROUP BY stack_id
)
SELECT
  b.run_id,
  b.pid,
  p.comm AS process,
  concat_ws(';', replace(p.comm, ';', ':'), f.frames, b.op::VARCHAR) AS folded,
  sum(b.calls)::BIGINT AS calls,
  sum(b.total_ns)::BIGINT AS total_ns
FROM by_stack b
LEFT JOIN folded f USING (stack_id)
LEFT JOIN processes p USING (process_id)
GROUP BY b.run_id, b.process_id, b.pid, p.comm, f.frames, b.op
ORDER BY total_ns DESC, calls DESC, b.run_id, b.pid, folded
