-- @title Another process on the same device
-- @question Which processes wait longer for the GPU while another process uses it than while none does?
-- @requires tables=events,processes,threads,call_sites schema>=2
-- @packs cuda-runtime, cuda-driver
-- @ops cu*Synchronize, cu*Synchronize_v2
-- @param factor DOUBLE 1.5 x -- report when the median wait is at least this many times as long while the other works
-- @param min_calls INTEGER 20 calls -- with at least this many waits in both conditions
-- @param idle_ms DOUBLE 50 ms -- a process that makes no call for this long does not use the GPU
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the process's recorded time lost
-- @column lost_ns ns -- Time in waits during the other's work beyond the median without it
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
-- @fidelity proxy -- Waits are compared between the time another process made calls and the time it made none, interval by interval. What the GPU did is not seen; processes known to use different devices are not compared.
-- @interpret The device is shared: another job, a notebook left open, or workers of the same job on one device. Give each its own device
--   (CUDA_VISIBLE_DEVICES), or use MPS or MIG where sharing is meant.
-- @next sync-stalls, whoami
WITH calls AS NOT MATERIALIZED (
  -- Calls of a process that begin in one slice of that length have no longer pause between them.
  SELECT *, epoch_ns(start_time) // greatest(1, floor($idle_ms * 1000000))::BIGINT AS slice
  FROM events
  WHERE layer IN ('runtime', 'driver')
),
slices AS MATERIALIZED (
  SELECT process_id, slice, epoch_ns(min(start_time)) AS from_ns, max(epoch_ns(start_time) + coalesce(duration_ns, 0)) AS to_ns
  FROM calls
  GROUP BY process_id, slice
),
spans AS (
  SELECT process_id, greatest(max(to_ns) - min(from_ns), 1) AS span_ns
  FROM slices
  GROUP BY process_id
),
marked AS (
  SELECT
    *,
    max(to_ns) OVER (PARTITION BY process_id ORDER BY slice ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before_ns
  FROM slices
),
-- Times in which a process made calls, without longer pauses. A slice touches no more than one of them.
busy AS (
  SELECT
    process_id,
    min(slice) AS first_slice,
    max(to_ns) // greatest(1, floor($idle_ms * 1000000))::BIGINT AS last_slice,
    make_timestamp_ns(min(from_ns)) AS from_time,
    make_timestamp_ns(max(to_ns)) AS to_time
  FROM (
    SELECT
      *,
      count(CASE WHEN before_ns IS NULL OR from_ns > before_ns + $idle_ms * 1000000 THEN 1 END) OVER (
        PARTITION BY process_id ORDER BY slice ROWS UNBOUNDED PRECEDING
      ) AS part
    FROM marked
  )
  GROUP BY process_id, part
),
devices AS (
  SELECT e.process_id, e.device, p.visible_devices AS visible
  FROM (
    SELECT process_id, min(current_device) AS device
    FROM events
    WHERE layer IN ('runtime', 'driver')
    GROUP BY process_id
    HAVING min(current_device) IS NOT DISTINCT FROM max(current_device)
  ) e
  JOIN processes p USING (process_id)
),
pairs AS (
  SELECT a.process_id, b.process_id AS other_id
  FROM devices a
  JOIN devices b ON a.process_id <> b.process_id
  WHERE a.visible IS NOT DISTINCT FROM b.visible AND coalesce(a.device, b.device, 0) = coalesce(b.device, a.device, 0)
),
any_waits AS NOT MATERIALIZED (
  SELECT run_id, call_id, parent_id, process_id, slice, tid, start_time, duration_ns, op, current_device, stack_id
  FROM calls
  WHERE status = 'ok' AND op LIKE 'cu%Synchronize%'
),
-- What the runtime or NCCL asks the driver for: that is their call.
nested AS MATERIALIZED (
  SELECT w.run_id, w.call_id
  FROM any_waits w
  JOIN events o ON o.run_id = w.run_id AND o.call_id = w.parent_id
  WHERE w.parent_id IS NOT NULL AND o.layer IN ('runtime', 'driver', 'nccl')
),
waits AS NOT MATERIALIZED (
  SELECT process_id, slice, tid, start_time, duration_ns, op, current_device, stack_id
  FROM any_waits
  ANTI JOIN nested USING (run_id, call_id)
),
wait_slices AS MATERIALIZED (
  SELECT process_id, slice, count(*) AS waits
  FROM waits
  GROUP BY process_id, slice
),
-- The time of a process's work that touches a slice another waited in, or the last before it.
work_in AS (
  SELECT
    process_id,
    slice,
    is_asked,
    last_value(work IGNORE NULLS) OVER (PARTITION BY process_id ORDER BY slice, is_asked ROWS UNBOUNDED PRECEDING) AS work
  FROM (
    SELECT process_id, first_slice AS slice, false AS is_asked, struct_pack(first_slice, last_slice, from_time, to_time) AS work
    FROM busy
    UNION ALL
    SELECT DISTINCT p.other_id, w.slice, true, NULL
    FROM wait_slices w
    JOIN pairs p USING (process_id)
  )
),
others AS MATERIALIZED (
  SELECT w.process_id, p.other_id, w.slice, w.waits, o.work
  FROM wait_slices w
  JOIN pairs p USING (process_id)
  JOIN work_in o ON o.process_id = p.other_id AND o.slice = w.slice AND o.is_asked
),
-- Pairs that may have enough waits in both conditions.
candidates AS (
  SELECT process_id, other_id
  FROM others
  GROUP BY process_id, other_id
  HAVING coalesce(sum(waits) FILTER (work.last_slice >= slice), 0) >= $min_calls
    AND coalesce(sum(waits) FILTER (work IS NULL OR work.first_slice = slice OR work.last_slice <= slice), 0) >= $min_calls
),
compared AS NOT MATERIALIZED (
  SELECT w.*, o.other_id, coalesce(w.start_time BETWEEN o.work.from_time AND o.work.to_time, false) AS shared
  FROM waits w
  JOIN others o ON o.process_id = w.process_id AND o.slice = w.slice
  JOIN candidates c ON c.process_id = o.process_id AND c.other_id = o.other_id
),
medians AS MATERIALIZED (
  SELECT
    process_id,
    other_id,
    op,
    quantile_cont(duration_ns, 0.5) FILTER (shared) AS shared_ns,
    quantile_cont(duration_ns, 0.5) FILTER (NOT shared) AS alone_ns
  FROM compared
  GROUP BY process_id, other_id, op
  HAVING count(*) FILTER (shared) >= $min_calls AND count(*) FILTER (NOT shared) >= $min_calls AND shared_ns >= $factor * alone_ns
),
found AS (
  SELECT
    process_id,
    other_id,
    op,
    any_value(current_device) FILTER (current_device IS NOT NULL) AS device,
    mode(tid) AS tid,
    mode(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls,
    sum(greatest(0, duration_ns - alone_ns)) AS lost_ns,
    any_value(shared_ns) AS shared_ns,
    any_value(alone_ns) AS alone_ns
  FROM compared
  JOIN medians USING (process_id, other_id, op)
  WHERE shared
  GROUP BY process_id, other_id, op
)
SELECT
  printf('waits take %.2f ms while process %d works and %.2f ms otherwise', f.shared_ns / 1e6, (SELECT q.pid FROM processes q WHERE q.process_id = f.other_id), f.alone_ns / 1e6) AS finding,
  round(100 * f.lost_ns / s.span_ns, 2) AS share_pct,
  f.lost_ns::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  p.rank,
  f.device,
  f.op AS op,
  call_site(f.stack_id, f.process_id, f.tid) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT time_bucket(INTERVAL ''100 ms'', start_time::TIMESTAMP) AS time, count(*) FILTER (process_id = {0}) AS waits, quantile_cont(duration_ns, 0.5) FILTER (process_id = {0}) AS median_ns, count(*) FILTER (process_id = {1}) AS waits_of_other FROM events WHERE process_id IN ({0}, {1}) AND op = ''{2}'' GROUP BY time ORDER BY time',
    f.process_id, f.other_id, f.op
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
JOIN spans s USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, f.op
