-- @title Clocks
-- @question Was the wall clock steady while recording, and how far can times of several captures be compared?
-- @requires tables=clock_anchors,capture schema>=2
-- @column run_id - -- Run
-- @column hostname - -- Host
-- @column anchors - -- Times both clocks were read together
-- @column first_anchor UTC -- Wall clock at the first of them: event times are counted from there with the monotonic clock
-- @column last_anchor UTC -- Wall clock at the last
-- @column drift_ns ns -- Wall clock less monotonic clock at the last anchor, compared with the first: what a step or slew of the clock came to
-- @column largest_step_ns ns -- Largest change from one anchor to the next
-- @column uncertainty_ns ns -- Widest window both clocks were read in
-- @column verdict - -- steady, slewed (below 1 ms a minute), stepped, or one anchor
-- @sampling none
-- @fidelity exact -- Readings of the two clocks of one host. How far the clocks of two hosts are apart is not seen.
-- @interpret stepped: times of this capture are right among each other and off against other hosts after the step. Ranks on several hosts
--   compare within what their time service keeps (chronyc tracking).
-- @next whoami, nccl-stragglers
WITH offsets AS (
  SELECT
    run_id,
    wall_time,
    uncertainty_ns,
    epoch_ns(wall_time) - monotonic_ns AS offset_ns,
    epoch_ns(wall_time) - monotonic_ns - lag(epoch_ns(wall_time) - monotonic_ns) OVER (PARTITION BY run_id ORDER BY monotonic_ns) AS step_ns,
    monotonic_ns
  FROM clock_anchors
)
SELECT
  o.run_id,
  c.hostname,
  count(*) AS anchors,
  arg_min(o.wall_time, o.monotonic_ns) AS first_anchor,
  arg_max(o.wall_time, o.monotonic_ns) AS last_anchor,
  arg_max(o.offset_ns, o.monotonic_ns) - arg_min(o.offset_ns, o.monotonic_ns) AS drift_ns,
  arg_max(o.step_ns, abs(o.step_ns)) AS largest_step_ns,
  max(o.uncertainty_ns) AS uncertainty_ns,
  CASE
    WHEN count(*) = 1 THEN 'one anchor'
    WHEN abs(drift_ns) <= 10 * max(o.uncertainty_ns) THEN 'steady'
    WHEN max(abs(o.step_ns)) < 1e6 * greatest((max(o.monotonic_ns) - min(o.monotonic_ns)) / 6e10, 1) THEN 'slewed'
    ELSE 'stepped'
  END AS verdict
FROM offsets o
JOIN capture c USING (run_id)
GROUP BY o.run_id, c.hostname
ORDER BY o.run_id
