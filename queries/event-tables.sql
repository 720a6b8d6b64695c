-- @title Event tables, and tables of your own packs
-- @question Which event tables does the capture have, which packs fill them, and what columns do they have?
-- @requires tables=events,packs,probes schema>=2
-- @column event_table - -- Table
-- @column packs - -- Packs that write to it
-- @column layers - -- Layers of its rows
-- @column kind - -- built-in, or site: defined by a pack
-- @column rows rows -- Rows
-- @column operations - -- Different operations among them
-- @column attached - -- Probes attached for it
-- @column first_time UTC -- First row
-- @column last_time UTC -- Last row
-- @column own_columns - -- Columns beyond those every event table has, with their types
-- @sampling none
-- @fidelity exact -- Rows are those of the file; sampled calls that were left out are not among them.
-- @interpret Query a table of your own like any other: its columns carry their descriptions (DESCRIBE, duckdb_columns()). A table without
--   rows and with attached probes was never called; see what-was-attached.
-- @next what-was-attached, layer-sum
WITH counted AS (
  SELECT
    event_table, count(*) AS rows, count(DISTINCT op) AS operations, min(start_time) AS first_time, max(start_time) AS last_time
  FROM events
  GROUP BY event_table
),
shared AS (SELECT column_name FROM duckdb_columns() WHERE database_name = current_database() AND table_name = 'events'),
described AS (
  SELECT
    table_name AS event_table,
    string_agg(column_name || ' ' || CASE WHEN data_type LIKE 'ENUM%' THEN 'NAME' ELSE data_type END, ', ' ORDER BY column_index) AS own_columns
  FROM duckdb_columns()
  WHERE database_name = current_database() AND schema_name = 'main' AND (
      -- The view has these of the tables that have them.
      column_name IN ('bytes', 'kind', 'ptr', 'dst_ptr', 'src_ptr', 'array') OR column_name NOT IN (SELECT column_name FROM shared)
    )
  GROUP BY table_name
),
filled AS (
  SELECT
    k.event_table,
    string_agg(DISTINCT k.pack, ', ' ORDER BY k.pack) AS packs,
    string_agg(DISTINCT k.layer, ', ' ORDER BY k.layer) AS layers,
    count(p.probe_id) FILTER (p.state = 'attached') AS attached
  FROM packs k
  LEFT JOIN probes p ON p.run_id = k.run_id AND p.pack = k.pack
  GROUP BY k.event_table
)
SELECT
  coalesce(t.event_table, r.event_table) AS event_table,
  t.packs,
  t.layers,
  CASE WHEN coalesce(t.event_table, r.event_table) IN ('cuda_events', 'cuda_driver_events', 'nccl_events', 'torch_alloc_events')
    THEN 'built-in' ELSE 'site' END AS kind,
  coalesce(r.rows, 0) AS rows,
  coalesce(r.operations, 0) AS operations,
  coalesce(t.attached, 0) AS attached,
  r.first_time,
  r.last_time,
  c.own_columns
FROM filled t
FULL JOIN counted r ON r.event_table = t.event_table
LEFT JOIN described c ON c.event_table = coalesce(t.event_table, r.event_table)
ORDER BY kind, event_table
