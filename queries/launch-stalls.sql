-- @title Launches that had to wait
-- @question When was launching slow because the queue of the GPU was full, and for how long in total?
-- @requires tables=cuda_events,processes schema>=2
-- @packs cuda-runtime
-- @ops cudaLaunch*Kernel*, cudaGraphLaunch
-- @param min_us DOUBLE 100 us [0..] -- a launch of at least this length counts as waiting
-- @column run_id - -- Run the launches belong to
-- @column pid - -- Process
-- @column process - -- Command name of the process
-- @column tid - -- Thread
-- @column stream address -- Stream launched on
-- @column launches calls -- Launches
-- @column stalled calls -- Launches that took at least min_us
-- @column stalled_pct % -- Part of the launches
-- @column stalled_ns ns -- Time in the stalled launches
-- @column max_ns ns -- Longest launch
-- @column first_stall UTC -- First stalled launch
-- @column last_stall UTC -- Last stalled launch
-- @sampling weighted
-- @fidelity proxy -- The state of the queue is not seen: a long launch may also load code (the first launch of a kernel) or wait for a lock or a CPU.
-- @interpret A steady share of stalled launches is a host that is ahead of the GPU, which is as good as it gets. Single stalls: see
--   tail-latency. Stalls of many threads at once are a lock between them: launch from one thread.
-- @next sync-stalls, tail-latency, first-calls
SELECT
  e.run_id,
  p.pid,
  p.comm AS process,
  e.tid,
  e.stream,
  sum(e.sample_weight)::BIGINT AS launches,
  coalesce(sum(e.sample_weight) FILTER (e.duration_ns >= $min_us * 1000), 0)::BIGINT AS stalled,
  round(100 * stalled / launches, 3) AS stalled_pct,
  coalesce(sum(e.duration_ns * e.sample_weight) FILTER (e.duration_ns >= $min_us * 1000), 0)::BIGINT AS stalled_ns,
  max(e.duration_ns) AS max_ns,
  min(e.start_time) FILTER (e.duration_ns >= $min_us * 1000) AS first_stall,
  max(e.start_time) FILTER (e.duration_ns >= $min_us * 1000) AS last_stall
FROM cuda_events e
LEFT JOIN processes p ON p.run_id = e.run_id AND p.process_id = e.process_id
WHERE e.op::VARCHAR LIKE 'cudaLaunch%Kernel%' OR e.op::VARCHAR = 'cudaGraphLaunch'
GROUP BY e.run_id, e.process_id, p.pid, p.comm, e.tid, e.stream
HAVING stalled > 0
ORDER BY stalled_ns DESC, e.run_id, p.pid, e.tid, e.stream
