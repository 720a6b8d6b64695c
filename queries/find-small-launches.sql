-- @title Launching is the bottleneck
-- @question Which threads do little else but launch kernels, back to back, without ever having to wait for the GPU?
-- @requires tables=cuda_events,processes,threads,frames schema>=2
-- @param max_gap_us DOUBLE 20 us -- launches that begin within this time of the one before form a burst
-- @param min_burst INTEGER 200 calls -- look at bursts of at least this many launches
-- @param min_share_pct DOUBLE 20 % -- report threads that spend at least this part of their time in bursts
-- @param max_wait_pct DOUBLE 25 % -- and wait no longer than this part of it
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the thread's recorded time spent launching
-- @column lost_ns ns -- Time in bursts of launches
-- @column calls calls -- Calls affected
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank of the process; NULL when it has none
-- @column device - -- Device that was current; NULL when unknown or several
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First affected call
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity heuristic -- The host sees launches and waits, not kernels. Bursts with hardly any waiting mean that the GPU was done as fast as it was fed.
-- @interpret Each launch costs the host a microsecond or more, and each kernel is over sooner. Fuse kernels, use larger batches, or record the
--   sequence into a CUDA graph (PyTorch: torch.compile, CUDA graphs).
-- @next launch-rate, cuda-api-sum
WITH launches AS (
  SELECT
    process_id, tid, call_id, start_time, epoch_ns(start_time) AS at_ns, duration_ns, op, current_device, stack_id,
    epoch_ns(start_time) - lag(epoch_ns(start_time)) OVER (PARTITION BY process_id, tid ORDER BY start_time, call_id) AS gap_ns
  FROM cuda_events
  WHERE op::VARCHAR LIKE 'cudaLaunch%' AND status = 'ok'
),
numbered AS (
  SELECT
    *,
    count(CASE WHEN gap_ns IS NULL OR gap_ns > $max_gap_us * 1000 THEN 1 END) OVER (
      PARTITION BY process_id, tid ORDER BY start_time, call_id ROWS UNBOUNDED PRECEDING
    ) AS burst
  FROM launches
),
bursts AS (
  SELECT
    process_id, tid, burst, count(*) AS calls, max(at_ns + duration_ns) - min(at_ns) AS burst_ns, min(start_time) AS start_time,
    max(start_time) AS last_start, mode(op::VARCHAR) AS op, mode(current_device) AS current_device, mode(stack_id) AS stack_id
  FROM numbered
  GROUP BY process_id, tid, burst
  HAVING count(*) >= $min_burst
),
thread_times AS (
  SELECT
    process_id,
    tid,
    greatest(max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)), 1) AS span_ns,
    coalesce(sum(duration_ns) FILTER (op::VARCHAR IN ('cudaDeviceSynchronize', 'cudaStreamSynchronize', 'cudaEventSynchronize')), 0) AS wait_ns
  FROM cuda_events
  GROUP BY process_id, tid
),
found AS (
  SELECT
    process_id,
    tid,
    any_value(op) AS op,
    any_value(current_device) AS device,
    any_value(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(last_start) AS last_time,
    sum(calls) AS calls,
    sum(burst_ns) AS lost_ns,
    any_value(span_ns) AS span_ns,
    any_value(wait_ns) AS wait_ns
  FROM bursts
  JOIN thread_times USING (process_id, tid)
  GROUP BY process_id, tid
  HAVING 100 * sum(burst_ns) / any_value(span_ns) >= $min_share_pct
    AND 100 * any_value(wait_ns) / any_value(span_ns) <= $max_wait_pct
)
SELECT
  printf('%d launches back to back, one every %.1f us, and only %.1f %% of the time waiting for the GPU', f.calls, f.lost_ns / f.calls / 1000, 100 * f.wait_ns / f.span_ns) AS finding,
  round(100 * f.lost_ns / f.span_ns, 2) AS share_pct,
  f.lost_ns::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  p.rank,
  f.device,
  f.op,
  coalesce(
    (SELECT fr.function FROM frames fr WHERE fr.stack_id = f.stack_id AND fr.function IS NOT NULL ORDER BY fr.position LIMIT 1),
    'thread ' || (SELECT any_value(t.name) FROM threads t WHERE t.tid = f.tid AND t.process_id = f.process_id)
  ) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT start_time, op, duration_ns, grid_x, grid_y, grid_z, block_x FROM cuda_events WHERE process_id = {} AND tid = {} AND op::VARCHAR LIKE ''cudaLaunch%'' ORDER BY start_time LIMIT 50',
    f.process_id, f.tid
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
