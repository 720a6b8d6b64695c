-- @title About this capture
-- @question Who recorded this file, where, when, of what, and how did it end?
-- @requires tables=capture,events,processes,probes schema>=1
-- @column field - -- Column of the capture table, or a count
-- @column value - -- Its value as text
-- @fidelity exact -- As recorded by ingero.
-- @interpret end_reason cut-off means that the recorder was killed: rows up to its last commit are here, and accounting is not.
-- @next what-was-attached, what-was-lost
SELECT field, value
FROM (SELECT COLUMNS(*)::VARCHAR FROM capture) UNPIVOT INCLUDE NULLS (value FOR field IN (COLUMNS(*)))
UNION ALL SELECT 'events', count(*)::VARCHAR FROM events
UNION ALL SELECT 'processes', count(*)::VARCHAR FROM processes
UNION ALL SELECT 'probes_attached', count(*)::VARCHAR FROM probes WHERE state = 'attached'
UNION ALL SELECT 'probes_not_attached', count(*)::VARCHAR FROM probes WHERE state <> 'attached'
