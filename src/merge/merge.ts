import { writeNewFile } from '../capture/new-file.js';
import {
  type Copied,
  checkRows,
  copyRows,
  createTables,
  planRebuild,
  type RebuildPlan,
  type Transform,
} from '../capture/rebuild.js';
import { literal } from '../capture/sql-text.js';
import { SCHEMA_VERSION } from '../capture/version.js';
import { type AttachedCapture, folderOf, OUT, Workspace, workFailure } from '../capture/workspace.js';
import { type Alignment, alignClocks, largest, type RunClock } from './clocks.js';
import { type Key, keyOf, planOffsets, shifted } from './keys.js';
import { largestKeys } from './largest.js';
import { refuseRepeated } from './repeated.js';

/** One run of the merged file. Field names are those of `--json`. */
export interface MergedRun {
  run_id: number;
  file: string;
  capture_id: string;
  hostname: string | null;
  events: number;
  /** How its clock was aligned; null for the runs of a file that was merged before, which keep their alignment. */
  clock: { method: Alignment['method']; correction_ns: string; error_ns: string | null } | null;
}

export interface MergeResult {
  runs: MergedRun[];
  events: number;
  processes: number;
  /** Processes that several runs have recorded. */
  shared_processes: number;
  /** Catalog tables that were left out because the schema does not know them. */
  left_out: readonly string[];
}

/** A run of an input. */
interface InputRun {
  /** Number in its own file. */
  runId: number;
  captureId: string;
  hostname: string | null;
  bootId: string | null;
}

/** A pid is not used again within this time, ns: start times of one process differ by what the clock was corrected. */
const SAME_PROCESS_NS = 2_000_000_000n;

/**
 * Writes one capture that holds the rows of several. Inputs are only read; everything happens inside DuckDB.
 * `progress` is called before each input.
 *
 * Throws as opening a capture does, `schema-differs`, `capture-repeated` for a run that is there twice,
 * `table-conflict`, `output-exists`, `output-unwritable` and `output-space`. No partial file is left.
 */
export async function mergeCaptures(
  files: readonly string[],
  out: string,
  version: string,
  progress: (file: string, index: number) => void = () => {},
): Promise<MergeResult> {
  return writeNewFile(out, async (temporary) => {
    const workspace = await Workspace.open({ inputs: files, output: temporary, spillIn: folderOf(out) });
    let reading = files.join(', ');
    try {
      const plan = await planRebuild(workspace);
      const runs: InputRun[][] = [];
      for (const input of workspace.inputs) runs.push(await readRuns(workspace, input));
      await refuseRepeated(workspace.connection, workspace.inputs);
      const offsets = planOffsets(await largestKeys(workspace.connection, workspace.inputs));
      const alignments = alignClocks(await readClocks(workspace, runs, offsets));
      await createTables(workspace, plan);
      const copies: Copied[] = [];
      for (const [index, input] of workspace.inputs.entries()) {
        reading = input.path;
        progress(input.path, index);
        const shifts = offsets[index] as Map<Key, bigint>;
        const correction = correctionOf(runs[index] as InputRun[], shifts, alignments);
        copies.push(await copyRows(workspace, input, plan, renumber(shifts, correction)));
      }
      const events = await checkRows(workspace, copies);
      await finish(workspace, alignments, version);
      const result = await describe(workspace, plan, runs, offsets, alignments);
      await workspace.finishOutput();
      return { ...result, events };
    } catch (cause) {
      throw workFailure(cause, reading, out);
    } finally {
      workspace.close();
    }
  });
}

/** Keys get the offset of their input; times derived from the monotonic clock its correction. */
function renumber(offsets: ReadonlyMap<Key, bigint>, correction: bigint): Transform {
  return (table, column, value) => {
    const key = keyOf(table, column);
    if (key !== undefined) return shifted(value, column.type, offsets.get(key) ?? 0n);
    const corrected = column.name === 'start_time' || column.name === 'first_seen';
    return corrected && correction !== 0n ? `make_timestamp_ns(epoch_ns(${value}) + ${correction})` : value;
  };
}

async function readRuns(workspace: Workspace, { alias }: AttachedCapture): Promise<InputRun[]> {
  const rows = await workspace.rows(
    `SELECT run_id, capture_id::VARCHAR, hostname, boot_id::VARCHAR FROM ${alias}.main.capture ORDER BY run_id`,
  );
  return rows.map(([runId, captureId, hostname, bootId]) => ({
    runId: Number(runId),
    captureId: String(captureId),
    hostname: hostname === null ? null : String(hostname),
    bootId: bootId === null ? null : String(bootId),
  }));
}

