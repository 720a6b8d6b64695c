-- @title Break-down by device
-- @question How is the work divided between devices, and which device has errors?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @column run_id - -- Run the calls belong to
-- @column device - -- Device that was current on the thread, as the process numbers them; NULL when that is not known
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column visible_devices - -- CUDA_VISIBLE_DEVICES of the process: which devices its numbers mean
-- @column calls calls -- Calls
-- @column launches calls -- Kernel and graph launches
-- @column share_pct % -- Part of the launches of the process
-- @column copied_bytes bytes -- Bytes of successful copies
-- @column allocated_bytes bytes -- Bytes of successful allocations of device memory
-- @column call_ns ns -- Time in the calls
-- @column wait_ns ns -- Part of it in synchronizations
-- @column errors calls -- Calls that returned an error
-- @sampling weighted
-- @fidelity derived -- The device a thread has selected is followed from cudaSetDevice while recording. A thread that has selected none before the first call uses device 0, which cannot be told from one that selected before recording: such calls have NULL.
-- @interpret Devices of one process with very different launches: the work is not divided. Errors on one device only: look at that device
--   (nvidia-smi -q, dmesg).
-- @next by-process, peer-copies, vram-timeline
SELECT
  e.run_id,
  e.current_device AS device,
  p.pid,
  p.comm AS process,
  p.visible_devices,
  sum(e.sample_weight)::BIGINT AS calls,
  coalesce(sum(e.sample_weight) FILTER (e.op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR e.op::VARCHAR = 'cudaGraphLaunch'), 0)::BIGINT
    AS launches,
  round(100 * launches / nullif(sum(launches) OVER (PARTITION BY e.run_id, e.process_id), 0), 3) AS share_pct,
  coalesce(sum(e.bytes * e.sample_weight) FILTER (e.op::VARCHAR LIKE 'cudaMemcpy%' AND e.status = 'ok'), 0)::BIGINT AS copied_bytes,
  coalesce(
    sum(e.bytes * e.sample_weight) FILTER (
      e.status = 'ok' AND e.op::VARCHAR LIKE 'cudaMalloc%' AND e.op::VARCHAR NOT IN ('cudaMallocHost')
    ),
    0
  )::BIGINT AS allocated_bytes,
  coalesce(sum(e.duration_ns * e.sample_weight), 0)::BIGINT AS call_ns,
  coalesce(sum(e.duration_ns * e.sample_weight) FILTER (e.op::VARCHAR LIKE '%Synchronize'), 0)::BIGINT AS wait_ns,
  coalesce(sum(e.sample_weight) FILTER (e.status = 'error'), 0)::BIGINT AS errors
FROM cuda_events e
LEFT JOIN processes p ON p.run_id = e.run_id AND p.process_id = e.process_id
GROUP BY e.run_id, e.current_device, e.process_id, p.pid, p.comm, p.visible_devices
ORDER BY e.run_id, device NULLS LAST, launches DESC, calls DESC, p.pid
