-- @title CUDA API trace
-- @question What did the program call, one call after the other?
-- @requires tables=cuda_events,capture schema>=2
-- @packs cuda-runtime
-- @param pid INTEGER null - [1..] -- only this process
-- @param tid INTEGER null - [1..] -- only this thread
-- @param op VARCHAR * - -- only operations that match this pattern (* and ?)
-- @param from_ms DOUBLE 0 ms [0..] -- begin this long after recording started
-- @param to_ms DOUBLE null ms [0..] -- end this long after recording started
-- @param limit INTEGER 1000 rows [0..] -- show at most this many
-- @column run_id - -- Run the call belongs to
-- @column at_ns ns -- Time since recording started
-- @column start_time UTC -- When the call was entered
-- @column duration_ns ns -- Time in the call; NULL when it was not seen to return
-- @column pid - -- Process
-- @column tid - -- Thread
-- @column op - -- Operation
-- @column status - -- ok, error, or how the call ended
-- @column error - -- Name of the error
-- @column bytes bytes -- Size the call moves or allocates
-- @column stream address -- Stream handle
-- @column call_id - -- Identity of the call in its run
-- @column parent_id - -- Call it was made inside of
-- @sampling rows
-- @fidelity exact -- Calls as recorded.
-- @interpret Read it with from_ms and to_ms around a moment another query has named.
-- @next tail-latency, call-tree
-- @nsys cuda_api_trace
SELECT
  run_id,
  epoch_ns(e.start_time) - epoch_ns(c.started_at) AS at_ns,
  e.start_time,
  e.duration_ns,
  e.pid,
  e.tid,
  e.op::VARCHAR AS op,
  e.status::VARCHAR AS status,
  e.error::VARCHAR AS error,
  e.bytes,
  e.stream,
  e.call_id,
  e.parent_id
FROM cuda_events e
JOIN capture c USING (run_id)
WHERE ($pid IS NULL OR e.pid = $pid)
  AND ($tid IS NULL OR e.tid = $tid)
  AND e.op::VARCHAR GLOB $op
  AND epoch_ns(e.start_time) - epoch_ns(c.started_at) >= $from_ms * 1000000
  AND ($to_ms IS NULL OR epoch_ns(e.start_time) - epoch_ns(c.started_at) <= $to_ms * 1000000)
ORDER BY e.start_time, run_id, e.call_id
LIMIT $limit
