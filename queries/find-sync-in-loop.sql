-- @title Waiting after every launch
-- @question Which processes wait for the GPU after each launch or two, so that neither side runs ahead?
-- @requires tables=events,processes,threads,call_sites schema>=2
-- @packs cuda-runtime, cuda-driver
-- @ops cu*Synchronize, cu*Synchronize_v2
-- @param max_launches INTEGER 2 calls -- a wait counts when at most this many launches came before it on its thread since the last wait
-- @param min_calls INTEGER 100 calls -- report threads with at least this many such waits
-- @param min_share_pct DOUBLE 20 % -- and with at least this part of the thread's time in them
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the thread's recorded time spent in these waits
-- @column lost_ns ns -- Time in these waits
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
-- @fidelity heuristic -- The host sees that it waits, not what for. That each wait follows a launch or two on the same thread is exact; that the program could go on without is a guess.
-- @interpret The GPU idles between the end of one kernel and the launch of the next, and the host idles while it runs. Remove
--   cudaDeviceSynchronize that is there for debugging or timing; copy results with cudaMemcpyAsync and wait once per step; in
--   PyTorch look for .item(), .cpu(), print of a tensor, and CUDA_LAUNCH_BLOCKING=1.
-- @next sync-stalls, launch-rate
WITH calls AS NOT MATERIALIZED (
  SELECT
    run_id, process_id, tid, call_id, parent_id, start_time, duration_ns, current_device, stack_id,
    -- Which of the waits it is; NULL for a launch. A small number instead of a name, since millions of them are put in order.
    nullif(list_position([
        'cudaDeviceSynchronize', 'cudaThreadSynchronize', 'cudaStreamSynchronize', 'cudaEventSynchronize',
        'cuCtxSynchronize', 'cuCtxSynchronize_v2', 'cuStreamSynchronize', 'cuEventSynchronize'
      ], op), 0)::UTINYINT AS wait_op
  FROM events
  WHERE layer IN ('runtime', 'driver')
    AND (
      op LIKE 'cudaLaunch%' OR op LIKE 'cuLaunch%' OR status = 'ok' AND op IN (
        'cudaDeviceSynchronize', 'cudaThreadSynchronize', 'cudaStreamSynchronize', 'cudaEventSynchronize',
        'cuCtxSynchronize', 'cuCtxSynchronize_v2', 'cuStreamSynchronize', 'cuEventSynchronize'
      )
    )
),
-- Only threads that wait long enough are looked at call by call.
spans AS (
  SELECT process_id, tid, greatest(max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - epoch_ns(min(start_time)), 1) AS span_ns
  FROM events
  WHERE layer IN ('runtime', 'driver')
  GROUP BY process_id, tid
),
candidates AS MATERIALIZED (
  SELECT process_id, tid, span_ns
  FROM spans
  JOIN (
    SELECT process_id, tid, sum(duration_ns) AS wait_ns
    FROM calls
    WHERE wait_op IS NOT NULL
    GROUP BY process_id, tid
  ) USING (process_id, tid)
  WHERE 100 * wait_ns / span_ns >= $min_share_pct
),
-- Not what the runtime or NCCL asks the driver for: that is their call.
outer_calls AS (
  SELECT process_id, tid, start_time, duration_ns, current_device, stack_id, wait_op
  FROM calls
  WHERE parent_id IS NULL
    AND process_id BETWEEN (SELECT min(process_id) FROM candidates) AND (SELECT max(process_id) FROM candidates)
  UNION ALL
  SELECT process_id, tid, start_time, duration_ns, current_device, stack_id, wait_op
  FROM calls c
  WHERE parent_id IS NOT NULL
    AND process_id BETWEEN (SELECT min(process_id) FROM candidates) AND (SELECT max(process_id) FROM candidates)
    AND NOT EXISTS (
      SELECT 1 FROM events o WHERE o.run_id = c.run_id AND o.call_id = c.parent_id AND o.layer IN ('runtime', 'driver', 'nccl')
    )
),
waits AS (
  SELECT
    *,
    place - 1 - coalesce(lag(place) OVER (PARTITION BY process_id, tid ORDER BY place), 0) AS launches_before,
    quantile_cont(duration_ns, 0.5) OVER (PARTITION BY process_id, tid) AS median_ns
  FROM (SELECT *, row_number() OVER (PARTITION BY process_id, tid ORDER BY start_time) AS place FROM outer_calls)
  WHERE wait_op IS NOT NULL
),
found AS (
  SELECT
    process_id,
    tid,
    span_ns,
    mode(wait_op) AS wait_op,
    any_value(current_device) FILTER (current_device IS NOT NULL) AS device,
    mode(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls,
    sum(duration_ns) AS lost_ns
  FROM waits
  JOIN candidates USING (process_id, tid)
  -- A single long wait is find-stalls' business.
  WHERE launches_before BETWEEN 1 AND $max_launches AND duration_ns < 10 * median_ns
  GROUP BY process_id, tid, span_ns
  HAVING count(*) >= $min_calls AND 100 * sum(duration_ns) / span_ns >= $min_share_pct
)
SELECT
  printf('%d waits, each after at most %d launches, took %.1f %% of the thread''s time', f.calls, $max_launches::INTEGER, 100 * f.lost_ns / f.span_ns) AS finding,
  round(100 * f.lost_ns / f.span_ns, 2) AS share_pct,
  f.lost_ns::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  p.rank,
  f.device,
  [
    'cudaDeviceSynchronize', 'cudaThreadSynchronize', 'cudaStreamSynchronize', 'cudaEventSynchronize',
    'cuCtxSynchronize', 'cuCtxSynchronize_v2', 'cuStreamSynchronize', 'cuEventSynchronize'
  ][f.wait_op] AS op,
  call_site(f.stack_id, f.process_id, f.tid) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT start_time, op, duration_ns FROM events WHERE process_id = {} AND tid = {} AND (op LIKE ''cu%Synchronize%'' OR op LIKE ''cu%Launch%'') ORDER BY start_time LIMIT 50',
    f.process_id, f.tid
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
