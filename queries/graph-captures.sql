-- @title Graph captures
-- @question When are streams captured into graphs, how long does it take, what happens meanwhile, and which captures fail?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaStreamBeginCapture*, cudaStreamEndCapture
-- @column run_id - -- Run the capture belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread that began it
-- @column stream address -- Stream captured
-- @column began UTC -- When the capture began
-- @column capture_ns ns -- Time from its beginning to its end; NULL when the end was not seen
-- @column mode - -- global, thread_local or relaxed
-- @column launches calls -- Launches of the thread meanwhile: what the graph holds of kernels
-- @column copies calls -- Copies of the thread meanwhile
-- @column syncs calls -- Synchronizations of the thread meanwhile: not allowed in a capture
-- @column allocs calls -- Blocking allocations of the thread meanwhile
-- @column outcome - -- ok, the error of the end, or not ended
-- @sampling pairs
-- @fidelity derived -- A capture is ended by the next cudaStreamEndCapture of the same stream and process; what is inside is told by the thread and time.
-- @interpret Failed captures of under a millisecond: a library is initialized inside the capture (make the cuBLAS handle and warm up
--   first). Captures again and again in steady state: shapes change, see graph-lifecycle. syncs or allocs inside explain an error.
-- @next graph-lifecycle, api-errors
WITH calls AS (
  SELECT
    run_id, process_id, tid, stream, call_id, start_time, op::VARCHAR AS op, status, error::VARCHAR AS error,
    capture_mode::VARCHAR AS capture_mode, epoch_ns(start_time) AS from_ns, duration_ns, sample_weight
  FROM cuda_events
),
captures AS (
  SELECT
    *,
    lead(op) OVER later AS next_op,
    lead(from_ns + coalesce(duration_ns, 0)) OVER later AS ended_ns,
    lead(coalesce(error, status)) OVER later AS end_status
  FROM calls
  WHERE op LIKE 'cudaStreamBeginCapture%' OR op = 'cudaStreamEndCapture'
  WINDOW later AS (PARTITION BY run_id, process_id, stream ORDER BY from_ns, call_id)
),
begun AS (
  SELECT *, CASE WHEN next_op = 'cudaStreamEndCapture' THEN ended_ns END AS to_ns
  FROM captures
  WHERE op LIKE 'cudaStreamBeginCapture%'
)
SELECT
  b.run_id,
  p.pid,
  p.comm AS process,
  b.tid,
  b.stream,
  b.start_time AS began,
  b.to_ns - b.from_ns AS capture_ns,
  b.capture_mode AS mode,
  coalesce(sum(c.sample_weight) FILTER (c.op LIKE 'cudaLaunch%Kernel%'), 0)::BIGINT AS launches,
  coalesce(sum(c.sample_weight) FILTER (c.op LIKE 'cudaMemcpy%'), 0)::BIGINT AS copies,
  coalesce(sum(c.sample_weight) FILTER (c.op LIKE '%Synchronize'), 0)::BIGINT AS syncs,
  coalesce(sum(c.sample_weight) FILTER (c.op IN ('cudaMalloc', 'cudaMallocManaged', 'cudaMallocHost', 'cudaFree')), 0)::BIGINT AS allocs,
  CASE WHEN b.status = 'error' THEN b.error WHEN b.to_ns IS NULL THEN 'not ended' ELSE b.end_status END AS outcome
FROM begun b
LEFT JOIN calls c ON c.run_id = b.run_id AND c.process_id = b.process_id AND c.tid = b.tid
  AND c.from_ns > b.from_ns AND c.from_ns < b.to_ns
LEFT JOIN processes p ON p.run_id = b.run_id AND p.process_id = b.process_id
GROUP BY b.run_id, b.process_id, p.pid, p.comm, b.tid, b.stream, b.call_id, b.start_time, b.from_ns, b.to_ns, b.capture_mode,
  b.status, b.error, b.end_status
ORDER BY b.start_time, b.run_id, b.call_id
