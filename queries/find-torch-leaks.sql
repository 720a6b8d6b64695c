-- @title Tensors that are never freed
-- @question In which processes does the memory that PyTorch's tensors hold grow all the time?
-- @requires tables=torch_alloc_events,processes,threads,call_sites schema>=2
-- @packs pytorch-allocator
-- @ops reportMemoryUsageToProfiler
-- @param min_bytes BIGINT 67108864 bytes -- report devices on which the least that is in use has grown by at least this much
-- @param min_share_pct DOUBLE 10 % -- and by at least this part of the most in use
-- @param min_slices INTEGER 5 - [1..6] -- in at least this many of the six steps between the third and the ninth of ten equal parts of the recorded time
-- @column finding - -- What was found, in one sentence
-- @column share_pct % -- Part of the most memory in use by which the least in use has grown
-- @column lost_ns ns -- None: memory is lost, not time (NULL)
-- @column calls calls -- Blocks allocated in that time and never freed
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column rank - -- Rank of the process; NULL when it has none
-- @column device - -- Device
-- @column op - -- Operation
-- @column site - -- Function the calls were made from, or the name of the thread
-- @column first_time UTC -- First of these blocks
-- @column last_time UTC -- Last affected call
-- @column evidence - -- SQL that lists the calls
-- @sampling pairs
-- @fidelity heuristic -- The least in use in each tenth of the process's recorded time leaves out what comes and goes with a step; the first two tenths are left out, in which programs build up, and the last, in which they clear away. A program that grows on purpose looks the same.
-- @interpret Something keeps tensors: losses added up without .item() or .detach(), outputs or gradients kept in a list, retain_graph=True, a cache
--   without a limit. torch-blocks shows the sizes that stay; torch.cuda.memory._snapshot() shows where they come from.
-- @next torch-blocks, torch-timeline
WITH history AS (
  SELECT *
  FROM torch_alloc_events
  WHERE delta_bytes IS NOT NULL AND allocated_bytes IS NOT NULL
),
spans AS (
  SELECT
    process_id, device, min(epoch_ns(start_time)) AS from_ns, greatest(max(epoch_ns(start_time)) - min(epoch_ns(start_time)), 1) AS span_ns,
    max(allocated_bytes)::BIGINT AS peak_bytes
  FROM history
  GROUP BY process_id, device
),
floors AS (
  SELECT h.process_id, h.device, least(9, 10 * (epoch_ns(h.start_time) - s.from_ns) // s.span_ns) AS slice, min(h.allocated_bytes)::BIGINT AS least_bytes
  FROM history h
  JOIN spans s ON s.process_id = h.process_id AND s.device IS NOT DISTINCT FROM h.device
  GROUP BY ALL
),
growing AS (
  SELECT
    process_id, device, count(*) FILTER (least_bytes > before_bytes) AS steps, arg_min(least_bytes, slice) AS first_bytes,
    arg_max(least_bytes, slice) AS last_bytes
  FROM (
    SELECT *, lag(least_bytes) OVER (PARTITION BY process_id, device ORDER BY slice) AS before_bytes
    FROM floors
    WHERE slice BETWEEN 2 AND 8
  )
  GROUP BY process_id, device
),
suspects AS (
  SELECT g.*, s.peak_bytes, s.from_ns + 2 * s.span_ns // 10 AS since_ns
  FROM growing g
  JOIN spans s ON s.process_id = g.process_id AND s.device IS NOT DISTINCT FROM g.device
  WHERE g.steps >= $min_slices AND g.last_bytes - g.first_bytes >= $min_bytes
    AND 100 * (g.last_bytes - g.first_bytes) >= $min_share_pct * s.peak_bytes
),
blocks AS (
  SELECT
    h.process_id, h.device, h.tid, h.stack_id, h.start_time, h.op::VARCHAR AS op, h.delta_bytes, s.since_ns,
    lead(h.delta_bytes) OVER (PARTITION BY h.process_id, h.device, h.ptr ORDER BY h.start_time, h.call_id) AS next_delta
  FROM history h
  JOIN suspects s ON s.process_id = h.process_id AND s.device IS NOT DISTINCT FROM h.device
),
found AS (
  SELECT
    process_id,
    device,
    mode(op) AS op,
    mode(tid) AS tid,
    mode(stack_id) AS stack_id,
    min(start_time) AS first_time,
    max(start_time) AS last_time,
    count(*) AS calls,
    mode(delta_bytes) AS usual_bytes
  FROM blocks
  WHERE delta_bytes > 0 AND next_delta IS NULL AND epoch_ns(start_time) >= since_ns
  GROUP BY process_id, device
)
SELECT
  printf(
    'the least in use grew from %.2f to %.2f MiB; %d blocks stayed, most often of %.2f MiB', s.first_bytes / 1048576, s.last_bytes / 1048576, f.calls,
    f.usual_bytes / 1048576
  ) AS finding,
  round(100 * (s.last_bytes - s.first_bytes) / s.peak_bytes, 2) AS share_pct,
  NULL::BIGINT AS lost_ns,
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
    'SELECT delta_bytes AS block_bytes, count(*) AS blocks, sum(delta_bytes) AS bytes, min(start_time) AS first_time, max(start_time) AS last_time FROM (SELECT delta_bytes, start_time, lead(delta_bytes) OVER (PARTITION BY ptr ORDER BY start_time, call_id) AS next_delta FROM torch_alloc_events WHERE process_id = {} AND device = {} AND delta_bytes <> 0) WHERE delta_bytes > 0 AND next_delta IS NULL GROUP BY ALL ORDER BY bytes DESC LIMIT 20',
    f.process_id, f.device
  ) AS evidence
FROM found f
JOIN suspects s ON s.process_id = f.process_id AND s.device IS NOT DISTINCT FROM f.device
JOIN processes p ON p.process_id = f.process_id
ORDER BY share_pct DESC, lost_ns DESC NULLS LAST, calls DESC, pid, op
