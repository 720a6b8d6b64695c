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
-- @column bpf_entry_pct % -- Of it, in the programs at entries of functions
-- @column bpf_return_pct % -- Of it, in the programs at returns
-- @column step - -- Change of the recording level at that time: from, to and the reason
-- @sampling none
-- @fidelity exact -- As the recorder observed itself.
-- @interpret ring_pct near 100 comes before losses: enlarge the rings, or record less. cpu_pct grows with the rate of calls.
-- @next what-was-lost, self-overhead
WITH observations AS (
  SELECT
    o.run_id,
    o.observed_at,
    coalesce(lag(o.observed_at) OVER run, make_timestamp_ns(0)) AS after_time,
    o.rss_bytes,
    o.ring_high_water,
    o.flush_max_ns,
    nullif(epoch_ns(o.observed_at) - epoch_ns(coalesce(lag(o.observed_at) OVER run, c.started_at)), 0) AS span_ns,
    o.cpu_ns - lag(o.cpu_ns, 1, 0) OVER run AS cpu_ns,
    o.bpf_run_ns - coalesce(lag(o.bpf_run_ns) OVER run, 0) AS bpf_ns,
    o.bpf_entry_ns - coalesce(lag(o.bpf_entry_ns) OVER run, 0) AS bpf_entry_ns,
    o.bpf_return_ns - coalesce(lag(o.bpf_return_ns) OVER run, 0) AS bpf_return_ns
  FROM self_observations o
  JOIN capture c USING (run_id)
  WINDOW run AS (PARTITION BY o.run_id ORDER BY o.observed_at)
)
SELECT
  o.run_id,
  o.observed_at,
  round(100 * o.cpu_ns / o.span_ns, 3) AS cpu_pct,
  o.rss_bytes,
  round(100 * o.ring_high_water, 1) AS ring_pct,
  o.flush_max_ns,
  round(100 * o.bpf_ns / o.span_ns, 3) AS bpf_pct,
  round(100 * o.bpf_entry_ns / o.span_ns, 3) AS bpf_entry_pct,
  round(100 * o.bpf_return_ns / o.span_ns, 3) AS bpf_return_pct,
  (
    SELECT string_agg(g.from_level || ' -> ' || g.to_level || ': ' || g.reason, '; ' ORDER BY g.step)
    FROM governor_steps g
    WHERE g.run_id = o.run_id AND g.stepped_at > o.after_time AND g.stepped_at <= o.observed_at
  ) AS step
FROM observations o
ORDER BY o.run_id, o.observed_at
