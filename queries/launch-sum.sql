-- @title Launches by kernel
-- @question Which kernels are launched most, and how long does the host take to launch them?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @ops cudaLaunch*Kernel*
-- @param pid INTEGER null - [1..] -- only this process
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the launches belong to
-- @column pid - -- Process
-- @column func address -- Kernel: the address of its host stub, or an opaque handle; the same kernel in one process
-- @column launches calls -- Launches
-- @column share_pct % -- Part of the launches of the run
-- @column errors calls -- Launches that returned an error
-- @column launch_ns ns -- Host time in these launches
-- @column p50_ns ns -- Median launch
-- @column p99_ns ns -- 99 % of the launches took no longer
-- @column max_ns ns -- Longest launch
-- @column geometries - -- Different grids and blocks it is launched with
-- @column threads_p50 threads -- Median number of threads of a launch
-- @column streams streams -- Streams it is launched on
-- @column kernel symbol -- Name of the kernel; NULL when it was registered before recording began, or by other means than the runtime's
-- @sampling weighted
-- @fidelity exact -- The host's side of each launch. How long a kernel runs on the GPU is not seen. Names are those the program registers with the runtime as it loads.
-- @interpret Very many launches of kernels with few threads cost more to launch than to run: fuse them, batch more, or record them in a
--   CUDA graph. A high p99_ns is a full launch queue.
-- @next launch-geometry, launch-stalls
-- @nsys cuda_kern_exec_sum
WITH launches AS (
  SELECT
    run_id,
    process_id,
    pid,
    func,
    sum(sample_weight)::BIGINT AS launches,
    round(100 * sum(sample_weight) / sum(sum(sample_weight)) OVER (PARTITION BY run_id), 3) AS share_pct,
    coalesce(sum(sample_weight) FILTER (status = 'error'), 0)::BIGINT AS errors,
    coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS launch_ns,
    quantile_disc(duration_ns, 0.5) AS p50_ns,
    quantile_disc(duration_ns, 0.99) AS p99_ns,
    max(duration_ns) AS max_ns,
    count(DISTINCT (grid_x, grid_y, grid_z, block_x, block_y, block_z)) AS geometries,
    quantile_disc(grid_x::HUGEINT * grid_y * grid_z * block_x * block_y * block_z, 0.5) AS threads_p50,
    count(DISTINCT stream) AS streams
  FROM cuda_events
  WHERE op::VARCHAR LIKE 'cudaLaunch%Kernel%' AND ($pid IS NULL OR pid = $pid)
  GROUP BY run_id, process_id, pid, func
  ORDER BY launches DESC, run_id, pid, func
  LIMIT $limit
),
registered AS (
  SELECT run_id, process_id, func, any_value(kernel_name) AS kernel
  FROM cuda_events
  WHERE op::VARCHAR = '__cudaRegisterFunction' AND kernel_name IS NOT NULL
  GROUP BY run_id, process_id, func
),
-- Newer programs launch by the handle they got for the stub.
handles AS (
  SELECT g.run_id, g.process_id, g.kernel AS func, any_value(r.kernel) AS kernel
  FROM cuda_events g
  JOIN registered r ON r.run_id = g.run_id AND r.process_id = g.process_id AND r.func = g.func
  WHERE g.op::VARCHAR IN ('__cudaGetKernel', 'cudaGetKernel') AND g.kernel IS NOT NULL
  GROUP BY g.run_id, g.process_id, g.kernel
)
SELECT
  l.run_id,
  l.pid,
  l.func,
  l.* EXCLUDE (run_id, process_id, pid, func),
  coalesce(h.kernel, r.kernel) AS kernel
FROM launches l
LEFT JOIN handles h ON h.run_id = l.run_id AND h.process_id = l.process_id AND h.func = l.func
LEFT JOIN registered r ON r.run_id = l.run_id AND r.process_id = l.process_id AND r.func = l.func
ORDER BY l.launches DESC, l.run_id, l.pid, l.func
