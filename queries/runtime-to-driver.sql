-- @title Runtime calls and the driver calls inside them
-- @question How much of the time in each runtime call is spent in the driver, and in which driver call?
-- @requires tables=cuda_events,cuda_driver_events schema>=2
-- @packs cuda-runtime, cuda-driver
-- @param pid INTEGER null - [1..] -- only this process
-- @column run_id - -- Run the calls belong to
-- @column runtime_op - -- Operation of the runtime
-- @column driver_op - -- Operation of the driver made directly inside it; NULL when none was recorded
-- @column runtime_calls calls -- Calls of the runtime that made this driver call
-- @column driver_calls calls -- Calls of the driver
-- @column runtime_ns ns -- Time in these runtime calls, the driver's included
-- @column driver_ns ns -- Part of it in this driver call
-- @column driver_share_pct % -- driver_ns / runtime_ns
-- @column max_driver_ns ns -- Longest of the driver calls
-- @sampling weighted
-- @fidelity exact -- Nesting is recorded by the kernel on the thread. A runtime call that makes two kinds of driver call is in two rows: runtime_ns of rows is not added.
-- @interpret A low driver share with a high runtime_ns is time in the runtime itself: lazy loading, locks between threads. Runtime
--   operations without a driver call answered from the runtime's own state, or the driver call was not probed.
-- @next call-tree, driver-direct
WITH inner_calls AS (
  SELECT
    run_id,
    parent_id AS call_id,
    op AS driver_op,
    sum(sample_weight) AS calls,
    sum(duration_ns * sample_weight) AS driver_ns,
    max(duration_ns) AS max_driver_ns
  FROM cuda_driver_events
  WHERE parent_id IS NOT NULL
  GROUP BY run_id, parent_id, op
)
SELECT
  run_id,
  r.op::VARCHAR AS runtime_op,
  d.driver_op::VARCHAR AS driver_op,
  sum(r.sample_weight)::BIGINT AS runtime_calls,
  coalesce(sum(d.calls), 0)::BIGINT AS driver_calls,
  coalesce(sum(r.duration_ns * r.sample_weight), 0)::BIGINT AS runtime_ns,
  coalesce(sum(d.driver_ns), 0)::BIGINT AS driver_ns,
  round(100 * coalesce(sum(d.driver_ns), 0) / nullif(sum(r.duration_ns * r.sample_weight), 0), 3) AS driver_share_pct,
  max(d.max_driver_ns) AS max_driver_ns
FROM cuda_events r
LEFT JOIN inner_calls d USING (run_id, call_id)
WHERE $pid IS NULL OR r.pid = $pid
GROUP BY run_id, r.op, d.driver_op
ORDER BY run_id, runtime_ns DESC, runtime_op, driver_ns DESC, driver_op
