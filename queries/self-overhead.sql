-- @title What recording cost the program
-- @question How much time did the probes add to the traced program, and which operation's probes cost most?
-- @requires tables=capture,probes,probe_accounting schema>=2
-- @param emulated_ns DOUBLE 1700 ns [0..] -- cost of a recorded call at a cheap instruction (docs/decisions.md says how it was measured)
-- @param single_step_ns DOUBLE 19000 ns [0..] -- cost of a recorded call at an instruction the kernel single-steps
-- @column run_id - -- Run
-- @column pack - -- Probe pack; NULL in the row of a run that sums all
-- @column op - -- Operation
-- @column cost_class - -- emulated is cheap; single-step is several times dearer
-- @column hits calls -- Times the function was entered while attached, filtered and sampled calls included
-- @column hits_per_s calls/s -- Mean rate
-- @column added_ns ns -- Estimated time added to the program, all threads together
-- @column added_pct % -- Part of the recorded time; above 100 only with several threads
-- @sampling none
-- @fidelity heuristic -- Hits are exact, the cost of a hit is a parameter: it depends on the machine (a third of it without virtualization). An entry-only probe costs about half.
-- @interpret A high added_pct: leave out operations that are called often and tell little (polling), or trace fewer processes. Filtered
--   hits cost nearly as much as an empty probe.
-- @next recorder-health, what-was-attached
WITH per_probe AS (
  SELECT
    p.run_id,
    p.pack,
    p.op,
    p.cost_class::VARCHAR AS cost_class,
    a.hits,
    a.hits * CASE p.cost_class::VARCHAR WHEN 'single-step' THEN $single_step_ns ELSE $emulated_ns END
      * CASE p.mode::VARCHAR WHEN 'entry' THEN 0.5 ELSE 1 END AS added_ns,
    epoch_ns(c.ended_at) - epoch_ns(c.started_at) AS recorded_ns
  FROM probe_accounting a
  JOIN probes p USING (run_id, probe_id)
  JOIN capture c USING (run_id)
),
every AS (
  SELECT run_id, NULL AS pack, NULL AS op, NULL AS cost_class, sum(hits) AS hits, sum(added_ns) AS added_ns, any_value(recorded_ns) AS recorded_ns
  FROM per_probe
  GROUP BY run_id
  UNION ALL
  SELECT run_id, pack, op, cost_class, sum(hits), sum(added_ns), any_value(recorded_ns)
  FROM per_probe
  WHERE hits > 0
  GROUP BY run_id, pack, op, cost_class
)
SELECT
  run_id,
  pack,
  op,
  cost_class,
  hits::BIGINT AS hits,
  round(hits * 1e9 / nullif(recorded_ns, 0), 3) AS hits_per_s,
  round(added_ns)::BIGINT AS added_ns,
  round(100 * added_ns / nullif(recorded_ns, 0), 4) AS added_pct
FROM every
ORDER BY run_id, pack IS NOT NULL, added_ns DESC, pack, op, cost_class
