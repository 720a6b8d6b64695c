-- @title Spikes at regular intervals
-- @question Does something make calls slow again and again, at a regular interval?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @param factor DOUBLE 3 x [1..] -- a spike takes at least this many times the median of its operation and process
-- @param min_us DOUBLE 100 us [0..] -- and at least this long
-- @param min_spikes INTEGER 4 calls [3..] -- show operations with at least this many spikes
-- @column run_id - -- Run the calls belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column op - -- Operation
-- @column spikes calls -- Spikes
-- @column p50_ns ns -- Median of the operation in this process
-- @column spike_ns ns -- Median spike
-- @column interval_ns ns -- Median time between the starts of two spikes
-- @column irregularity_pct % -- Middle deviation from that interval, as a part of it
-- @column periodic - -- Whether half of the intervals are within 30 % of the median interval
-- @column first_spike UTC -- First spike
-- @sampling pairs
-- @fidelity heuristic -- A regular interval is a hint, not a cause: any loop with a slow step looks periodic. Spikes nearer than 1 ms to the one before belong to it.
-- @interpret Compare interval_ns with what happens at that rate: checkpoints, evaluation, logging, a scraper of metrics, garbage
--   collection. tail-latency with the operation's process shows single spikes.
-- @next tail-latency, copy-timeline, launch-rate
WITH medians AS (
  SELECT run_id, process_id, op, quantile_disc(duration_ns, 0.5) AS p50_ns
  FROM cuda_events
  WHERE duration_ns IS NOT NULL
  GROUP BY run_id, process_id, op
),
slow AS (
  SELECT run_id, process_id, op, m.p50_ns, e.duration_ns, epoch_ns(e.start_time) AS at_ns
  FROM cuda_events e
  JOIN medians m USING (run_id, process_id, op)
  WHERE e.duration_ns >= greatest(m.p50_ns * $factor, $min_us * 1000)
),
spikes AS (
  SELECT *
  FROM slow
  QUALIFY at_ns - lag(at_ns) OVER (PARTITION BY run_id, process_id, op ORDER BY at_ns) > 1000000
    OR lag(at_ns) OVER (PARTITION BY run_id, process_id, op ORDER BY at_ns) IS NULL
),
intervals AS (
  SELECT *, at_ns - lag(at_ns) OVER (PARTITION BY run_id, process_id, op ORDER BY at_ns) AS interval_ns FROM spikes
)
SELECT
  run_id,
  p.pid,
  p.comm AS process,
  op::VARCHAR AS op,
  count(*) AS spikes,
  any_value(p50_ns) AS p50_ns,
  quantile_disc(duration_ns, 0.5) AS spike_ns,
  quantile_disc(interval_ns, 0.5) AS interval_ns,
  round(100 * mad(interval_ns) / nullif(quantile_disc(interval_ns, 0.5), 0), 1) AS irregularity_pct,
  irregularity_pct <= 30 AS periodic,
  make_timestamp_ns(min(at_ns)) AS first_spike
FROM intervals
JOIN processes p USING (run_id, process_id)
GROUP BY run_id, process_id, p.pid, p.comm, op
HAVING count(*) >= $min_spikes
ORDER BY periodic DESC, spikes * spike_ns DESC, run_id, p.pid, op
