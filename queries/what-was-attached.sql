-- @title What was attached
-- @question Which functions of which library files were probed, which were not, and why?
-- @requires tables=probes,libraries,probe_accounting schema>=2
-- @column run_id - -- Run
-- @column state - -- attached, skipped or failed
-- @column pack - -- Probe pack
-- @column op - -- Operation
-- @column symbol - -- Symbol attached to, or looked for
-- @column library - -- Library file; NULL when none was found
-- @column build_id - -- GNU build-id of the file
-- @column reason - -- Why it was skipped or failed
-- @column mode - -- call: entry and return; entry: only the entry
-- @column cost_class - -- emulated is cheap; single-step is several times dearer per call
-- @column hits calls -- Times it was entered while attached; NULL when the recorder was cut off
-- @sampling none
-- @fidelity exact -- As recorded by ingero when it attached.
-- @interpret Look here first when an operation you expect has no rows: a library that was not found, or a symbol that this version
--   of the library lacks, is skipped with the reason. hits = 0 means attached and never called.
-- @next what-was-lost, libraries-found
SELECT
  p.run_id,
  p.state::VARCHAR AS state,
  p.pack,
  p.op,
  p.symbol,
  l.path AS library,
  l.build_id,
  p.reason,
  p.mode::VARCHAR AS mode,
  p.cost_class::VARCHAR AS cost_class,
  a.hits
FROM probes p
LEFT JOIN libraries l ON l.run_id = p.run_id AND l.library_id = p.library_id
LEFT JOIN probe_accounting a ON a.run_id = p.run_id AND a.probe_id = p.probe_id
ORDER BY p.run_id, CASE p.state::VARCHAR WHEN 'failed' THEN 0 WHEN 'skipped' THEN 1 ELSE 2 END, p.pack, l.path, p.op, p.symbol, p.probe_id
