-- @title Event waits
-- @question Which CUDA events does the host wait for, for how long, and how long after they were recorded?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaEventSynchronize, cudaEventQuery, cudaStreamWaitEvent, cudaEventRecord*
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the event belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column event address -- Event handle
-- @column stream address -- Stream the event was last recorded on; NULL when the record was not seen
-- @column records calls -- Times it was recorded
-- @column host_waits calls -- Calls of cudaEventSynchronize
-- @column host_wait_ns ns -- Time in these calls
-- @column max_wait_ns ns -- Longest
-- @column longest_to_done_ns ns -- Longest time from a record of the event to the end of the wait for it
-- @column queries calls -- Calls of cudaEventQuery
-- @column not_ready calls -- Those answered "not ready"
-- @column stream_waits calls -- Calls of cudaStreamWaitEvent, which make a stream and not the host wait
-- @sampling pairs
-- @fidelity derived -- A wait belongs to the last record of its event before it, by the handle. Handles are used again once destroyed; the time to done is an upper bound of what the GPU took.
-- @interpret longest_to_done_ns is how far the GPU is behind the host. Many not_ready answers are polling: wait with
--   cudaEventSynchronize, or poll less often.
-- @next sync-stalls, stream-use
WITH calls AS (
  SELECT
    run_id, process_id, event, stream, op::VARCHAR AS op, error, duration_ns, sample_weight, call_id,
    epoch_ns(start_time) AS from_ns
  FROM cuda_events
  WHERE event IS NOT NULL
    AND (op::VARCHAR LIKE 'cudaEventRecord%' OR op::VARCHAR IN ('cudaEventSynchronize', 'cudaEventQuery', 'cudaStreamWaitEvent'))
),
recorded AS (
  SELECT
    *,
    last_value(CASE WHEN op LIKE 'cudaEventRecord%' THEN from_ns END IGNORE NULLS) OVER earlier AS recorded_ns,
    CASE WHEN op LIKE 'cudaEventRecord%' THEN stream END AS record_stream
  FROM calls
  WINDOW earlier AS (PARTITION BY run_id, process_id, event ORDER BY from_ns, call_id ROWS UNBOUNDED PRECEDING)
)
SELECT
  r.run_id,
  p.pid,
  p.comm AS process,
  r.event,
  arg_max(r.record_stream, (r.from_ns, r.call_id)) AS stream,
  coalesce(sum(r.sample_weight) FILTER (r.op LIKE 'cudaEventRecord%'), 0)::BIGINT AS records,
  coalesce(sum(r.sample_weight) FILTER (r.op = 'cudaEventSynchronize'), 0)::BIGINT AS host_waits,
  coalesce(sum(r.duration_ns * r.sample_weight) FILTER (r.op = 'cudaEventSynchronize'), 0)::BIGINT AS host_wait_ns,
  max(r.duration_ns) FILTER (r.op = 'cudaEventSynchronize') AS max_wait_ns,
  max(r.from_ns + r.duration_ns - r.recorded_ns) FILTER (r.op = 'cudaEventSynchronize') AS longest_to_done_ns,
  coalesce(sum(r.sample_weight) FILTER (r.op = 'cudaEventQuery'), 0)::BIGINT AS queries,
  coalesce(sum(r.sample_weight) FILTER (r.op = 'cudaEventQuery' AND r.error::VARCHAR = 'cudaErrorNotReady'), 0)::BIGINT AS not_ready,
  coalesce(sum(r.sample_weight) FILTER (r.op = 'cudaStreamWaitEvent'), 0)::BIGINT AS stream_waits
FROM recorded r
LEFT JOIN processes p ON p.run_id = r.run_id AND p.process_id = r.process_id
GROUP BY r.run_id, r.process_id, p.pid, p.comm, r.event
ORDER BY host_wait_ns DESC, queries DESC, records DESC, r.run_id, p.pid, r.event
LIMIT $limit
