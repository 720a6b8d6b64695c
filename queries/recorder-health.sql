-- @title How the recorder kept up
-- @question How much CPU and memory did recording take over time, how full were its buffers, and did it have to step down?
-- @requires tables=self_observations,governor_steps,capture schema>=2
-- @column run_id - -- Run
-- @column observed_at UTC -- When
-- @column cpu_pct % -- CPU time of the recorder since the observation before, of one CPU
-- @column rss_bytes bytes -- Its memory
-- @column ring_pct % -- Fullest a ring buffer was since then: at 100 calls are lost
-- @column flush_max_ns ns -- Longest time committing rows took
-- @column bpf_pct % -- Time in BPF programs since the observation before, of one CPU; NULL when the kernel does not count it
-- @column step - -- Change of the recording level at that time: from, to and the reason
-- @sampling none
-- @fidelity exact -- As the recorder observed itself.
-- @interpret ring_pct near 100 comes before losses: enlarge the rings, or record less. cpu_pct grows with the rate of calls.
-- @next what-was-lost, self-overhead
WITH observations AS (
  SELECT
    *,
    lag(epoch_ns(observed_at)) OVER run AS before_ns,
    lag(cpu_ns) OVER run AS before_cpu_ns,
    lag(bpf_run_ns) OVER run AS before_bpf_ns,
    coalesce(lag(observed_at) OVER run, make_timestamp_ns(0)) AS after_time
  FROM self_observations
  WINDOW run AS (PARTITION BY run_id ORDER BY observed_at)
)
SELECT
  o.run_id,
  o.observed_at,
  round(100 * (o.cpu_ns - coalesce(o.before_cpu_ns, 0)) / nullif(epoch_ns(o.observed_at) - coalesce(o.before_ns, epoch_ns(c.started_at)), 0), 3)
    AS cpu_pct,
  o.rss_bytes,
  round(100 * o.ring_high_water, 1) AS ring_pct,
  o.flush_max_ns,
  round(
    100 * (o.bpf_run_ns - coalesce(o.before_bpf_ns, 0)) / nullif(epoch_ns(o.observed_at) - coalesce(o.before_ns, epoch_ns(c.started_at)), 0), 3
  ) AS bpf_pct,
  string_agg(g.from_level || ' -> ' || g.to_level || ': ' || g.reason, '; ' ORDER BY g.step) AS step
FROM observations o
JOIN capture c USING (run_id)
LEFT JOIN governor_steps g ON g.run_id = o.run_id AND g.stepped_at > o.after_time AND g.stepped_at <= o.observed_at
GROUP BY o.run_id, o.observed_at, o.cpu_ns, o.before_cpu_ns, o.before_ns, c.started_at, o.rss_bytes, o.ring_high_water, o.flush_max_ns,
  o.bpf_run_ns, o.before_bpf_ns
ORDER BY o.run_id, o.observed_at
