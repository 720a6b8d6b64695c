-- @title Ranks side by side
-- @question Do the ranks of a job do the same work in the same time, and which one differs?
-- @requires tables=cuda_events,processes,capture schema>=2
-- @packs cuda-runtime
-- @discovery SELECT CASE WHEN NOT EXISTS (SELECT 1 FROM processes WHERE rank IS NOT NULL) AND EXISTS (SELECT 1 FROM processes) THEN 'no process has a rank in its environment (RANK, OMPI_COMM_WORLD_RANK, SLURM_PROCID, PMI_RANK)' END
-- @column rank - -- Global rank
-- @column local_rank - -- Rank on its host
-- @column hostname - -- Host
-- @column run_id - -- Run it was recorded in
-- @column pid - -- Process
-- @column active_ns ns -- Time from the first to the last recorded call
-- @column launches calls -- Kernel and graph launches
-- @column launches_vs_median x -- Launches / median of all ranks
-- @column copied_bytes bytes -- Bytes of successful copies
-- @column wait_pct % -- Part of the active time some thread waited for the GPU, all threads together
-- @column wait_vs_median x -- Waiting time / median of all ranks
-- @column outside_pct % -- Part of the active time of its busiest thread in no call
-- @column errors calls -- Calls that returned an error
-- @sampling weighted
-- @fidelity derived -- Counts are exact. Ranks are those of the environment; of two jobs recorded together ranks meet that do not belong together: compare the hosts and pids.
-- @interpret Ranks of one job have nearly equal launches. The rank that waits least for the GPU is usually the one the others wait for
--   (it is busy elsewhere: look at its outside_pct); see nccl-stragglers for proof.
-- @next nccl-stragglers, time-breakdown, by-process
WITH threads AS (
  SELECT
    run_id,
    process_id,
    tid,
    min(epoch_ns(start_time)) AS from_ns,
    max(epoch_ns(start_time) + coalesce(duration_ns, 0)) AS to_ns,
    sum(duration_ns * sample_weight) AS call_ns,
    coalesce(sum(duration_ns * sample_weight) FILTER (op::VARCHAR LIKE '%Synchronize'), 0) AS wait_ns,
    coalesce(sum(sample_weight) FILTER (op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch'), 0) AS launches,
    coalesce(sum(bytes * sample_weight) FILTER (op::VARCHAR LIKE 'cudaMemcpy%' AND status = 'ok'), 0) AS copied_bytes,
    coalesce(sum(sample_weight) FILTER (status = 'error'), 0) AS errors,
    sum(sample_weight) AS calls
  FROM cuda_events
  GROUP BY run_id, process_id, tid
),
ranks AS (
  SELECT
    run_id,
    process_id,
    max(to_ns) - min(from_ns) AS active_ns,
    sum(launches)::BIGINT AS launches,
    sum(copied_bytes)::BIGINT AS copied_bytes,
    sum(wait_ns)::BIGINT AS wait_ns,
    round(100 * arg_max(greatest(to_ns - from_ns - call_ns, 0) / nullif(to_ns - from_ns, 0), calls), 3) AS outside_pct,
    sum(errors)::BIGINT AS errors
  FROM threads
  GROUP BY run_id, process_id
)
SELECT
  p.rank,
  p.local_rank,
  c.hostname,
  r.run_id,
  p.pid,
  r.active_ns,
  r.launches,
  round(r.launches / nullif(median(r.launches) OVER (), 0), 3) AS launches_vs_median,
  r.copied_bytes,
  round(100 * r.wait_ns / nullif(r.active_ns, 0), 3) AS wait_pct,
  round(r.wait_ns / nullif(median(r.wait_ns) OVER (), 0), 3) AS wait_vs_median,
  r.outside_pct,
  r.errors
FROM ranks r
JOIN processes p USING (run_id, process_id)
JOIN capture c USING (run_id)
WHERE p.rank IS NOT NULL
ORDER BY p.rank, c.hostname, r.run_id, p.pid
