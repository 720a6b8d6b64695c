-- @title Library files that were found
-- @question Which copies of the libraries were found, in which processes and containers, and which were traced?
-- @requires tables=libraries,probes schema>=2
-- @column run_id - -- Run
-- @column pack - -- Pack it was found for
-- @column path - -- Path of the file
-- @column soname - -- Name it goes by
-- @column version - -- Version in the file name
-- @column build_id - -- GNU build-id: equal files are equal here
-- @column state - -- traced, ignored or failed
-- @column reason - -- Why it was ignored or failed
-- @column found_by - -- How it was found
-- @column attached - -- Probes attached to it
-- @column not_attached - -- Probes skipped or failed
-- @column size_bytes bytes -- File size
-- @sampling none
-- @fidelity exact -- As recorded by ingero when it searched.
-- @interpret A program whose calls are missing may use a copy that is not here: a file deleted after it was loaded, a static copy in an
--   executable, a library started later. Two versions of one library in one process are a packaging fault.
-- @next what-was-attached
SELECT
  l.run_id,
  l.pack,
  l.path,
  l.soname,
  l.version,
  l.build_id,
  l.state::VARCHAR AS state,
  l.reason,
  l.found_by,
  count(p.probe_id) FILTER (p.state = 'attached') AS attached,
  count(p.probe_id) FILTER (p.state <> 'attached') AS not_attached,
  l.size_bytes
FROM libraries l
LEFT JOIN probes p ON p.run_id = l.run_id AND p.library_id = l.library_id
GROUP BY l.run_id, l.library_id, l.pack, l.path, l.soname, l.version, l.build_id, l.state, l.reason, l.found_by, l.size_bytes
ORDER BY l.run_id, l.pack, attached DESC, l.path, l.library_id
