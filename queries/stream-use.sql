-- @title Use of streams
-- @question Which streams does each process use, for what, and does the default stream serialize them?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the stream belongs to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column stream address -- Stream handle; 0 and 1 are the legacy default stream, 2 the per-thread one
-- @column kind - -- default, per-thread default, or created
-- @column launches calls -- Kernel and graph launches
-- @column copies calls -- Copies and fills
-- @column copied_bytes bytes -- Bytes of successful copies
-- @column syncs calls -- Synchronizations of this stream
-- @column sync_ns ns -- Time in them
-- @column event_waits calls -- Times it was made to wait for an event
-- @column threads threads -- Threads that use it
-- @column first_use UTC -- First use
-- @column last_use UTC -- Last use
-- @column share_pct % -- Part of the launches and copies of the process
-- @sampling weighted
-- @fidelity exact -- Calls that name a stream; blocking calls without a stream argument work on the default stream and are counted there. Handles are used again once destroyed.
-- @interpret Everything on the default stream: copies and kernels never overlap. Work on the legacy default stream waits for all other
--   blocking streams, and they for it: one launch there undoes the others' overlap.
-- @next sync-stalls, event-waits, launch-rate
WITH by_op AS (
  SELECT
    run_id, process_id, tid, op, stream,
    sum(sample_weight) AS calls,
    sum(bytes * sample_weight) FILTER (status = 'ok') AS ok_bytes,
    sum(duration_ns * sample_weight) AS call_ns,
    min(start_time) AS first_use,
    max(start_time) AS last_use
  FROM cuda_events
  WHERE $pid IS NULL OR pid = $pid
  GROUP BY run_id, process_id, tid, op, stream
),
calls AS (
  SELECT
    * EXCLUDE (op, stream),
    op::VARCHAR AS op,
    CASE
      WHEN stream IS NOT NULL THEN stream
      WHEN op::VARCHAR LIKE 'cudaMemcpy%' OR op::VARCHAR LIKE 'cudaMemset%' THEN 0
    END AS stream,
    op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch' AS is_launch,
    op::VARCHAR LIKE 'cudaMemcpy%' OR op::VARCHAR LIKE 'cudaMemset%' AS is_copy
  FROM by_op
)
SELECT
  c.run_id,
  p.pid,
  p.comm AS process,
  c.stream,
  CASE WHEN c.stream <= 1 THEN 'default' WHEN c.stream = 2 THEN 'per-thread default' ELSE 'created' END AS kind,
  coalesce(sum(c.calls) FILTER (c.is_launch), 0)::BIGINT AS launches,
  coalesce(sum(c.calls) FILTER (c.is_copy), 0)::BIGINT AS copies,
  coalesce(sum(c.ok_bytes) FILTER (c.op LIKE 'cudaMemcpy%'), 0)::BIGINT AS copied_bytes,
  coalesce(sum(c.calls) FILTER (c.op = 'cudaStreamSynchronize'), 0)::BIGINT AS syncs,
  coalesce(sum(c.call_ns) FILTER (c.op = 'cudaStreamSynchronize'), 0)::BIGINT AS sync_ns,
  coalesce(sum(c.calls) FILTER (c.op = 'cudaStreamWaitEvent'), 0)::BIGINT AS event_waits,
  count(DISTINCT c.tid) AS threads,
  min(c.first_use) AS first_use,
  max(c.last_use) AS last_use,
  round(
    100 * coalesce(sum(c.calls) FILTER (c.is_launch OR c.is_copy), 0)
    / nullif(sum(sum(c.calls) FILTER (c.is_launch OR c.is_copy)) OVER (PARTITION BY c.run_id, c.process_id), 0),
    3
  ) AS share_pct
FROM calls c
LEFT JOIN processes p ON p.run_id = c.run_id AND p.process_id = c.process_id
WHERE c.stream IS NOT NULL
GROUP BY c.run_id, c.process_id, p.pid, p.comm, c.stream
ORDER BY c.run_id, p.pid, launches + copies DESC, c.stream
