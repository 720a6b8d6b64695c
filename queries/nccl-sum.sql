-- @title NCCL summary
-- @question Which collectives does each rank ask for, how much data do they move, and at what rate?
-- @requires tables=nccl_calls,nccl_events schema>=2
-- @packs nccl
-- @column run_id - -- Run the calls belong to
-- @column pid - -- Process
-- @column comm_id address -- Communicator: the same in all its ranks; NULL when its making was not seen
-- @column rank - -- Rank of the process in it
-- @column nranks ranks -- Ranks of the communicator
-- @column op - -- Operation
-- @column calls calls -- Calls that were not refused
-- @column bytes bytes -- Bytes this rank passes in (ncclReduceScatter: gets)
-- @column p50_bytes bytes -- Median size
-- @column call_ns ns -- Host time in the calls: they queue the operation
-- @column max_call_ns ns -- Longest call
-- @column algo_gb_per_s GB/s -- Algorithm bandwidth: size of the collective x calls / time from the first to the last of them
-- @column bus_gb_per_s GB/s -- Bus bandwidth: algorithm bandwidth x the factor of the operation and number of ranks (NCCL tests, PERFORMANCE.md)
-- @sampling weighted
-- @fidelity proxy -- When a collective runs on the GPU is not seen: rates are over the whole time between the first and the last call of the operation, a lower bound of what the link carries. Exact for a loop that does nothing else.
-- @interpret Compare bus_gb_per_s with what nccl-tests reach on this machine, in a program that is bound by communication. Small
--   p50_bytes with many calls: latency rules; use larger buckets. A long max_call_ns is an init in the first call, or a full queue.
-- @next nccl-sequence, nccl-stragglers, nccl-communicators
-- @nsys nccl_sum
WITH nested AS (
  -- What NCCL calls itself: ncclBcast makes an ncclBroadcast. As a list, so that DuckDB knows they are few.
  SELECT unnest(list(n), max_depth := 2)
  FROM (
    SELECT e.run_id, e.call_id
    FROM nccl_events e
    JOIN nccl_events o ON o.run_id = e.run_id AND o.call_id = e.parent_id
    WHERE e.parent_id IS NOT NULL
  ) n
),
calls AS (
  SELECT
    run_id, process_id, pid, comm_id, comm, rank, nranks, op, bytes, duration_ns, start_time, sample_weight
  FROM nccl_calls
  ANTI JOIN nested USING (run_id, call_id)
  WHERE op IN (
      'ncclAllReduce', 'ncclReduce', 'ncclReduceScatter', 'ncclAllGather', 'ncclBroadcast', 'ncclBcast', 'ncclAlltoAll', 'ncclGather',
      'ncclScatter', 'ncclSend', 'ncclRecv'
    )
    AND status <> 'error'
),
sums AS (
  SELECT
    run_id,
    process_id,
    pid,
    comm_id,
    comm,
    rank,
    nranks,
    op,
    sum(sample_weight)::BIGINT AS calls,
    sum(bytes * sample_weight)::BIGINT AS bytes,
    quantile_disc(calls.bytes, 0.5) AS p50_bytes,
    coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS call_ns,
    max(duration_ns) AS max_call_ns,
    -- The first call only starts the clock.
    sum(bytes * sample_weight) - arg_min(bytes * sample_weight, start_time) AS later_bytes,
    max(epoch_ns(start_time)) - min(epoch_ns(start_time)) AS span_ns,
    -- NCCL's size of a collective: all-gather and reduce-scatter count the data of all ranks.
    CASE WHEN op IN ('ncclAllGather', 'ncclReduceScatter', 'ncclAlltoAll', 'ncclGather', 'ncclScatter') THEN nranks ELSE 1 END AS size_factor,
    CASE
      WHEN op = 'ncclAllReduce' THEN 2 * (nranks - 1) / nranks
      WHEN op IN ('ncclAllGather', 'ncclReduceScatter', 'ncclAlltoAll', 'ncclGather', 'ncclScatter') THEN (nranks - 1) / nranks
      ELSE 1
    END AS bus_factor
  FROM calls
  GROUP BY run_id, process_id, pid, comm_id, comm, rank, nranks, op
)
SELECT
  run_id,
  pid,
  comm_id,
  rank,
  nranks,
  op,
  calls,
  bytes,
  p50_bytes,
  call_ns,
  max_call_ns,
  round(later_bytes * size_factor / nullif(span_ns, 0), 3) AS algo_gb_per_s,
  round(later_bytes * size_factor * bus_factor / nullif(span_ns, 0), 3) AS bus_gb_per_s
FROM sums
ORDER BY run_id, comm_id, rank, pid, bytes DESC, op
