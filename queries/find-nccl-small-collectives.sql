-- @title Many tiny collectives
-- @question Which threads ask for one small collective after another, with nothing launched in between, where one large one would do?
-- @requires tables=nccl_events,events,processes,threads,call_sites schema>=2
-- @packs nccl
-- @ops ncclAllReduce, ncclReduce*, ncclAllGather, ncclB*cast
-- @param max_bytes BIGINT 65536 bytes -- a collective of at most this size is small
-- @param max_gap_us DOUBLE 100 us -- collectives that begin within this time of the one before on the same communicator form a burst
-- @param min_burst INTEGER 8 calls -- look at bursts of at least this many
-- @param min_calls INTEGER 200 calls -- report threads with at least this many collectives in bursts
-- @param min_share_pct DOUBLE 5 % -- that take at least this part of the thread's recorded time
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the thread's recorded time in bursts
-- @column lost_ns ns -- Time in bursts
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
-- @fidelity heuristic -- Size, order and grouping are exact (those within ncclGroupStart and ncclGroupEnd are left out). That the program could put them together is a guess: a collective whose data depends on the one before cannot be.
-- @interpret A collective of a few KiB costs what its latency costs, tens of microseconds whatever its size. Put tensors into one buffer or bucket
--   (DistributedDataParallel does: bucket_cap_mb), or between ncclGroupStart and ncclGroupEnd (torch.distributed: _coalescing_manager).
-- @next nccl-sum, nccl-sequence
WITH small_ops (op) AS (
  VALUES ('ncclAllReduce'), ('ncclReduce'), ('ncclReduceScatter'), ('ncclAllGather'), ('ncclBroadcast'), ('ncclBcast')
),
-- Only the calls of threads that may have enough of them need be put in order.
candidates AS MATERIALIZED (
  SELECT process_id, tid
  FROM nccl_events
  WHERE status = 'ok' AND bytes <= $max_bytes AND op::VARCHAR IN (FROM small_ops)
  GROUP BY process_id, tid
  HAVING count(*) >= $min_calls
),
nested AS (
  SELECT e.run_id, e.call_id
  FROM nccl_events e
  JOIN nccl_events o ON o.run_id = e.run_id AND o.call_id = e.parent_id
  WHERE e.parent_id IS NOT NULL
),
outermost AS (
  SELECT
    process_id, tid, call_id, start_time, duration_ns, op::VARCHAR AS op, status::VARCHAR AS status, bytes, comm, current_device, stack_id,
    sum(CASE op::VARCHAR WHEN 'ncclGroupStart' THEN 1 WHEN 'ncclGroupEnd' THEN -1 ELSE 0 END) OVER (
      PARTITION BY process_id, tid ORDER BY start_time, call_id ROWS UNBOUNDED PRECEDING
    ) AS depth
  FROM nccl_events
  SEMI JOIN candidates USING (process_id, tid)
  ANTI JOIN nested USING (run_id, call_id)
),
small AS (
  SELECT
    *, epoch_ns(start_time) AS at_ns,
    epoch_ns(start_time) - lag(epoch_ns(start_time)) OVER (PARTITION BY process_id, tid, comm ORDER BY start_time, call_id) AS gap_ns
  FROM outermost
  WHERE depth <= 0 AND status = 'ok' AND bytes <= $max_bytes
    AND op IN (FROM small_ops)
),
numbered AS (
  SELECT
    *,
    count(CASE WHEN gap_ns IS NULL OR gap_ns > $max_gap_us * 1000 THEN 1 END) OVER (
      PARTITION BY process_id, tid, comm ORDER BY start_time, call_id ROWS UNBOUNDED PRECEDING
    ) AS burst
  FROM small
),
bursts AS (
  SELECT
    process_id, tid, comm, burst, count(*) AS calls, sum(bytes) AS bytes, min(at_ns) AS from_ns, max(at_ns + coalesce(duration_ns, 0)) AS to_ns,
    max(start_time) AS last_start, mode(op) AS op, mode(current_device) AS device, mode(stack_id) AS stack_id
  FROM numbered
  GROUP BY process_id, tid, comm, burst
  HAVING count(*) >= $min_burst
),
-- Work of the thread's own in a burst: then each collective has data of its own to wait for.
working AS (
  SELECT b.process_id, b.tid, b.comm, b.burst
  FROM bursts b
  JOIN events e ON e.process_id = b.process_id AND e.tid = b.tid AND epoch_ns(e.start_time) BETWEEN b.from_ns AND b.to_ns
  WHERE e.parent_id IS NULL AND (e.op LIKE 'cudaLaunchK%' OR e.op LIKE 'cuLaunchK%')
  GROUP BY b.process_id, b.tid, b.comm, b.burst
  HAVING 2 * count(*) >= any_value(b.calls)
),
thread_times AS (
  SELECT process_id, tid, greatest(max(epoch_ns(start_time) + coalesce(duration_ns, 0)) - min(epoch_ns(start_time)), 1) AS span_ns
  FROM events
  SEMI JOIN bursts USING (process_id, tid)
  WHERE layer IN ('runtime', 'driver', 'nccl')
  GROUP BY process_id, tid
),
found AS (
  SELECT
    process_id,
    tid,
    any_value(op) AS op,
    any_value(device) AS device,
    any_value(stack_id) AS stack_id,
    make_timestamp_ns(min(from_ns)) AS first_time,
    max(last_start) AS last_time,
    sum(calls) AS calls,
    sum(bytes) AS bytes,
    sum(to_ns - from_ns) AS lost_ns,
    any_value(span_ns) AS span_ns
  FROM bursts
  ANTI JOIN working USING (process_id, tid, comm, burst)
  JOIN thread_times USING (process_id, tid)
  GROUP BY process_id, tid
  HAVING sum(calls) >= $min_calls AND 100 * sum(to_ns - from_ns) / any_value(span_ns) >= $min_share_pct
)
SELECT
  printf('%d collectives of %.1f KiB on average one after another, one every %.1f us', f.calls, f.bytes / f.calls / 1024, f.lost_ns / f.calls / 1000) AS finding,
  round(100 * f.lost_ns / f.span_ns, 2) AS share_pct,
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
    'SELECT start_time, op, bytes, count, datatype, duration_ns, comm FROM nccl_events WHERE process_id = {} AND tid = {} AND start_time >= ''{}'' ORDER BY start_time LIMIT 50',
    f.process_id, f.tid, f.first_time
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
