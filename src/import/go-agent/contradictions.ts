import type { CaptureFile } from '../../capture/capture-file.js';

/**
 * Marks the aggregates that the events of the same file contradict: the old agent overwrote complete buckets with
 * partial ones, so that some claim fewer calls than the file has rows of. Buckets go by the old agent's timestamp,
 * which is the end of what the host does and the start of calls.
 */
export async function markContradictions(file: CaptureFile): Promise<void> {
  await file.connection.run(`
    UPDATE imported_aggregates
    SET rows_here = found.rows, reliability = CASE WHEN found.rows > counted THEN 'contradicted' ELSE 'unreliable' END
    FROM (
      SELECT
        width.bucket_ns,
        (epoch_ns(start_time) + CASE WHEN layer = 'host' THEN coalesce(duration_ns, 0) ELSE 0 END)
          // width.bucket_ns * width.bucket_ns AS bucket,
        op,
        CASE WHEN op = 'sched_switch' THEN tid ELSE pid END AS owner,
        count(*) AS rows
      FROM events, (SELECT DISTINCT bucket_ns FROM imported_aggregates) width
      GROUP BY ALL
    ) found
    WHERE found.bucket_ns = imported_aggregates.bucket_ns
      AND found.bucket = epoch_ns(imported_aggregates.bucket_start)
      AND found.op = imported_aggregates.op
      AND found.owner = coalesce(imported_aggregates.tid, imported_aggregates.pid)`);
}
