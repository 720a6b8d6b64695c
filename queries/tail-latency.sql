-- @title Slow calls and what the thread was doing
-- @question Which calls took many times longer than is usual for their operation, and what did the thread do before and meanwhile?
-- @requires tables=events schema>=2
-- @param factor DOUBLE 10 x [1..] -- only calls that took at least this many times the median of their operation
-- @param min_us DOUBLE 100 us [0..] -- only calls that took at least this long
-- @param pid INTEGER null - [1..] -- only this process
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the call belongs to
-- @column start_time UTC -- When the call was entered
-- @column pid - -- Process
-- @column tid - -- Thread
-- @column layer - -- Layer of the operation
-- @column op - -- Operation
-- @column duration_ns ns -- Time in the call
-- @column p50_ns ns -- Median of the operation in its run
-- @column times_median x -- duration_ns / p50_ns
-- @column inside - -- Recorded call it was made inside of
-- @column longest_inner - -- Longest recorded call made inside it
-- @column longest_inner_ns ns -- Time in that call
-- @column before_op - -- Call the thread made before
-- @column idle_before_ns ns -- Time between the return of that call and this one; NULL when calls overlap or the first has no end
-- @column bytes bytes -- Size the call moves or allocates
-- @column call_id - -- Identity of the call in its run
-- @sampling pairs
-- @fidelity derived -- The median is that of the recorded calls of the same operation and run. What the thread did is told from its other recorded calls; time off the CPU is not part of it.
-- @interpret longest_inner names the part that was slow; where nothing was recorded inside, the time went into the library itself, a
--   lock, or the thread was not running. A slow call after a long pause met a GPU clock or a cache gone cold; the first calls of a
--   process: see cold-start.
-- @next cuda-api-trace, periodic-spikes, cold-start
WITH medians AS (
  SELECT run_id, event_table, op, quantile_disc(duration_ns, 0.5) AS p50_ns
  FROM events
  WHERE duration_ns IS NOT NULL
  GROUP BY run_id, event_table, op
),
slow AS MATERIALIZED (
  SELECT e.*, m.p50_ns
  FROM events e
  JOIN medians m USING (run_id, event_table, op)
  WHERE e.duration_ns >= greatest(m.p50_ns * $factor, $min_us * 1000)
    AND ($pid IS NULL OR e.pid = $pid)
  ORDER BY e.duration_ns DESC, e.call_id
  LIMIT $limit
),
inner_calls AS (
  SELECT s.run_id, s.call_id, arg_max(c.op, c.duration_ns) AS op, max(c.duration_ns) AS duration_ns
  FROM slow s
  JOIN events c ON c.run_id = s.run_id AND c.parent_id = s.call_id
  GROUP BY s.run_id, s.call_id
),
-- The last call the same thread entered earlier, other than those it was still inside of.
-- What came before a slow call is looked for in its own step of 100 ms and in the two before it in which its thread made calls:
-- one may hold nothing but its parent.
steps AS (
  SELECT process_id, tid, epoch_ns(start_time) // 100000000 AS step
  FROM events
  WHERE process_id BETWEEN (SELECT min(process_id) FROM slow) AND (SELECT max(process_id) FROM slow)
  GROUP BY process_id, tid, step
),
looked_in AS (
  SELECT s.run_id, s.call_id, s.process_id, s.tid, s.start_time, s.parent_id, unnest(max(p.step, 3)) AS step
  FROM slow s
  JOIN steps p ON p.process_id = s.process_id AND p.tid = s.tid AND p.step <= epoch_ns(s.start_time) // 100000000
  GROUP BY s.run_id, s.call_id, s.process_id, s.tid, s.start_time, s.parent_id
),
before AS (
  SELECT
    l.run_id,
    l.call_id,
    arg_max(b.op, (b.start_time, b.call_id)) AS op,
    arg_max(epoch_ns(b.start_time) + b.duration_ns, (b.start_time, b.call_id)) AS ended_ns
  FROM looked_in l
  JOIN events b ON b.process_id = l.process_id AND b.tid = l.tid AND epoch_ns(b.start_time) // 100000000 = l.step
    AND b.start_time < l.start_time
    AND b.call_id IS DISTINCT FROM l.parent_id
  GROUP BY l.run_id, l.call_id
)
SELECT
  s.run_id,
  s.start_time,
  s.pid,
  s.tid,
  s.layer,
  s.op,
  s.duration_ns,
  s.p50_ns,
  round(s.duration_ns / nullif(s.p50_ns, 0), 1) AS times_median,
  o.op AS inside,
  i.op AS longest_inner,
  i.duration_ns AS longest_inner_ns,
  b.op AS before_op,
  CASE WHEN b.ended_ns <= epoch_ns(s.start_time) THEN epoch_ns(s.start_time) - b.ended_ns END AS idle_before_ns,
  s.bytes,
  s.call_id
FROM slow s
LEFT JOIN inner_calls i ON i.run_id = s.run_id AND i.call_id = s.call_id
LEFT JOIN before b ON b.run_id = s.run_id AND b.call_id = s.call_id
LEFT JOIN events o ON o.run_id = s.run_id AND o.call_id = s.parent_id
ORDER BY s.duration_ns DESC, s.run_id, s.call_id
