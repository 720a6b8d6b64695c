-- @title Allocations around slow waits
-- @question Do long waits for the GPU coincide with allocating memory, as when a cache is full?
-- @requires tables=cuda_events,cuda_allocations,processes schema>=2
-- @packs cuda-runtime
-- @ops cuda*Synchronize
-- @param window_ms DOUBLE 100 ms [0..] -- look at allocations this long before and after a wait
-- @param factor DOUBLE 3 x [1..] -- a wait is long from this many times the median of its process on
-- @param min_us DOUBLE 1000 us [0..] -- and from this length on
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column waits calls -- Waits for the GPU
-- @column long_waits calls -- Long waits
-- @column long_waits_ns ns -- Time in the long waits
-- @column near_allocations calls -- Long waits that overlap the window around an allocation or free
-- @column near_pct % -- Part of the long waits
-- @column expected_pct % -- Part of the process's time that is within such a window: what chance alone would give
-- @column near_alloc_bytes bytes -- Bytes allocated within the windows of long waits
-- @sampling pairs
-- @fidelity heuristic -- Intervals that overlap, compared with chance; that is no proof of a cause.
-- @interpret near_pct far above expected_pct: memory is found under pressure, for example a KV cache that evicts or an allocator that frees
--   cached blocks. Reserve the memory at the start, or lower the batch.
-- @next alloc-churn, torch-timeline, tail-latency
WITH waits AS (
  SELECT
    run_id, process_id, call_id, epoch_ns(start_time) AS from_ns, epoch_ns(start_time) + duration_ns AS to_ns, duration_ns,
    quantile_disc(duration_ns, 0.5) OVER (PARTITION BY run_id, process_id) AS p50_ns
  FROM cuda_events
  WHERE op::VARCHAR LIKE '%Synchronize' AND duration_ns IS NOT NULL
),
long_waits AS (
  SELECT * FROM waits WHERE duration_ns >= greatest(p50_ns * $factor, $min_us * 1000)
),
moments AS (
  SELECT run_id, process_id, epoch_ns(allocated_at) AS at_ns, bytes FROM cuda_allocations
  UNION ALL
  SELECT run_id, process_id, epoch_ns(ended_at), 0 FROM cuda_allocations WHERE ended_by = 'free'
),
-- The time within the window of any moment: what lies nearer to the one before is counted once.
covered AS (
  SELECT run_id, process_id, sum(least(at_ns + $window_ms * 1000000 - previous_ns, 2 * $window_ms * 1000000)) AS ns
  FROM (
    SELECT
      run_id, process_id, at_ns,
      coalesce(lag(at_ns) OVER (PARTITION BY run_id, process_id ORDER BY at_ns) + $window_ms * 1000000, at_ns - $window_ms * 1000000)
        AS previous_ns
    FROM moments
  )
  GROUP BY run_id, process_id
),
spans AS (
  SELECT run_id, process_id, max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)) AS ns
  FROM cuda_events
  GROUP BY run_id, process_id
),
near AS (
  SELECT w.run_id, w.process_id, w.call_id, sum(m.bytes) AS bytes
  FROM long_waits w
  JOIN moments m ON m.run_id = w.run_id AND m.process_id = w.process_id
    AND m.at_ns BETWEEN w.from_ns - $window_ms * 1000000 AND w.to_ns + $window_ms * 1000000
  GROUP BY w.run_id, w.process_id, w.call_id
)
SELECT
  w.run_id,
  p.pid,
  p.comm AS process,
  count(*) AS waits,
  count(l.call_id) AS long_waits,
  coalesce(sum(l.duration_ns), 0)::BIGINT AS long_waits_ns,
  count(n.call_id) AS near_allocations,
  round(100 * near_allocations / nullif(long_waits, 0), 1) AS near_pct,
  round(least(100, 100 * coalesce(any_value(c.ns), 0) / nullif(any_value(s.ns), 0)), 1) AS expected_pct,
  coalesce(sum(n.bytes), 0)::BIGINT AS near_alloc_bytes
FROM waits w
LEFT JOIN long_waits l ON l.run_id = w.run_id AND l.call_id = w.call_id
LEFT JOIN near n ON n.run_id = w.run_id AND n.call_id = w.call_id
LEFT JOIN covered c ON c.run_id = w.run_id AND c.process_id = w.process_id
LEFT JOIN spans s ON s.run_id = w.run_id AND s.process_id = w.process_id
LEFT JOIN processes p ON p.run_id = w.run_id AND p.process_id = w.process_id
GROUP BY w.run_id, w.process_id, p.pid, p.comm
HAVING count(l.call_id) > 0
ORDER BY long_waits_ns DESC, w.run_id, p.pid
