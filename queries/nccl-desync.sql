-- @title Ranks out of step
-- @question Which ranks of a communicator have called fewer collectives than the others, or different ones: who hangs, and in what?
-- @requires tables=nccl_communicators,nccl_calls,nccl_events,capture,processes schema>=2
-- @packs nccl
-- @column comm_id address -- Communicator
-- @column rank - -- Rank; NULL when the process was never told
-- @column run_id - -- Run it was recorded in; NULL for a rank that is in no capture
-- @column hostname - -- Host
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column collectives calls -- Collectives it called
-- @column behind calls -- Collectives the rank that is ahead has called and this one has not
-- @column first_difference - -- First collective in which it asked for something else than most recorded ranks; NULL when it agrees
-- @column last_op - -- Last collective it called
-- @column last_bytes bytes -- Size of it
-- @column last_time UTC -- When that was
-- @column silent_ns ns -- Time from then to the end of its recording
-- @column in_call - -- Whether it was still inside an NCCL call at the end
-- @column verdict - -- in step, behind, differs, or not recorded
-- @sampling pairs
-- @fidelity derived -- Collectives are numbered in each rank by the order of its calls. Runs that lost or sampled collectives have no numbers (check what-was-lost), and communicators made before recording started are not here.
-- @interpret The rank that is behind is the one to look at: the others wait for it. Its last calls (cuda-api-trace with its pid) and
--   in-flight-calls say what it does instead. differs: an if in the program that not all ranks take. not recorded: trace that rank too.
-- @next nccl-sequence, in-flight-calls, cuda-api-trace
WITH calls AS MATERIALIZED (
  SELECT
    comm_id, run_id, process_id, call_id, seq, epoch_ns(start_time) AS at_ns, status = 'in_flight' AS in_flight,
    hash(op, datatype, redop, root, bytes) AS what
  FROM nccl_calls
  WHERE seq IS NOT NULL AND comm_id IS NOT NULL
),
disputed AS (
  SELECT comm_id, seq FROM calls GROUP BY comm_id, seq HAVING min(what) <> max(what)
),
-- What most ranks asked for; of two equally frequent, that of the first to come.
agreed AS (
  SELECT comm_id, seq, arg_max(what, (n, -first_ns)) AS what
  FROM (SELECT comm_id, seq, what, count(*) AS n, min(at_ns) AS first_ns FROM calls JOIN disputed USING (comm_id, seq) GROUP BY comm_id, seq, what)
  GROUP BY comm_id, seq
),
differing AS (
  SELECT c.comm_id, c.run_id, c.process_id, min(c.seq) AS first_difference
  FROM calls c
  JOIN agreed a USING (comm_id, seq)
  WHERE c.what <> a.what
  GROUP BY c.comm_id, c.run_id, c.process_id
),
reached AS (
  SELECT comm_id, run_id, process_id, max(seq) AS collectives, arg_max(call_id, seq) AS call_id, max(at_ns) AS last_ns, bool_or(in_flight) AS in_call
  FROM calls
  GROUP BY comm_id, run_id, process_id
),
per_rank AS (
  SELECT r.*, d.first_difference, e.op::VARCHAR AS last_op, e.bytes AS last_bytes, make_timestamp_ns(r.last_ns) AS last_time
  FROM nccl_events e
  JOIN reached r USING (run_id, call_id)
  LEFT JOIN differing d ON d.comm_id = r.comm_id AND d.run_id = r.run_id AND d.process_id = r.process_id
),
members AS (
  SELECT comm_id, run_id, process_id, any_value(rank) AS rank, max(nranks) AS nranks
  FROM nccl_communicators
  WHERE comm_id IS NOT NULL
  GROUP BY comm_id, run_id, process_id
),
absent AS (
  SELECT comm_id, r.rank::INTEGER AS rank
  FROM (SELECT comm_id, max(nranks) AS nranks, list(rank) AS ranks FROM members GROUP BY comm_id) m, unnest(range(m.nranks)) AS r (rank)
  WHERE NOT list_contains(m.ranks, r.rank::INTEGER)
),
all_ranks AS (
  SELECT comm_id, rank, run_id, process_id FROM members
  UNION ALL
  SELECT comm_id, rank, NULL, NULL FROM absent
)
SELECT
  m.comm_id,
  m.rank,
  m.run_id,
  t.hostname,
  p.pid,
  p.comm AS process,
  CASE WHEN m.run_id IS NOT NULL THEN coalesce(r.collectives, 0) END AS collectives,
  CASE WHEN m.run_id IS NOT NULL
    THEN coalesce(max(r.collectives) OVER (PARTITION BY m.comm_id), 0) - coalesce(r.collectives, 0)
  END AS behind,
  r.first_difference,
  r.last_op,
  r.last_bytes,
  r.last_time,
  epoch_ns(t.ended_at) - epoch_ns(r.last_time) AS silent_ns,
  CASE WHEN m.run_id IS NOT NULL THEN coalesce(r.in_call, false) END AS in_call,
  CASE
    WHEN m.run_id IS NULL THEN 'not recorded'
    WHEN r.first_difference IS NOT NULL THEN 'differs'
    WHEN behind > 0 THEN 'behind'
    ELSE 'in step'
  END AS verdict
FROM all_ranks m
LEFT JOIN per_rank r ON r.comm_id = m.comm_id AND r.run_id = m.run_id AND r.process_id = m.process_id
LEFT JOIN capture t ON t.run_id = m.run_id
LEFT JOIN processes p ON p.run_id = m.run_id AND p.process_id = m.process_id
ORDER BY m.comm_id, r.first_difference NULLS LAST, behind DESC NULLS LAST, m.rank
