-- @title What was lost
-- @question Is anything missing from this capture, where, how much, and why?
-- @requires tables=capture,probes,libraries,probe_accounting schema>=2
-- @param all BOOLEAN false - -- also list the probes with nothing missing
-- @column run_id - -- Run
-- @column pack - -- Probe pack; NULL in the first row of a run, which sums all its probes
-- @column op - -- Operation
-- @column library - -- Library file
-- @column hits calls -- Times the function was entered while attached
-- @column rows calls -- Rows in this file
-- @column filtered calls -- Left out as asked (process filter)
-- @column sampled calls -- Left out as asked (sampling)
-- @column lost calls -- Missing: the sum of the four columns that follow
-- @column lost_ring_full calls -- The ring buffer had no room
-- @column lost_too_deep calls -- Nested deeper than is tracked
-- @column lost_no_memory calls -- The kernel could not allocate per-thread state
-- @column lost_not_written calls -- Read but not written (disk full)
-- @column read_faults reads -- Argument values that could not be read; their columns are NULL
-- @column verdict - -- complete, sampled, never called, lost, does not add up, or unknown
-- @sampling none
-- @fidelity exact -- Hits are counted in the kernel, apart from the rows: hits = rows + filtered + sampled + lost.
-- @interpret lost_ring_full: record fewer operations, filter by process, or enlarge the ring buffers. "does not add up" is a defect in
--   ingero. Totals of other queries are lower bounds for every operation with losses.
-- @next what-was-attached
WITH per_probe AS (
  SELECT
    p.pack,
    p.op,
    l.path AS library,
    a.*,
    a.lost_ring_full + a.lost_too_deep + a.lost_no_memory + a.lost_not_written AS lost
  FROM probe_accounting a
  JOIN probes p ON p.run_id = a.run_id AND p.probe_id = a.probe_id
  LEFT JOIN libraries l ON l.run_id = p.run_id AND l.library_id = p.library_id
),
all_rows AS (
  SELECT
    c.run_id, c.end_reason = 'cut-off' AS cut_off,
    0 AS position, NULL AS pack, NULL AS op, NULL AS library,
    sum(hits) AS hits, sum(rows) AS rows, sum(filtered) AS filtered, sum(sampled) AS sampled, sum(lost) AS lost,
    sum(lost_ring_full) AS lost_ring_full, sum(lost_too_deep) AS lost_too_deep,
    sum(lost_no_memory) AS lost_no_memory, sum(lost_not_written) AS lost_not_written,
    sum(read_faults) AS read_faults, bool_and(balanced) AS balanced
  FROM capture c
  LEFT JOIN per_probe USING (run_id)
  GROUP BY c.run_id, c.end_reason
  UNION ALL
  SELECT
    run_id, false, 1, pack, op, library, hits, rows, filtered, sampled, lost,
    lost_ring_full, lost_too_deep, lost_no_memory, lost_not_written, read_faults, balanced
  FROM per_probe
)
SELECT
  run_id,
  pack,
  op,
  library,
  hits::BIGINT AS hits,
  rows::BIGINT AS rows,
  filtered::BIGINT AS filtered,
  sampled::BIGINT AS sampled,
  lost::BIGINT AS lost,
  lost_ring_full::BIGINT AS lost_ring_full,
  lost_too_deep::BIGINT AS lost_too_deep,
  lost_no_memory::BIGINT AS lost_no_memory,
  lost_not_written::BIGINT AS lost_not_written,
  read_faults::BIGINT AS read_faults,
  CASE
    WHEN hits IS NULL AND EXISTS (SELECT 1 FROM probes i WHERE i.run_id = all_rows.run_id AND i.state = 'imported')
      THEN 'unknown: imported, and what recorded it did not count'
    WHEN hits IS NULL AND cut_off THEN 'unknown: the recorder was cut off before it could count'
    WHEN hits IS NULL THEN 'nothing was attached'
    WHEN NOT balanced THEN 'does not add up'
    WHEN lost > 0 THEN 'lost'
    WHEN hits = 0 THEN 'never called'
    WHEN sampled > 0 THEN 'sampled'
    ELSE 'complete'
  END AS verdict
FROM all_rows
WHERE position = 0 OR $all OR hits IS NULL OR lost > 0 OR sampled > 0 OR read_faults > 0 OR NOT balanced
ORDER BY run_id, position, lost DESC, hits DESC, pack, op, library
