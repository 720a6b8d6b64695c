-- @title Another process on the same device
-- @question Which processes wait longer for the GPU while another process uses it than while none does?
-- @requires tables=cuda_events,processes,threads,frames schema>=2
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
WITH spans AS (
  SELECT
    process_id,
    min(start_time) AS begun,
    greatest(max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)), 1) AS span_ns
  FROM cuda_events
  GROUP BY process_id
),
marked AS (
  SELECT
    process_id,
    epoch_ns(start_time) AS from_ns,
    epoch_ns(start_time) + coalesce(duration_ns, 0) AS to_ns,
    max(epoch_ns(start_time) + coalesce(duration_ns, 0)) OVER (
      PARTITION BY process_id ORDER BY start_time, call_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS before_ns
  FROM cuda_events
),
-- Times in which a process made calls, without longer pauses.
busy AS (
  SELECT process_id, min(from_ns) AS from_ns, max(to_ns) AS to_ns
  FROM (
    SELECT
      *,
      count(CASE WHEN before_ns IS NULL OR from_ns > before_ns + $idle_ms * 1000000 THEN 1 END) OVER (
        PARTITION BY process_id ORDER BY from_ns, to_ns ROWS UNBOUNDED PRECEDING
      ) AS part
    FROM marked
  )
  GROUP BY process_id, part
),
devices AS (
  SELECT e.process_id, min(e.current_device) AS device, any_value(p.visible_devices) AS visible
  FROM cuda_events e
  JOIN processes p USING (process_id)
  GROUP BY e.process_id
  HAVING count(DISTINCT e.current_device) <= 1
),
pairs AS (
  SELECT a.process_id, b.process_id AS other_id
  FROM devices a
  JOIN devices b ON a.process_id <> b.process_id
  WHERE a.visible IS NOT DISTINCT FROM b.visible AND coalesce(a.device, b.device, 0) = coalesce(b.device, a.device, 0)
),
waits AS (
  SELECT process_id, tid, start_time, duration_ns, op::VARCHAR AS op, current_device, stack_id
  FROM cuda_events
  WHERE op::VARCHAR IN ('cudaDeviceSynchronize', 'cudaStreamSynchronize', 'cudaEventSynchronize') AND status = 'ok'
),
compared AS (
  SELECT w.*, p.other_id, b.process_id IS NOT NULL AS shared
  FROM waits w
  JOIN pairs p USING (process_id)
  LEFT JOIN busy b ON b.process_id = p.other_id AND epoch_ns(w.start_time) BETWEEN b.from_ns AND b.to_ns
),
medians AS (
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
  f.op,
  coalesce(
    (SELECT fr.function FROM frames fr WHERE fr.stack_id = f.stack_id AND fr.function IS NOT NULL ORDER BY fr.position LIMIT 1),
    'thread ' || (SELECT any_value(t.name) FROM threads t WHERE t.tid = f.tid AND t.process_id = f.process_id)
  ) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT time_bucket(INTERVAL ''100 ms'', start_time::TIMESTAMP) AS time, count(*) FILTER (process_id = {0}) AS waits, quantile_cont(duration_ns, 0.5) FILTER (process_id = {0}) AS median_ns, count(*) FILTER (process_id = {1}) AS waits_of_other FROM cuda_events WHERE process_id IN ({0}, {1}) AND op = ''{2}'' GROUP BY time ORDER BY time',
    f.process_id, f.other_id, f.op
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
JOIN spans s USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
