-- @title A rank that ranks on other hosts wait for
-- @question Which rank of a communicator over several hosts waits far less than the others between the same collectives, and so is the one they wait for?
-- @requires tables=nccl_calls,events,capture,processes,threads,call_sites schema>=2
-- @packs nccl, cuda-runtime, cuda-driver
-- @ops ncclAllReduce, ncclReduce*, ncclAllGather, ncclB*cast, ncclAlltoAll, ncclGather, ncclScatter
-- @discovery SELECT CASE WHEN count(DISTINCT coalesce(boot_id::VARCHAR, run_id::VARCHAR)) < 2 AND EXISTS (SELECT 1 FROM events) THEN 'it is of one host, whose ranks find-nccl-stragglers and find-slow-ranks compare by time' END FROM capture
-- @param factor DOUBLE 0.5 x -- report a rank whose waiting is at most this many times the median of the others
-- @param min_wait_pct DOUBLE 20 % -- when the others wait for at least this part of the time
-- @param min_calls INTEGER 20 calls -- look at communicators whose recorded ranks share at least this many collectives
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the time between the first and the last common collective that the others waited longer than this one
-- @column lost_ns ns -- That time
-- @column calls calls -- Collectives between which the ranks were compared
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank in the communicator; NULL when the process was never told
-- @column device - -- Device that was current; NULL when unknown or several
-- @column op - -- What the rank waited in most; NULL when it never waits
-- @column site - -- Function it waited in most often, or the name of the thread
-- @column first_time UTC -- First of these collectives, by the clock of the rank's host
-- @column last_time UTC -- Last of these collectives, by the clock of the rank's host
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity heuristic -- How far the clocks of hosts are apart is not known, so no time of one host is compared with a time of another: collectives of the same number mark the time that is compared, and waits are host time in calls that wait for the GPU and in NCCL's calls. In a synchronous job the rank that comes last waits least; a rank with less work to do on the GPU looks the same.
-- @interpret That rank's host or device is slower: data loading, logging, a checkpoint, a busier core, a throttled device, more work. Compare
--   its time-breakdown with another rank's. nccl-stragglers shows arrivals, which mean as much as the clocks agree.
-- @next nccl-stragglers, time-breakdown, nccl-sequence
WITH clocks AS (
  -- Runs of one boot read one clock.
  SELECT run_id, min(run_id) OVER (PARTITION BY coalesce(boot_id::VARCHAR, run_id::VARCHAR)) AS clock
  FROM capture
),
arrivals AS MATERIALIZED (
  SELECT comm_id, run_id, process_id, comm, rank, seq, epoch_ns(start_time) AS at_ns
  FROM nccl_calls
  WHERE seq IS NOT NULL AND comm_id IS NOT NULL
),
ranks AS (
  SELECT comm_id, run_id, process_id, comm, any_value(rank) AS rank, min(seq) AS first_seq, max(seq) AS last_seq
  FROM arrivals
  GROUP BY comm_id, run_id, process_id, comm
),
-- Collectives that every recorded rank of the communicator has called.
common AS (
  SELECT comm_id, max(first_seq) AS first_seq, min(last_seq) AS last_seq
  FROM ranks
  JOIN clocks USING (run_id)
  GROUP BY comm_id
  HAVING count(DISTINCT clock) > 1 AND min(last_seq) - max(first_seq) + 1 >= $min_calls
),
spans AS (
  SELECT
    a.comm_id, a.process_id, a.comm, any_value(r.rank) AS rank, any_value(c.last_seq - c.first_seq + 1) AS calls,
    min(a.at_ns) AS from_ns, max(a.at_ns) AS to_ns, greatest(max(a.at_ns) - min(a.at_ns), 1) AS span_ns
  FROM arrivals a
  JOIN common c ON c.comm_id = a.comm_id AND a.seq BETWEEN c.first_seq AND c.last_seq
  JOIN ranks r ON r.comm_id = a.comm_id AND r.process_id = a.process_id AND r.comm = a.comm
  GROUP BY a.comm_id, a.process_id, a.comm
),
-- What the runtime or NCCL asks the driver for: that is their call.
nested AS (
  SELECT e.run_id, e.call_id
  FROM events e
  JOIN events o ON o.run_id = e.run_id AND o.call_id = e.parent_id
  WHERE e.parent_id IS NOT NULL AND (e.op LIKE 'cu%Synchronize%' OR e.layer = 'nccl') AND o.layer IN ('runtime', 'driver', 'nccl')
),
waits AS (
  SELECT process_id, tid, op, current_device, stack_id, epoch_ns(start_time) AS from_ns, epoch_ns(start_time) + duration_ns AS to_ns
  FROM events
  ANTI JOIN nested USING (run_id, call_id)
  WHERE status = 'ok' AND (layer = 'nccl' AND op NOT LIKE 'ncclComm%' OR op LIKE 'cu%Synchronize%')
),
waited_in AS (
  SELECT
    s.comm_id, s.process_id, s.comm, w.op, mode(w.tid) AS tid, mode(w.stack_id) AS stack_id, any_value(w.current_device) AS device,
    sum(least(w.to_ns, s.to_ns) - greatest(w.from_ns, s.from_ns)) AS wait_ns
  FROM waits w
  JOIN spans s ON s.process_id = w.process_id AND w.from_ns < s.to_ns AND w.to_ns > s.from_ns
  GROUP BY s.comm_id, s.process_id, s.comm, w.op
),
waited AS (
  SELECT
    s.*,
    coalesce(sum(w.wait_ns), 0) / any_value(s.span_ns) AS wait_share,
    arg_max(w.op, w.wait_ns) AS op, arg_max(w.tid, w.wait_ns) AS tid, arg_max(w.stack_id, w.wait_ns) AS stack_id, arg_max(w.device, w.wait_ns) AS device
  FROM spans s
  LEFT JOIN waited_in w USING (comm_id, process_id, comm)
  GROUP BY ALL
),
compared AS (
  SELECT
    w.*,
    (
      SELECT quantile_cont(o.wait_share, 0.5)
      FROM waited o
      WHERE o.comm_id = w.comm_id AND (o.process_id <> w.process_id OR o.comm <> w.comm)
    ) AS others_share
  FROM waited w
),
found AS (
  SELECT *, others_share - wait_share AS lost_share
  FROM compared
  WHERE wait_share <= $factor * others_share AND 100 * others_share >= $min_wait_pct
  -- A process is in several communicators; one of them says it.
  QUALIFY row_number() OVER (PARTITION BY process_id ORDER BY lost_share * span_ns DESC, comm_id) = 1
)
SELECT
  concat(
    'rank ', f.rank, ' of ',
    printf('communicator 0x%x waits %.1f %% of the time, the other ranks %.1f %%: they wait for it', f.comm_id, 100 * f.wait_share, 100 * f.others_share)
  ) AS finding,
  round(100 * f.lost_share, 2) AS share_pct,
  (f.lost_share * f.span_ns)::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  f.rank,
  f.device,
  f.op,
  call_site(f.stack_id, f.process_id, f.tid) AS site,
  make_timestamp_ns(f.from_ns) AS first_time,
  make_timestamp_ns(f.to_ns) AS last_time,
  format(
    'SELECT process_id, pid, op, count(*) AS waits, sum(duration_ns) AS wait_ns, quantile_cont(duration_ns, 0.5) AS median_ns FROM events WHERE process_id IN (SELECT process_id FROM nccl_communicators WHERE comm_id = {}) AND (op LIKE ''cu%Synchronize%'' OR layer = ''nccl'') GROUP BY ALL ORDER BY op, process_id',
    f.comm_id
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
