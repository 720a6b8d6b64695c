-- @title A rank that comes late to collectives
-- @question Which rank enters collectives last nearly every time, while the others are there already and do nothing else?
-- @requires tables=nccl_calls,capture,processes,threads schema>=2
-- @packs nccl
-- @ops ncclAllReduce, ncclReduce*, ncclAllGather, ncclB*cast, ncclAlltoAll, ncclGather, ncclScatter
-- @param min_calls INTEGER 20 calls -- look at communicators with at least this many collectives
-- @param min_share_pct DOUBLE 10 % -- report a rank the others waited for this part of the communicator's time
-- @param min_lost_ms DOUBLE 50 ms -- and at least this long in all
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the communicator's recorded time in which only this rank was missing
-- @column lost_ns ns -- Time between the last of the other ranks and this one, added up
-- @column calls calls -- Collectives it came to last
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank in the communicator; NULL when the process was never told
-- @column device - -- Device that was current; NULL when unknown or several
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First collective it came to last
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity proxy -- Ranks on one boot of one host are compared, in one recording or several, because they read one clock; for those of several hosts see find-nccl-slow-ranks. Arrival is the moment the host asks for the collective; where the others had gone on to their next one before the rank came, nothing is counted.
-- @interpret That rank's host or device is slower: data loading, logging, a checkpoint, a busier core, a throttled device, more work (uneven
--   sequence lengths or experts). Compare its time-breakdown with another rank's. find-slow-ranks may name the same rank by its waits.
-- @next nccl-stragglers, time-breakdown, nccl-sequence
WITH clocks AS (
  -- Runs of one boot read one clock.
  SELECT run_id, min(run_id) OVER (PARTITION BY coalesce(boot_id::VARCHAR, run_id::VARCHAR)) AS clock
  FROM capture
),
arrivals AS (
  SELECT clock, comm_id, seq, process_id, comm, rank, tid, op, epoch_ns(start_time) AS at_ns
  FROM nccl_calls
  JOIN clocks USING (run_id)
  WHERE seq IS NOT NULL AND comm_id IS NOT NULL
),
collectives AS (
  SELECT
    clock,
    comm_id,
    seq,
    arg_max(process_id, at_ns) AS process_id,
    arg_max(comm, at_ns) AS comm,
    arg_max_null(rank, at_ns) AS rank,
    arg_max(tid, at_ns) AS tid,
    arg_max(op, at_ns) AS op,
    min(at_ns) AS from_ns,
    max(at_ns) AS to_ns,
    max(at_ns, 2)[2] AS before_ns,
    count(*) AS arrived
  FROM arrivals
  GROUP BY clock, comm_id, seq
),
meetings AS (
  SELECT
    * EXCLUDE (before_ns),
    -- From the last of the others on only the latest is missing, unless one of them has gone on to its next collective.
    CASE WHEN coalesce(lead(from_ns) OVER (PARTITION BY clock, comm_id ORDER BY seq) > to_ns, true) THEN to_ns - before_ns ELSE 0 END AS lost_ns
  FROM collectives
  QUALIFY arrived > 1
),
communicators AS (
  SELECT
    clock, comm_id, count(*) AS collectives, avg(1 / arrived) AS expected, greatest(max(to_ns) - min(from_ns), 1) AS span_ns
  FROM meetings
  GROUP BY clock, comm_id
),
found AS (
  SELECT
    m.comm_id,
    m.process_id,
    m.rank,
    mode(m.tid) AS tid,
    mode(m.op) AS op,
    make_timestamp_ns(min(m.to_ns)) AS first_time,
    make_timestamp_ns(max(m.to_ns)) AS last_time,
    count(*) AS calls,
    sum(m.lost_ns) AS lost_ns,
    any_value(k.collectives) AS collectives,
    any_value(k.span_ns) AS span_ns
  FROM meetings m
  JOIN communicators k USING (clock, comm_id)
  GROUP BY m.clock, m.comm_id, m.process_id, m.comm, m.rank
  HAVING any_value(k.collectives) >= $min_calls
    -- Half again as often as if all ranks were alike, and more often than not; or twice as often.
    AND (count(*) >= 2 * any_value(k.expected) * any_value(k.collectives)
      OR count(*) > greatest(0.5, 1.5 * any_value(k.expected)) * any_value(k.collectives))
    AND 100 * sum(m.lost_ns) / any_value(k.span_ns) >= $min_share_pct
    AND sum(m.lost_ns) >= $min_lost_ms * 1000000
)
SELECT
  concat(
    'rank ', f.rank, ' of ', printf('communicator 0x%x came last to %d of %d collectives, %.2f ms after the others', f.comm_id, f.calls, f.collectives, f.lost_ns / f.calls / 1e6)
  ) AS finding,
  round(100 * f.lost_ns / f.span_ns, 2) AS share_pct,
  f.lost_ns::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  f.rank,
  NULL::INTEGER AS device,
  f.op,
  'thread ' || (SELECT any_value(t.name) FROM threads t WHERE t.tid = f.tid AND t.process_id = f.process_id) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT seq, rank, pid, start_time, op, bytes, duration_ns FROM nccl_calls WHERE comm_id = {} AND seq IS NOT NULL ORDER BY seq DESC, start_time LIMIT 64',
    f.comm_id
  ) AS evidence
FROM found f
JOIN processes p USING (process_id)
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
