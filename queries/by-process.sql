-- @title Break-down by process
-- @question What does each process do with the GPU: calls, launches, copies, waiting, memory, errors?
-- @requires tables=cuda_events,cuda_allocations,processes schema>=2
-- @packs cuda-runtime
-- @column run_id - -- Run the process belongs to
-- @column pid - -- Process
-- @column process - -- Command name
-- @column rank - -- Global rank from its environment
-- @column container - -- Container id, first 12 characters
-- @column first_call UTC -- First recorded call
-- @column active_ns ns -- Time from the first to the last recorded call
-- @column threads threads -- Threads that called
-- @column calls calls -- Calls
-- @column errors calls -- Calls that returned an error
-- @column launches calls -- Kernel and graph launches
-- @column copied_bytes bytes -- Bytes of successful copies
-- @column call_ns ns -- Time in the calls, all threads together
-- @column wait_ns ns -- Part of it in synchronizations
-- @column held_bytes bytes -- Device memory allocated and not freed when recording ended
-- @sampling weighted
-- @fidelity exact -- Counts of recorded calls. Memory: see vram-timeline for what is not seen.
-- @interpret Several processes with many launches on one device share it: see contention. A process that should work and has no
--   launches waits for something else.
-- @next contention, by-rank, by-container, cuda-api-sum
WITH held AS (
  SELECT run_id, process_id, sum(bytes)::BIGINT AS held_bytes
  FROM cuda_allocations
  WHERE ended_by IS NULL AND family IN ('device', 'managed', 'async')
  GROUP BY run_id, process_id
),
totals AS (
  SELECT
    run_id,
    process_id,
    min(start_time) AS first_call,
    max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)) AS active_ns,
    count(DISTINCT tid) AS threads,
    sum(sample_weight)::BIGINT AS calls,
    coalesce(sum(sample_weight) FILTER (status = 'error'), 0)::BIGINT AS errors,
    coalesce(sum(sample_weight) FILTER (op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR op::VARCHAR = 'cudaGraphLaunch'), 0)::BIGINT AS launches,
    coalesce(sum(bytes * sample_weight) FILTER (op::VARCHAR LIKE 'cudaMemcpy%' AND status = 'ok'), 0)::BIGINT AS copied_bytes,
    coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS call_ns,
    coalesce(sum(duration_ns * sample_weight) FILTER (op::VARCHAR LIKE '%Synchronize'), 0)::BIGINT AS wait_ns
  FROM cuda_events
  GROUP BY run_id, process_id
)
SELECT
  t.run_id,
  p.pid,
  p.comm AS process,
  p.rank,
  left(p.container_id, 12) AS container,
  t.first_call,
  t.active_ns,
  t.threads,
  t.calls,
  t.errors,
  t.launches,
  t.copied_bytes,
  t.call_ns,
  t.wait_ns,
  coalesce(h.held_bytes, 0) AS held_bytes
FROM totals t
LEFT JOIN held h USING (run_id, process_id)
LEFT JOIN processes p USING (run_id, process_id)
ORDER BY t.call_ns DESC, t.run_id, p.pid
