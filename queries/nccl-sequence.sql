-- @title Sequence of collectives
-- @question Which collectives does each communicator run, in which order, and do its ranks agree?
-- @requires tables=nccl_calls,nccl_events schema>=2
-- @packs nccl
-- @param from_seq BIGINT 1 - [1..] -- begin with this collective
-- @param only_differences BOOLEAN false - -- only collectives in which recorded ranks differ
-- @param limit INTEGER 200 rows [0..] -- show at most this many
-- @column comm_id address -- Communicator
-- @column seq - -- Number of the collective in the communicator
-- @column op - -- Operation, of the first rank that arrived
-- @column bytes bytes -- Size, of that rank
-- @column datatype - -- Data type, of that rank
-- @column nranks ranks -- Ranks of the communicator
-- @column arrived ranks -- Recorded ranks that called it
-- @column agree - -- Whether they asked for the same operation, data type, reduction, root and size
-- @column first_arrival UTC -- When the first of them called
-- @column spread_ns ns -- Time until the last of them called; NULL for a single one
-- @column last_rank - -- Rank that called last
-- @sampling pairs
-- @fidelity derived -- Collectives are numbered by each rank in the order it calls them; runs that lost or sampled collectives have no numbers, and communicators made before recording started are not here. Ranks on different hosts compare in time as far as their clocks agree (clock-check).
-- @interpret agree false is a program whose ranks went different ways: it hangs or mixes data. The first such row is the place. A long
--   spread_ns is a rank that comes late: see nccl-stragglers.
-- @next nccl-desync, nccl-stragglers
WITH calls AS MATERIALIZED (
  SELECT comm_id, seq, run_id, process_id, comm, rank, nranks, call_id, hash(op, datatype, redop, root, bytes) AS what
  FROM nccl_calls
  WHERE seq >= $from_seq AND comm_id IS NOT NULL
),
shown AS (
  SELECT comm_id, seq
  FROM calls
  GROUP BY comm_id, seq
  HAVING NOT $only_differences OR min(what) <> max(what)
  ORDER BY comm_id, seq
  LIMIT $limit
),
shown_calls AS (
  SELECT c.* FROM calls c JOIN shown USING (comm_id, seq)
),
arrivals AS (
  SELECT c.*, e.op::VARCHAR AS op, e.bytes, e.datatype::VARCHAR AS datatype, e.start_time, epoch_ns(e.start_time) AS at_ns
  FROM nccl_events e
  JOIN shown_calls c USING (run_id, call_id)
)
SELECT
  comm_id,
  seq,
  arg_min(op, (start_time, rank)) AS op,
  arg_min(bytes, (start_time, rank)) AS bytes,
  arg_min(datatype, (start_time, rank)) AS datatype,
  max(nranks) AS nranks,
  count(DISTINCT (run_id, process_id, comm)) AS arrived,
  min(what) = max(what) AS agree,
  min(start_time) AS first_arrival,
  CASE WHEN arrived > 1 THEN max(at_ns) - min(at_ns) END AS spread_ns,
  CASE WHEN arrived > 1 THEN arg_max(rank, (start_time, rank)) END AS last_rank
FROM arrivals
GROUP BY comm_id, seq
ORDER BY comm_id, seq
