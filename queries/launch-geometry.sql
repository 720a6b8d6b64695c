-- @title Launch geometry
-- @question With which grids and blocks are kernels launched, and which launches are too small to fill a GPU?
-- @requires tables=cuda_events schema>=2
-- @packs cuda-runtime
-- @ops cudaLaunch*Kernel*
-- @param pid INTEGER null - [1..] -- only this process
-- @param max_threads BIGINT null threads [1..] -- only launches of at most this many threads
-- @param limit INTEGER 50 rows [0..] -- show at most this many
-- @column run_id - -- Run the launches belong to
-- @column pid - -- Process
-- @column func address -- Kernel
-- @column grid - -- Blocks: x,y,z
-- @column block - -- Threads of a block: x,y,z
-- @column shared_mem_bytes bytes -- Dynamic shared memory of a block
-- @column threads threads -- Threads of one launch
-- @column warp_use_pct % -- Part of the lanes of its warps the block uses (32 lanes a warp)
-- @column launches calls -- Successful launches
-- @column launch_ns ns -- Host time in these launches
-- @sampling weighted
-- @fidelity exact -- Arguments as passed. Launches whose configuration could not be read have NULLs.
-- @interpret A GPU has about a hundred multiprocessors, each with up to 2048 threads: launches of a few thousand threads leave most of it
--   idle. Blocks that are no multiple of 32 waste lanes.
-- @next launch-sum
-- @nsys cuda_gpu_kern_gb_sum
SELECT
  run_id,
  pid,
  func,
  grid_x || ',' || grid_y || ',' || grid_z AS grid,
  block_x || ',' || block_y || ',' || block_z AS block,
  shared_mem_bytes,
  (grid_x::HUGEINT * grid_y * grid_z * block_x * block_y * block_z) AS threads,
  round(100 * (block_x * block_y * block_z) / (ceil((block_x * block_y * block_z) / 32) * 32), 1) AS warp_use_pct,
  sum(sample_weight)::BIGINT AS launches,
  coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS launch_ns
FROM cuda_events
WHERE op::VARCHAR LIKE 'cudaLaunch%Kernel%'
  AND status = 'ok'
  AND ($pid IS NULL OR pid = $pid)
  AND ($max_threads IS NULL OR grid_x::HUGEINT * grid_y * grid_z * block_x * block_y * block_z <= $max_threads)
GROUP BY run_id, process_id, pid, func, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_mem_bytes
ORDER BY launches DESC, run_id, pid, func, grid, block
LIMIT $limit
