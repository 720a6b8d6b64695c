-- @title Launching is the bottleneck
-- @question Which threads do little else but launch kernels, back to back, without ever having to wait for the GPU?
-- @requires tables=events,processes,threads,call_sites schema>=2
-- @packs cuda-runtime, cuda-driver
-- @ops cudaLaunch*, cuLaunch*
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
-- @fidelity heuristic -- The host sees launches and waits, not kernels. What the runtime or NCCL asks the driver for is their call. Bursts with hardly any waiting mean that the GPU was done as fast as it was fed.
-- @interpret Each launch costs the host a microsecond or more, and each kernel is over sooner. Fuse kernels, use larger batches, or record the
--   sequence into a CUDA graph (PyTorch: torch.compile, CUDA graphs).
-- @next launch-rate, cuda-api-sum
WITH calls AS NOT MATERIALIZED (
  SELECT
    run_id, process_id, tid, call_id, parent_id, start_time, duration_ns, op, current_device, stack_id,
    op LIKE 'cudaLaunch%' OR op LIKE 'cuLaunch%' AS is_launch
  FROM events
  WHERE layer IN ('runtime', 'driver')
    AND ((op LIKE 'cudaLaunch%' OR op LIKE 'cuLaunch%') AND status = 'ok' OR op LIKE 'cu%Synchronize%')
),
spans AS (
  SELECT process_id, tid, greatest(max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - epoch_ns(min(start_time)), 1) AS span_ns
  FROM events
  WHERE layer IN ('runtime', 'driver')
  GROUP BY process_id, tid
),
-- Calls from within a call apart: most are what the runtime asks the driver for.
sums AS MATERIALIZED (
  SELECT
    process_id,
    tid,
    parent_id IS NULL AS is_outer,
    count(*) FILTER (is_launch) AS launches,
    sum(duration_ns) FILTER (is_launch) AS launches_ns,
    sum(duration_ns) FILTER (NOT is_launch) AS wait_ns,
    max(start_time) FILTER (is_launch) AS last_start,
    max(epoch_ns(start_time) + duration_ns) FILTER (is_launch) AS launched_ns
  FROM calls
  GROUP BY process_id, tid, parent_id IS NULL
),
-- Threads that may have enough launches in bursts. Only theirs need be put in order.
candidates AS MATERIALIZED (
  SELECT process_id, tid, span_ns
  FROM sums
  JOIN spans USING (process_id, tid)
  GROUP BY process_id, tid, span_ns
  HAVING sum(launches) >= $min_burst
    AND 100 * (sum(launches) * $max_gap_us * 1000 + sum(launches_ns)) / span_ns >= $min_share_pct
    AND 100 * coalesce(sum(wait_ns) FILTER (is_outer), 0) / span_ns <= $max_wait_pct
),
-- What the runtime or NCCL asks the driver for is their call; what else is called from within a call counts.
outer_children AS MATERIALIZED (
  SELECT process_id, tid, start_time, duration_ns, op, current_device, stack_id, is_launch
  FROM calls
  ANTI JOIN (SELECT run_id, call_id AS parent_id FROM events WHERE layer IN ('runtime', 'driver', 'nccl')) USING (run_id, parent_id)
  WHERE parent_id IS NOT NULL
    AND process_id BETWEEN (SELECT min(process_id) FROM candidates) AND (SELECT max(process_id) FROM candidates)
),
thread_times AS MATERIALIZED (
  SELECT
    process_id,
    tid,
    span_ns,
    coalesce(sum(wait_ns), 0) AS wait_ns,
    sum(launches)::BIGINT AS launches,
    max(last_start) AS last_start,
    max(launched_ns) AS launched_ns
  FROM candidates
  JOIN (
    SELECT process_id, tid, launches, wait_ns, last_start, launched_ns
    FROM sums
    WHERE is_outer
    UNION ALL
    SELECT
      process_id,
      tid,
      is_launch::INTEGER,
      CASE WHEN NOT is_launch THEN duration_ns END,
      CASE WHEN is_launch THEN start_time END,
      CASE WHEN is_launch THEN epoch_ns(start_time) + duration_ns END
    FROM outer_children
  ) USING (process_id, tid)
  GROUP BY process_id, tid, span_ns
),
outer_launches AS NOT MATERIALIZED (
  SELECT process_id, tid, start_time, duration_ns, op, current_device, stack_id
  FROM calls
  WHERE is_launch AND parent_id IS NULL
    AND process_id BETWEEN (SELECT min(process_id) FROM candidates) AND (SELECT max(process_id) FROM candidates)
  UNION ALL
  SELECT process_id, tid, start_time, duration_ns, op, current_device, stack_id
  FROM outer_children
  WHERE is_launch
),
placed AS (
  SELECT
    process_id,
    tid,
    start_time,
    row_number() OVER (PARTITION BY process_id, tid ORDER BY start_time) AS place,
    lag(start_time) OVER (PARTITION BY process_id, tid ORDER BY start_time) AS before_start,
    lag(duration_ns) OVER (PARTITION BY process_id, tid ORDER BY start_time) AS before_ns
  FROM outer_launches
),
-- Of min_burst launches in a row, only the first and the last that begin a burst can end or begin one that is long enough.
blocks AS (
  SELECT
    process_id,
    tid,
    min(place) AS first_place,
    max(place) AS last_place,
    max(start_time) AS last_begin,
    min(before_start) AS first_end_start,
    min(epoch_ns(before_start) + coalesce(before_ns, 0)) AS first_end_ns
  FROM placed
  WHERE before_start IS NULL OR epoch_ns(start_time) - epoch_ns(before_start) > $max_gap_us * 1000
  GROUP BY process_id, tid, (place - 1) // greatest($min_burst, 1)
),
bursts AS (
  SELECT
    process_id,
    tid,
    c.span_ns,
    c.wait_ns,
    last_begin AS start_time,
    lead(first_end_start, 1, c.last_start) OVER thread AS last_start,
    lead(first_end_ns, 1, c.launched_ns) OVER thread - epoch_ns(last_begin) AS burst_ns,
    lead(first_place, 1, c.launches + 1) OVER thread - last_place AS calls
  FROM blocks
  JOIN thread_times c USING (process_id, tid)
  WINDOW thread AS (PARTITION BY process_id, tid ORDER BY first_place)
),
found AS MATERIALIZED (
  SELECT
    process_id,
    tid,
    span_ns,
    wait_ns,
    min(start_time) AS first_time,
    max(last_start) AS last_time,
    sum(calls) AS calls,
    sum(burst_ns) AS lost_ns
  FROM bursts
  WHERE calls >= $min_burst
  GROUP BY process_id, tid, span_ns, wait_ns
  HAVING 100 * sum(burst_ns) / span_ns >= $min_share_pct AND 100 * wait_ns / span_ns <= $max_wait_pct
),
-- What most launches of the thread were, and from where.
most AS (
  SELECT
    process_id,
    tid,
    arg_max(op, calls) AS op,
    arg_max(current_device, calls) AS device,
    arg_max(stack_id, calls) AS stack_id
  FROM (
    SELECT process_id, tid, op, current_device, stack_id, count(*) AS calls
    FROM outer_launches
    SEMI JOIN found USING (process_id, tid)
    GROUP BY process_id, tid, op, current_device, stack_id
  )
  GROUP BY process_id, tid
)
SELECT
  printf('%d launches back to back, one every %.1f us, and only %.1f %% of the time waiting for the GPU', f.calls, f.lost_ns / f.calls / 1000, 100 * f.wait_ns / f.span_ns) AS finding,
  round(100 * f.lost_ns / f.span_ns, 2) AS share_pct,
  f.lost_ns::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  p.rank,
  m.device,
  m.op,
  call_site(m.stack_id, m.process_id, m.tid) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT start_time, op, duration_ns, grid_x, grid_y, grid_z, block_x FROM {} WHERE process_id = {} AND tid = {} AND op::VARCHAR LIKE ''cu%Launch%'' ORDER BY start_time LIMIT 50',
    CASE WHEN m.op LIKE 'cudaLaunch%' THEN 'cuda_events' ELSE 'cuda_driver_events' END, process_id, tid
  ) AS evidence
FROM found f
JOIN most m USING (process_id, tid)
JOIN processes p USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, m.op
