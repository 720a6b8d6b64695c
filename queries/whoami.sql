-- @title About this capture
-- @question Who recorded this file, where, when, of what, and how did it end?
-- @requires tables=capture,events,processes,probes schema>=2
-- @column run_id - -- Run
-- @column field - -- Column of the capture table, or a count
-- @column value - -- Its value as text
-- @sampling none
-- @fidelity exact -- As recorded by ingero.
-- @interpret end_reason cut-off means that the recorder was killed: rows up to its last commit are here, and accounting is not.
-- @next what-was-attached, what-was-lost, event-tables
WITH counts (run_id, field, value) AS (
  SELECT run_id, 'events', count(e.run_id)::VARCHAR FROM capture LEFT JOIN (SELECT run_id FROM events) e USING (run_id) GROUP BY run_id
  UNION ALL
  SELECT run_id, 'processes', count(p.run_id)::VARCHAR FROM capture LEFT JOIN processes p USING (run_id) GROUP BY run_id
  UNION ALL
  SELECT run_id, 'probes_attached', count(*) FILTER (p.state = 'attached')::VARCHAR FROM capture LEFT JOIN probes p USING (run_id) GROUP BY run_id
  UNION ALL
  SELECT run_id, 'probes_not_attached', count(*) FILTER (p.state <> 'attached')::VARCHAR
  FROM capture
  LEFT JOIN probes p USING (run_id)
  GROUP BY run_id
)
SELECT run_id, field, value
FROM (
  SELECT run_id, field, value, 0 AS part
  FROM (SELECT run_id, COLUMNS(* EXCLUDE run_id)::VARCHAR FROM capture) UNPIVOT INCLUDE NULLS (value FOR field IN (COLUMNS(* EXCLUDE run_id)))
  UNION ALL
  SELECT run_id, field, value, 1 FROM counts
)
LEFT JOIN (SELECT column_name AS field, column_index FROM duckdb_columns() WHERE database_name = current_database() AND table_name = 'capture') USING (field)
ORDER BY run_id, part, column_index, field
