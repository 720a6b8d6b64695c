-- @title NCCL communicators
-- @question Which communicators exist, which of their ranks were recorded, how long did making them take, and did they end?
-- @requires tables=nccl_communicators,nccl_calls,nccl_events schema>=2
-- @packs nccl
-- @ops ncclComm*
-- @column comm_id address -- Communicator: the same in all its ranks
-- @column nranks ranks -- Ranks it has
-- @column ranks_recorded ranks -- Ranks whose process is in these captures
-- @column missing_ranks - -- Ranks that are not; NULL when the ranks are not known
-- @column created_by - -- Function that made it
-- @column first_began UTC -- When the first recorded rank began to make it
-- @column began_within_ns ns -- Time until the last recorded rank began
-- @column init_ns ns -- Longest time a rank needed to make it
-- @column slowest_rank - -- That rank
-- @column devices - -- Devices that were current in the recorded ranks when they made it
-- @column collectives calls -- Numbered collectives of all recorded ranks
-- @column ended ranks -- Recorded ranks that destroyed or aborted it
-- @sampling rows
-- @fidelity derived -- Ranks meet by the communicator's identity, over processes, hosts and captures. Times of several hosts compare only as far as their clocks agree: see clock-check.
-- @interpret began_within_ns close to init_ns: ranks waited for a late one to start, not for NCCL. missing_ranks were not traced, or never
--   came. Communicators made before recording started are not here.
-- @next nccl-desync, nccl-sequence, nccl-sum
WITH used AS (
  SELECT comm_id, count(*) AS calls FROM nccl_calls WHERE comm_id IS NOT NULL AND seq IS NOT NULL GROUP BY comm_id
),
communicators AS (
  SELECT
    m.comm_id,
    max(m.nranks) AS nranks,
    count(DISTINCT (m.run_id, m.process_id, m.rank)) AS ranks_recorded,
    list_sort(list(DISTINCT m.rank) FILTER (m.rank IS NOT NULL)) AS ranks,
    any_value(m.created_by) AS created_by,
    min(e.start_time) AS first_began,
    max(epoch_ns(e.start_time)) - min(epoch_ns(e.start_time)) AS began_within_ns,
    max(e.duration_ns) AS init_ns,
    arg_max(m.rank, e.duration_ns) AS slowest_rank,
    list_sort(list(DISTINCT e.current_device) FILTER (e.current_device IS NOT NULL)) AS devices,
    count(m.ended_at) AS ended
  FROM nccl_communicators m
  JOIN nccl_events e ON e.run_id = m.run_id AND e.call_id = m.created_call_id
  GROUP BY m.comm_id, CASE WHEN m.comm_id IS NULL THEN (m.run_id, m.created_call_id) END
)
SELECT
  c.comm_id,
  c.nranks,
  c.ranks_recorded,
  CASE WHEN c.nranks IS NOT NULL AND c.ranks IS NOT NULL
    THEN array_to_string(list_filter(range(c.nranks), lambda r: NOT list_contains(c.ranks, r::INTEGER)), ',')
  END AS missing_ranks,
  c.created_by,
  c.first_began,
  c.began_within_ns,
  c.init_ns,
  c.slowest_rank,
  array_to_string(c.devices, ',') AS devices,
  coalesce(u.calls, 0) AS collectives,
  c.ended
FROM communicators c
LEFT JOIN used u USING (comm_id)
ORDER BY c.first_began, c.comm_id
