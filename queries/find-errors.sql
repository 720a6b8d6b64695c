-- @title Calls that failed
-- @question In which processes did calls of CUDA or NCCL fail, which was the first, and how many followed?
-- @requires tables=events,processes,threads,call_sites schema>=2
-- @packs cuda-runtime, cuda-driver, nccl
-- @ops cu*, nccl*
-- @param min_calls INTEGER 1 calls -- report processes with at least this many failed calls
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the process's returned calls that failed
-- @column lost_ns ns -- Time in the failed calls
-- @column calls calls -- Calls affected
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank of the process; NULL when it has none
-- @column device - -- Device that was current; NULL when unknown or several
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First affected call
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity exact -- Return values as the program received them: of a call within a call the outer one counts. "Not ready" (polling), "peer access already enabled" and "host memory already registered" are no failures, nor are calls the runtime makes while the program ends; memory PyTorch reports as refused is left to the detections about PyTorch.
-- @interpret Start with the first error: later ones often follow from it, and errors of asynchronous work are reported by a later, innocent call.
--   cudaErrorMemoryAllocation: see find-leaks and alloc-balance for what held the memory.
-- @next api-errors, alloc-balance
WITH returned AS (
  SELECT process_id, count(*) AS returned
  FROM events
  WHERE layer IN ('runtime', 'driver', 'nccl') AND status IN ('ok', 'error')
  GROUP BY process_id
),
-- One failure is one call: what fails inside a call is either returned by it or was dealt with there.
nested AS (
  SELECT e.run_id, e.call_id
  FROM events e
  JOIN events o ON o.run_id = e.run_id AND o.call_id = e.parent_id
  WHERE e.status = 'error' AND o.layer IN ('runtime', 'driver', 'nccl')
),
failed AS (
  SELECT *, coalesce(error, 'error ' || return_code) AS name
  FROM events e
  ANTI JOIN nested USING (run_id, call_id)
  WHERE status = 'error' AND layer IN ('runtime', 'driver', 'nccl')
    AND coalesce(error, '') NOT IN (
      'cudaErrorNotReady', 'cudaErrorPeerAccessAlreadyEnabled', 'cudaErrorHostMemoryAlreadyRegistered',
      'cudaErrorCudartUnloading', 'CUDA_ERROR_DEINITIALIZED',
      'CUDA_ERROR_NOT_READY', 'CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED', 'CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED'
    )
    -- These hand an error out a second time.
    AND op NOT IN ('cudaGetLastError', 'cudaPeekAtLastError')
),
-- PyTorch's allocator asks again when it is refused memory, and reports when that fails too: find-torch-out-of-memory
-- and find-torch-fragmentation say so.
refused AS (
  SELECT f.run_id, f.call_id
  FROM failed f
  ASOF JOIN (SELECT process_id, tid, start_time FROM events WHERE op = 'reportOutOfMemoryToProfiler') t
    ON t.process_id = f.process_id AND t.tid = f.tid AND t.start_time >= f.start_time
  WHERE f.name IN ('cudaErrorMemoryAllocation', 'CUDA_ERROR_OUT_OF_MEMORY') AND epoch_ns(t.start_time) - epoch_ns(f.start_time) < 1000000000
),
found AS (
  SELECT
    process_id,
    arg_min(op, (start_time, call_id)) AS op,
    arg_min(name, (start_time, call_id)) AS first_name,
    count(DISTINCT (op, name)) AS kinds,
    any_value(current_device) FILTER (current_device IS NOT NULL) AS device,
    mode(tid) AS tid,
    mode(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls,
    sum(duration_ns) AS lost_ns
  FROM failed
  ANTI JOIN refused USING (run_id, call_id)
  GROUP BY process_id
  HAVING count(*) >= $min_calls
)
SELECT
  printf('%d calls failed in %d ways, first %s with %s', f.calls, f.kinds, f.op, f.first_name) AS finding,
  round(100 * f.calls / r.returned, 2) AS share_pct,
  f.lost_ns::BIGINT AS lost_ns,
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
    'SELECT start_time, tid, layer, op, error, return_code, bytes, call_id, parent_id FROM events WHERE process_id = {} AND status = ''error'' ORDER BY start_time LIMIT 50',
    f.process_id
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
JOIN returned r USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
