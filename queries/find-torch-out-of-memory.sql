-- @title PyTorch ran out of memory
-- @question Which processes asked PyTorch for more memory than the device had left, and how much did tensors hold then?
-- @requires tables=torch_alloc_events,processes,threads,call_sites schema>=2
-- @packs pytorch-allocator
-- @ops reportOutOfMemoryToProfiler
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the memory needed then (in use and asked for) that was in use
-- @column lost_ns ns -- None: memory is lost, not time (NULL)
-- @column calls calls -- Allocations that failed
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank of the process; NULL when it has none
-- @column device - -- Device
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First failure
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling rows
-- @fidelity exact -- As the allocator reports it, after it has given back what it could and tried again. Failures of a request no larger than what was held unused are left to find-torch-fragmentation.
-- @interpret The evidence lists what was in use by size of block. Lower the batch size, use activation checkpointing or a smaller optimizer state;
--   memory that grew until then is find-torch-leaks'. Much less in use than the device has: another process or library holds the rest.
-- @next torch-out-of-memory, torch-blocks, vram-timeline
WITH found AS (
  SELECT
    process_id,
    device,
    mode(op::VARCHAR) AS op,
    arg_min(tid, (start_time, call_id)) AS tid,
    arg_min(stack_id, (start_time, call_id)) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls,
    arg_min(requested_bytes, (start_time, call_id)) AS requested_bytes,
    arg_min(allocated_bytes, (start_time, call_id)) AS allocated_bytes,
    arg_min(reserved_bytes, (start_time, call_id)) AS reserved_bytes
  FROM torch_alloc_events
  WHERE requested_bytes > reserved_bytes::BIGINT - allocated_bytes::BIGINT
  GROUP BY process_id, device
)
SELECT
  printf(
    '%d allocations failed, first one of %.2f MiB with %.2f MiB in use and %.2f MiB held unused',
    f.calls, f.requested_bytes / 1048576, f.allocated_bytes / 1048576, (f.reserved_bytes::BIGINT - f.allocated_bytes::BIGINT) / 1048576
  ) AS finding,
  round(100 * f.allocated_bytes / (f.allocated_bytes::BIGINT + f.requested_bytes), 2) AS share_pct,
  NULL::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  p.rank,
  f.device,
  f.op,
  call_site(f.stack_id, f.process_id, f.tid) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT delta_bytes AS block_bytes, count(*) AS blocks, sum(delta_bytes) AS bytes FROM (SELECT delta_bytes, lead(delta_bytes) OVER (PARTITION BY ptr ORDER BY start_time, call_id) AS next_delta FROM torch_alloc_events WHERE process_id = {} AND device = {} AND delta_bytes <> 0 AND start_time <= ''{}'') WHERE delta_bytes > 0 AND next_delta IS NULL GROUP BY ALL ORDER BY bytes DESC LIMIT 20',
    f.process_id, f.device, f.first_time
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
