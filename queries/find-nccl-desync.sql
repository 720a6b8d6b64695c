-- @title Ranks out of step
-- @question Which rank asks a communicator for another collective than the others do, or does not come to one they have entered?
-- @requires tables=nccl_communicators,nccl_calls,capture,processes,threads schema>=2
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
-- @fidelity derived -- Collectives are numbered in each rank by the order of its calls. Runs that lost or sampled collectives have no numbers, and communicators made before recording started are not here. Of two ranks that differ, the later one is named.
-- @interpret The others wait in this collective for ever, or mix data. A rank that stays away: find-hangs and cuda-api-trace with its pid say
--   what it does instead. Another operation or size: an if, an uneven last batch or an unused parameter that not all ranks have.
-- @next nccl-desync, nccl-sequence, in-flight-calls
WITH calls AS (
  SELECT
    comm_id, run_id, process_id, comm, tid, call_id, seq, op, start_time, datatype, count,
    concat_ws(' ', op, count, datatype, redop, 'root ' || root) AS what
  FROM nccl_calls
  WHERE seq IS NOT NULL AND comm_id IS NOT NULL
),
-- What most ranks asked for; of two equally frequent, that of the first to come.
agreed AS (
  SELECT comm_id, seq, arg_max(what, (n, -first_ns)) AS what, min(first_ns) AS first_ns, arg_max(op, (n, -first_ns)) AS op
  FROM (
    SELECT comm_id, seq, what, any_value(op) AS op, count(*) AS n, min(epoch_ns(start_time)) AS first_ns
    FROM calls
    GROUP BY comm_id, seq, what
  )
  GROUP BY comm_id, seq
),
ends AS (
  SELECT run_id, coalesce(epoch_ns(t.ended_at), c.last_ns) AS ended_ns
  FROM capture t
  JOIN (SELECT run_id, max(epoch_ns(start_time)) AS last_ns FROM calls GROUP BY run_id) c USING (run_id)
),
communicators AS (
  SELECT comm_id, min(first_ns) AS begun_ns, max(seq) AS furthest FROM agreed GROUP BY comm_id
),
members AS (
  SELECT m.comm_id, m.run_id, m.process_id, m.comm, any_value(m.rank) AS rank
  FROM nccl_communicators m
  WHERE m.comm_id IS NOT NULL
  GROUP BY ALL
),
reached AS (
  SELECT comm_id, run_id, process_id, comm, max(seq) AS last_seq, count(*) AS collectives, arg_max(tid, seq) AS tid
  FROM calls
  GROUP BY ALL
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
  FROM calls c
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
    m.comm_id, m.run_id, m.process_id, m.comm,
    printf('it has not come to collective %d, %s, which others entered %.1f s before the end', a.seq, a.what, (e.ended_ns - a.first_ns) / 1e9) AS said,
    a.op,
    r.tid,
    make_timestamp_ns(a.first_ns) AS first_time,
    make_timestamp_ns(e.ended_ns) AS last_time,
    a.seq,
    k.furthest - coalesce(r.last_seq, 0) AS calls,
    100 * (e.ended_ns - a.first_ns) / greatest(e.ended_ns - k.begun_ns, 1) AS share,
    e.ended_ns - a.first_ns AS lost_ns
  FROM members m
  LEFT JOIN reached r USING (comm_id, run_id, process_id, comm)
  JOIN communicators k ON k.comm_id = m.comm_id
  JOIN agreed a ON a.comm_id = m.comm_id AND a.seq = coalesce(r.last_seq, 0) + 1
  JOIN ends e ON e.run_id = m.run_id
  WHERE e.ended_ns - a.first_ns >= $min_ms * 1000000
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