/** The clocks of the inputs that hold one run; others are aligned already. Runs have their new numbers. */
async function readClocks(
  workspace: Workspace,
  runs: readonly (readonly InputRun[])[],
  offsets: readonly ReadonlyMap<Key, bigint>[],
): Promise<RunClock[]> {
  const clocks: RunClock[] = [];
  for (const [index, { alias }] of workspace.inputs.entries()) {
    const [run, ...others] = runs[index] ?? [];
    if (run === undefined || others.length > 0) continue;
    const anchors = await workspace.rows(
      `SELECT epoch_ns(wall_time) - monotonic_ns, uncertainty_ns FROM ${alias}.main.clock_anchors ORDER BY monotonic_ns`,
    );
    clocks.push({
      runId: run.runId + Number(offsets[index]?.get('run') ?? 0n),
      bootId: run.bootId,
      offsets: anchors.map(([offset]) => BigInt(String(offset))),
      uncertainty: largest(anchors.map(([, width]) => BigInt(String(width)))),
    });
  }
  return clocks;
}

function correctionOf(
  [run, ...others]: readonly InputRun[],
  offsets: ReadonlyMap<Key, bigint>,
  alignments: readonly Alignment[],
): bigint {
  if (run === undefined || others.length > 0) return 0n;
  const runId = run.runId + Number(offsets.get('run') ?? 0n);
  return alignments.find((alignment) => alignment.runId === runId)?.correctionNs ?? 0n;
}

/** What the merged file says about itself: alignment, schema, and which processes are the same. */
async function finish(
  workspace: Workspace,
  alignments: readonly Alignment[],
  version: string,
): Promise<void> {
  const { connection } = workspace;
  for (const { runId, referenceRunId, method, correctionNs, errorNs } of alignments) {
    await connection.run(
      `INSERT INTO ${OUT}.main.clock_alignment (run_id, reference_run_id, method, correction_ns, error_ns)
       VALUES (${runId}, ${referenceRunId}, ${literal(method)}, ${correctionNs}, ${errorNs ?? 'NULL'})`,
    );
  }
  await connection.run(
    `INSERT INTO ${OUT}.main.schema_migrations (version, applied_at, ingero_version)
     VALUES (${SCHEMA_VERSION}, make_timestamp_ns(epoch_ns(now())), ${literal(version)})`,
  );
  // One process: the same boot, the same pid, started at the same time.
  await connection.run(
    `UPDATE ${OUT}.main.processes SET incarnation_id = same.incarnation_id
     FROM (SELECT process_id, min(process_id) OVER (PARTITION BY boot_id, pid, part) AS incarnation_id
           FROM (SELECT *, sum(begins) OVER (PARTITION BY boot_id, pid ORDER BY started, process_id) AS part
                 FROM (SELECT p.process_id, p.pid, epoch_ns(p.started_at) AS started,
                              coalesce(c.boot_id::VARCHAR, 'run ' || p.run_id) AS boot_id,
                              CASE WHEN started - lag(started) OVER (PARTITION BY coalesce(c.boot_id::VARCHAR, 'run ' || p.run_id), p.pid
                                                                     ORDER BY started, p.process_id) <= ${SAME_PROCESS_NS}
                                   THEN 0 ELSE 1 END AS begins
                       FROM ${OUT}.main.processes p JOIN ${OUT}.main.capture c USING (run_id)))) same
     WHERE same.process_id = processes.process_id`,
  );
}

async function describe(
  workspace: Workspace,
  plan: RebuildPlan,
  runs: readonly (readonly InputRun[])[],
  offsets: readonly ReadonlyMap<Key, bigint>[],
  alignments: readonly Alignment[],
): Promise<Omit<MergeResult, 'events'>> {
  const events = new Map<number, number>();
  for (const { table } of plan.events) {
    const rows = await workspace.rows(
      `SELECT run_id, sum(n) FROM (SELECT args_id, count(*) AS n FROM ${OUT}.store."${table}" GROUP BY args_id)
       JOIN ${OUT}.store."${table}_args" USING (args_id) GROUP BY run_id`,
    );
    for (const [run, count] of rows) events.set(Number(run), (events.get(Number(run)) ?? 0) + Number(count));
  }
  const merged = workspace.inputs.flatMap(({ path }, index) =>
    (runs[index] ?? []).map(({ runId, captureId, hostname }): MergedRun => {
      const run_id = runId + Number(offsets[index]?.get('run') ?? 0n);
      const alignment = alignments.find((candidate) => candidate.runId === run_id);
      return {
        run_id,
        file: path,
        capture_id: captureId,
        hostname,
        events: events.get(run_id) ?? 0,
        clock:
          alignment === undefined
            ? null
            : {
                method: alignment.method,
                correction_ns: String(alignment.correctionNs),
                error_ns: alignment.errorNs === null ? null : String(alignment.errorNs),
              },
      };
    }),
  );
  const processes = await workspace.number(
    `SELECT count(DISTINCT incarnation_id) FROM ${OUT}.main.processes`,
  );
  const shared = await workspace.number(
    `SELECT count(*) FROM (SELECT incarnation_id FROM ${OUT}.main.processes GROUP BY 1 HAVING count(DISTINCT run_id) > 1)`,
  );
  return { runs: merged, processes, shared_processes: shared, left_out: plan.unknown };
}
