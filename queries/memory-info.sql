-- @title What the driver says is free
-- @question How much free device memory were the processes told of, and how low did it get?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaMemGetInfo
-- @column run_id - -- Run the calls belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column device - -- Device that was current; NULL when that was not recorded
-- @column calls calls -- Calls that were answered
-- @column total_bytes bytes -- Memory of the device
-- @column first_free_bytes bytes -- Free at the first call
-- @column last_free_bytes bytes -- Free at the last call
-- @column least_free_bytes bytes -- Least free
-- @column least_free_time UTC -- When that was
-- @sampling rows
-- @fidelity exact -- As answered by cudaMemGetInfo: it sees the memory of all processes on the device. Between the calls nothing is known.
-- @interpret Free memory that falls while vram-timeline of this process stays: another process takes it, see by-process. Each call takes
--   some time of the host: programs that ask in a loop (calls) pay for it.
-- @next vram-timeline, out-of-memory, by-process
SELECT
  e.run_id,
  p.pid,
  p.comm AS process,
  e.current_device AS device,
  count(*) AS calls,
  max(e.total_bytes) AS total_bytes,
  arg_min(e.free_bytes, (e.start_time, e.call_id)) AS first_free_bytes,
  arg_max(e.free_bytes, (e.start_time, e.call_id)) AS last_free_bytes,
  min(e.free_bytes) AS least_free_bytes,
  arg_min(e.start_time, (e.free_bytes, e.start_time)) AS least_free_time
FROM cuda_events e
LEFT JOIN processes p ON p.run_id = e.run_id AND p.process_id = e.process_id
WHERE e.op::VARCHAR = 'cudaMemGetInfo' AND e.status = 'ok' AND e.free_bytes IS NOT NULL
GROUP BY e.run_id, e.process_id, p.pid, p.comm, e.current_device
ORDER BY least_free_bytes, e.run_id, p.pid, device
