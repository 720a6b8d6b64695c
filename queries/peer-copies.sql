-- @title Copies between devices
-- @question How much is copied between which devices, and how fast?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @ops cudaMemcpy*Peer*
-- @column run_id - -- Run the copies belong to
-- @column pid - -- Process
-- @column src_device - -- Device copied from
-- @column dst_device - -- Device copied to
-- @column op - -- Operation
-- @column copies calls -- Successful copies
-- @column failed calls -- Copies that returned an error
-- @column bytes bytes -- Bytes copied
-- @column total_ns ns -- Time in the calls
-- @column gb_per_s GB/s -- bytes / total_ns of blocking copies; NULL for asynchronous ones
-- @sampling weighted
-- @fidelity derived -- Only operations that name two devices. Copies of NCCL, and cudaMemcpy between addresses of two devices, are not here.
-- @interpret A blocking rate of a few GB/s between two devices: no peer access, the data goes through the host. Look for
--   cudaDeviceEnablePeerAccess with api-errors and cuda-api-sum.
-- @next memcpy-bandwidth, by-device
SELECT
  run_id,
  pid,
  src_device,
  dst_device,
  op::VARCHAR AS op,
  coalesce(sum(sample_weight) FILTER (status = 'ok'), 0)::BIGINT AS copies,
  coalesce(sum(sample_weight) FILTER (status = 'error'), 0)::BIGINT AS failed,
  coalesce(sum(bytes * sample_weight) FILTER (status = 'ok'), 0)::BIGINT AS bytes,
  coalesce(sum(duration_ns * sample_weight) FILTER (status = 'ok'), 0)::BIGINT AS total_ns,
  CASE WHEN op NOT LIKE '%Async%' THEN round(sum(cuda_events.bytes) FILTER (status = 'ok') / nullif(sum(duration_ns) FILTER (status = 'ok'), 0), 3) END AS gb_per_s
FROM cuda_events
WHERE op::VARCHAR LIKE 'cudaMemcpy%Peer%'
GROUP BY run_id, process_id, pid, src_device, dst_device, op
ORDER BY run_id, bytes DESC, pid, src_device, dst_device, op
