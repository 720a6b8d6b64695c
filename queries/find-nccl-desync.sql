-- @title Ranks out of step
-- @question Which rank asks a communicator for another collective than the others do, or does not come to one they have entered?
-- @requires tables=nccl_communicators,nccl_calls,nccl_events,capture,processes,threads schema>=2
-- @packs nccl
-- @ops ncclAllReduce, ncclReduce*, ncclAllGather, ncclB*cast, ncclAlltoAll, ncclGather, ncclScatter
-- @param min_ms DOUBLE 2000 ms -- report a rank that has stayed away for at least this long when recording ends
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the communicator's recorded time that the rank stayed away at the end, or of the rank's collectives that differ
-- @column lost_ns ns -- Time others had been in the collective it did not come to; NULL for a rank that asks for another one
-- @column calls calls -- Collectives that differ, or that it did not come to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank in the communicator; NULL when the process was never told
-- @column device - -- Device that was current; NULL when unknown or several
-- @column op - -- Operation the rank asked for, or did not come to
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First collective that differs, or when another rank entered the one it did not come to
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity derived -- Collectives are numbered in each rank by the order of its calls. Runs that lost or sampled collectives have no numbers, and communicators made before recording started are not here. Of two ranks that differ, the later one is named. How far the clocks of several hosts are apart is taken from the making of the communicator and the collectives their ranks share (the median), which is off by no more than ranks usually come after each other.
-- @interpret The others wait in this collective for ever, or mix data. A rank that stays away: find-hangs and cuda-api-trace with its pid say
--   what it does instead. Another operation or size: an if, an uneven last batch or an unused parameter that not all ranks have.
-- @next nccl-desync, nccl-sequence, in-flight-calls
WITH clocks AS (
  -- Runs of one boot read one clock.
  SELECT run_id, min(run_id) OVER (PARTITION BY coalesce(boot_id::VARCHAR, run_id::VARCHAR)) AS clock
  FROM capture
),
calls AS MATERIALIZED (
  SELECT comm_id, run_id, process_id, comm, tid, call_id, seq, epoch_ns(start_time) AS at_ns, hash(op, count, datatype, redop, root) AS what
  FROM nccl_calls
  WHERE seq IS NOT NULL AND comm_id IS NOT NULL
),
members AS (
  SELECT m.comm_id, m.run_id, k.clock, m.process_id, m.comm, any_value(m.rank) AS rank, epoch_ns(min(m.created_at)) AS created_ns
  FROM nccl_communicators m
  JOIN clocks k USING (run_id)
  WHERE m.comm_id IS NOT NULL
  GROUP BY ALL
),
-- Clocks of several hosts are laid on each other by what ranks do together: making the communicator, and its collectives.
arrivals AS MATERIALIZED (
  SELECT comm_id, clock, seq, min(at_ns) AS first_ns, min(what) AS least, max(what) AS most
  FROM calls
  JOIN clocks USING (run_id)
  GROUP BY comm_id, clock, seq
  UNION ALL
  SELECT comm_id, clock, 0, min(created_ns), NULL, NULL FROM members GROUP BY comm_id, clock
),
offsets AS (
  SELECT a.comm_id, a.clock, quantile_disc(a.first_ns - r.first_ns, 0.5) AS offset_ns
  FROM arrivals a
  JOIN (SELECT comm_id, min(clock) AS clock FROM members GROUP BY comm_id HAVING min(clock) < max(clock)) k ON k.comm_id = a.comm_id AND k.clock < a.clock
  JOIN arrivals r ON r.comm_id = k.comm_id AND r.clock = k.clock AND r.seq = a.seq
  GROUP BY a.comm_id, a.clock
),
entered AS (
  SELECT a.comm_id, a.seq, min(a.first_ns - coalesce(o.offset_ns, 0)) AS first_ns, min(a.least) <> max(a.most) AS disputed
  FROM arrivals a
  LEFT JOIN offsets o USING (comm_id, clock)
  WHERE a.seq > 0
  GROUP BY a.comm_id, a.seq
),
communicators AS (
  SELECT comm_id, min(first_ns) AS begun_ns, max(seq) AS furthest FROM entered GROUP BY comm_id
),
reached AS (
  SELECT comm_id, run_id, process_id, comm, max(seq) AS last_seq, count(*) AS collectives, max(at_ns) AS last_ns, arg_max(tid, seq) AS tid
  FROM calls
  GROUP BY ALL
),
ends AS (
  SELECT run_id, coalesce(epoch_ns(t.ended_at), c.last_ns) AS ended_ns
  FROM capture t
  LEFT JOIN (SELECT run_id, max(last_ns) AS last_ns FROM reached GROUP BY run_id) c USING (run_id)
),
away AS (
  SELECT
    m.comm_id, m.run_id, m.process_id, m.comm, r.tid, coalesce(r.last_seq, 0) + 1 AS seq, k.furthest - coalesce(r.last_seq, 0) AS calls,
    n.first_ns + coalesce(o.offset_ns, 0) AS first_ns, e.ended_ns, k.begun_ns + coalesce(o.offset_ns, 0) AS begun_ns
  FROM members m
  LEFT JOIN reached r USING (comm_id, run_id, process_id, comm)
  LEFT JOIN offsets o ON o.comm_id = m.comm_id AND o.clock = m.clock
  JOIN communicators k ON k.comm_id = m.comm_id
  JOIN entered n ON n.comm_id = m.comm_id AND n.seq = coalesce(r.last_seq, 0) + 1
  JOIN ends e ON e.run_id = m.run_id
  WHERE e.ended_ns - n.first_ns - coalesce(o.offset_ns, 0) >= $min_ms * 1000000
),
-- The few collectives whose arguments have to be told; as a list, so that DuckDB knows they are few.
told AS (
  SELECT unnest(list(t), max_depth := 2)
  FROM (SELECT comm_id, seq FROM entered WHERE disputed UNION SELECT comm_id, seq FROM away) t
),
told_calls AS (
  SELECT c.* EXCLUDE (what) FROM calls c JOIN told USING (comm_id, seq)
),
asked AS (
  SELECT
    c.*, k.clock, e.start_time, e.op::VARCHAR AS op,
    concat_ws(' ', e.op::VARCHAR, e.count, e.datatype::VARCHAR, e.redop::VARCHAR, 'root ' || e.root) AS what
  FROM nccl_events e
  JOIN told_calls c USING (run_id, call_id)
  JOIN clocks k USING (run_id)
),
-- What most ranks asked for; of two equally frequent, that of the first to come.
agreed AS (
  SELECT comm_id, seq, arg_max(what, (n, -first_ns)) AS what, arg_max(op, (n, -first_ns)) AS op
  FROM (
    SELECT comm_id, seq, what, any_value(op) AS op, count(*) AS n, min(at_ns - coalesce(offset_ns, 0)) AS first_ns
    FROM asked
    LEFT JOIN offsets USING (comm_id, clock)
    GROUP BY comm_id, seq, what
  )
  GROUP BY comm_id, seq
),
differing AS (
  SELECT
    c.comm_id, c.run_id, c.process_id, c.comm,
    printf('collective %d is %s, of the others %s', min(c.seq), arg_min(c.what, c.seq), arg_min(a.what, c.seq)) AS said,
    arg_min(c.op, c.seq) AS op,
    arg_min(c.tid, c.seq) AS tid,
    min(c.start_time) AS first_time,
    max(c.start_time) AS last_time,
    min(c.seq) AS seq,
    count(*) AS calls
  FROM asked c
  JOIN agreed a USING (comm_id, seq)
  WHERE c.what <> a.what
  GROUP BY ALL
),
found AS (
  SELECT d.* EXCLUDE (calls), d.calls, 100 * d.calls / r.collectives AS share, NULL::BIGINT AS lost_ns
  FROM differing d
  JOIN reached r USING (comm_id, run_id, process_id, comm)
  UNION ALL BY NAME
  SELECT
    w.comm_id, w.run_id, w.process_id, w.comm, w.tid, w.seq, w.calls, a.op,
    printf('it has not come to collective %d, %s, which others entered %.1f s before the end', w.seq, a.what, (w.ended_ns - w.first_ns) / 1e9) AS said,
    make_timestamp_ns(w.first_ns) AS first_time,
    make_timestamp_ns(w.ended_ns) AS last_time,
    100 * (w.ended_ns - w.first_ns) / greatest(w.ended_ns - w.begun_ns, 1) AS share,
    w.ended_ns - w.first_ns AS lost_ns
  FROM away w
  JOIN agreed a USING (comm_id, seq)
)
SELECT
  concat('rank ', m.rank, ' of ', printf('communicator 0x%x: ', f.comm_id), f.said) AS finding,
  round(f.share, 2) AS share_pct,
  f.lost_ns::BIGINT AS lost_ns,
  f.calls::BIGINT AS calls,
  p.pid,
  p.comm AS process,
  m.rank,
  NULL::INTEGER AS device,
  f.op,
  'thread ' || (SELECT any_value(t.name) FROM threads t WHERE t.tid = f.tid AND t.process_id = f.process_id) AS site,
  f.first_time,
  f.last_time,
  format(
    'SELECT seq, rank, pid, start_time, op, count, datatype, redop, root, status FROM nccl_calls WHERE comm_id = {} AND seq BETWEEN {} AND {} ORDER BY seq, start_time',
    f.comm_id, f.seq - 2, f.seq + 1
  ) AS evidence
FROM found f
JOIN members m USING (comm_id, run_id, process_id, comm)
JOIN processes p ON p.process_id = f.process_id
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
