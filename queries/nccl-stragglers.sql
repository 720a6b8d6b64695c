-- @title NCCL stragglers
-- @question Which rank comes late to collectives, how often and by how much, and how long do the others wait for it?
-- @requires tables=nccl_calls schema>=2
-- @packs nccl
-- @column comm_id address -- Communicator
-- @column rank - -- Rank
-- @column run_id - -- Run it was recorded in
-- @column pid - -- Its process
-- @column collectives calls -- Collectives of it that at least two recorded ranks called
-- @column last calls -- Those it came to last
-- @column last_pct % -- Part of them
-- @column lateness_p50_ns ns -- Median time after the first rank
-- @column lateness_max_ns ns -- Longest time after the first rank
-- @column waited_ns ns -- Time the other recorded ranks had been there already when it came last, summed over them
-- @column expected_pct % -- last_pct if all ranks were alike
-- @column straggler - -- Whether it comes last at least twice as often as expected, or (with few ranks) in more than half and half again as often as expected
-- @sampling pairs
-- @fidelity derived -- Arrival is the moment the host asks for the collective; the GPU may be behind. Ranks on different hosts compare as far as the clocks agree: lateness below the disagreement shown by clock-check means nothing.
-- @interpret One straggler is a slow device, host or data loader of that rank: compare its time-breakdown with another rank's. If the last
--   rank changes all the time, the work is uneven by nature (sequence lengths, experts).
-- @next nccl-desync, time-breakdown, clock-check
-- @nsys nccl_straggler
WITH arrivals AS MATERIALIZED (
  SELECT comm_id, seq, rank, run_id, process_id, pid, epoch_ns(start_time) AS at_ns
  FROM nccl_calls
  WHERE seq IS NOT NULL AND comm_id IS NOT NULL
),
meetings AS (
  SELECT comm_id, seq, min(at_ns) AS first_ns, max(at_ns) AS last_ns, sum(at_ns) AS sum_ns, count(*) AS arrived
  FROM arrivals
  GROUP BY comm_id, seq
  HAVING arrived > 1
)
SELECT
  comm_id,
  rank,
  run_id,
  pid,
  count(*) AS collectives,
  count(*) FILTER (at_ns = last_ns) AS last,
  round(100 * last / collectives, 1) AS last_pct,
  quantile_disc(at_ns - first_ns, 0.5) AS lateness_p50_ns,
  max(at_ns - first_ns) AS lateness_max_ns,
  coalesce(sum(last_ns::HUGEINT * arrived - sum_ns) FILTER (at_ns = last_ns), 0)::BIGINT AS waited_ns,
  round(100 * avg(1 / arrived), 1) AS expected_pct,
  last_pct >= 2 * expected_pct OR (last_pct > 50 AND last_pct > expected_pct * 1.5) AS straggler
FROM arrivals
JOIN meetings USING (comm_id, seq)
GROUP BY comm_id, rank, run_id, process_id, pid
ORDER BY waited_ns DESC, comm_id, rank
