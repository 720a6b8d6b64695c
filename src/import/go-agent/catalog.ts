import type { Row } from '../../capture/capture-file.js';
import type { RowView } from '../sqlite/index.js';
import { operationOf } from './operations.js';
import type { Run, Runs } from './runs.js';
import { int32, type TableReader, timeOf } from './table-reader.js';

/** Where a row of the old file goes: a table and a row, or the reason it goes nowhere. */
export type Converted = { table: string; row: Row } | { reason: string };

/** What converting the small tables depends on. */
export interface CatalogContext {
  runs: Runs;
  /** Column of the last `cgroup_schedstat` row of each cgroup: its counters run on from row to row. */
  schedstat: Map<string, { start: bigint; end: bigint; total: bigint; events: bigint }>;
}

type RowConverter = (reader: TableReader, row: RowView, context: CatalogContext) => Converted;

const NO_TIME = 'it has no time';
const MIB = 2n ** 20n;

/** Tables that are copied row by row. Events, stacks, sessions and process names are dealt with apart. */
export const CATALOG_TABLES: Readonly<Record<string, RowConverter>> = {
  event_aggregates: (reader, row, context) => aggregate(reader, row, context, 60_000_000_000n),
  event_aggregates_5s: (reader, row, context) => aggregate(reader, row, context, 5_000_000_000n),

  causal_chains: (reader, row, { runs }) => {
    const detectedAt = timeOf(reader, row, 'detected_at');
    if (detectedAt === null) return { reason: NO_TIME };
    const node = reader.text(row, 'node');
    return {
      table: 'imported_findings',
      row: {
        run_id: runs.runOf(node, Number(detectedAt)).id,
        finding: reader.text(row, 'id'),
        detected_at: detectedAt,
        severity: reader.text(row, 'severity') || null,
        summary: reader.text(row, 'summary'),
        root_cause: reader.text(row, 'root_cause') || null,
        explanation: reader.text(row, 'explanation') || null,
        recommendations: strings(reader.text(row, 'recommendations')),
        op: reader.text(row, 'cuda_op') || null,
        p99_us: positive(reader.bigint(row, 'cuda_p99_us')),
        p50_us: positive(reader.bigint(row, 'cuda_p50_us')),
        tail_ratio: nonZero(reader.real(row, 'tail_ratio')),
        timeline: reader.text(row, 'timeline') || null,
      },
    };
  },

  system_snapshots: (reader, row, { runs }) => {
    const sampledAt = timeOf(reader, row, 'timestamp');
    if (sampledAt === null) return { reason: NO_TIME };
    return {
      table: 'imported_system_samples',
      row: {
        run_id: runs.runAt(Number(sampledAt))?.id ?? null,
        sampled_at: sampledAt,
        cpu_pct: reader.real(row, 'cpu_pct'),
        memory_pct: reader.real(row, 'mem_pct'),
        memory_available_bytes: mebibytes(reader.bigint(row, 'mem_avail')),
        swap_used_bytes: mebibytes(reader.bigint(row, 'swap_mb')),
        load_1m: reader.real(row, 'load_avg'),
      },
    };
  },

  cgroup_metadata: (reader, row, { runs }) => {
    const id = reader.bigint(row, 'cgroup_id');
    if (id === null) return { reason: 'it has no cgroup id' };
    return {
      table: 'imported_cgroups',
      row: {
        run_id: onlyRun(runs)?.id ?? null,
        cgroup_id: BigInt.asUintN(64, id),
        path: reader.text(row, 'cgroup_path') || null,
        container_id: reader.text(row, 'container_id') || null,
        pod: reader.text(row, 'pod_name') || null,
        namespace: reader.text(row, 'namespace') || null,
      },
    };
  },

  cgroup_schedstat: (reader, row, context) => {
    const id = reader.bigint(row, 'cgroup_id');
    const start = timeOf(reader, row, 'window_start');
    const end = timeOf(reader, row, 'window_end');
    const total = reader.bigint(row, 'total_off_cpu');
    const events = reader.bigint(row, 'event_count');
    if (id === null || end === null || total === null || events === null) return { reason: NO_TIME };
    const key = String(id);
    const last = context.schedstat.get(key);
    context.schedstat.set(key, { start: start ?? 0n, end, total, events });
    // The counters start again with the agent.
    const goesOn =
      last !== undefined &&
      last.start === (start ?? 0n) &&
      last.total >= 0n &&
      last.events >= 0n &&
      total >= last.total &&
      events >= last.events;
    return {
      table: 'imported_cgroup_off_cpu',
      row: {
        run_id: context.runs.runAt(Number(end))?.id ?? null,
        cgroup_id: BigInt.asUintN(64, id),
        window_start: goesOn ? last.end : start,
        window_end: end,
        off_cpu_ns: goesOn ? total - last.total : total,
        switches: goesOn ? events - last.events : events,
        p99_since_start_ns: reader.bigint(row, 'p99_off_cpu'),
      },
    };
  },

  annotations: (reader, row, { runs }) => {
    const at = timeOf(reader, row, 'timestamp');
    if (at === null) return { reason: NO_TIME };
    return {
      table: 'imported_annotations',
      row: {
        run_id: runs.runAt(Number(at))?.id ?? null,
        annotated_at: at,
        labels: reader.text(row, 'labels'),
        pid: int32(reader.integer(row, 'pid')),
        process_start_ticks: positive(reader.bigint(row, 'start_time')),
        span_start: timeOf(reader, row, 'span_start'),
        span_end: timeOf(reader, row, 'span_end'),
        peer_uid: uint32(reader.integer(row, 'peer_uid')),
        peer_gid: uint32(reader.integer(row, 'peer_gid')),
        peer_pid: int32(reader.integer(row, 'peer_pid')),
      },
    };
  },
};

/** Tables that hold no observation, and why nothing is lost by leaving them. */
export const LOOKUP_TABLES: Readonly<Record<string, string>> = {
  sources: 'a lookup table of the agent: names of operations come with ingero',
  ops: 'a lookup table of the agent: names of operations come with ingero',
  schema_info: 'notes on the old schema; its version is in imports',
  schema_version: 'the old schema version is in imports',
  sqlite_sequence: 'a counter of SQLite',
};

function aggregate(reader: TableReader, row: RowView, { runs }: CatalogContext, bucketNs: bigint): Converted {
  const bucket = timeOf(reader, row, 'bucket');
  const source = reader.integer(row, 'source');
  const op = reader.integer(row, 'op');
  if (bucket === null) return { reason: NO_TIME };
  if (source === null || op === null) return { reason: 'it names no operation' };
  const operation = operationOf(source, op);
  const pid = int32(reader.integer(row, 'pid'));
  const run = runs.runAt(Number(bucket + bucketNs - 1n));
  const isSwitch = operation.name === 'sched_switch';
  const total = reader.bigint(row, 'sum_dur') ?? 0n;
  const isMeasured = operation.time !== 'instant';
  // Sums of pointers and handles mean nothing.
  const sumsBytes = operation.columns.some(
    ({ column, fields, times }) => column === 'bytes' && fields[0]?.slot === 0 && times === undefined,
  );
  return {
    table: 'imported_aggregates',
    row: {
      run_id: run?.id ?? null,
      bucket_start: bucket,
      bucket_ns: bucketNs,
      op: operation.name,
      layer: operation.layer,
      pid: isSwitch ? (run?.threads.get(pid ?? 0)?.pid ?? null) : pid,
      tid: isSwitch ? pid : null,
      counted: unsigned(reader.bigint(row, 'count')),
      stored: unsigned(reader.bigint(row, 'stored')),
      total_ns: isMeasured ? total : null,
      min_ns: isMeasured ? reader.bigint(row, 'min_dur') : null,
      max_ns: isMeasured ? reader.bigint(row, 'max_dur') : null,
      bytes: sumsBytes ? unsigned(reader.bigint(row, 'sum_arg0')) : null,
      rows_here: 0n,
      reliability: 'unreliable',
    },
  };
}

/** The run of a file that has one. */
function onlyRun(runs: Runs): Run | undefined {
  return runs.all.length === 1 ? runs.all[0] : undefined;
}

function positive(value: bigint | null): bigint | null {
  return value !== null && value > 0n ? value : null;
}

function unsigned(value: bigint | null): bigint | null {
  return value !== null && value >= 0n ? value : null;
}

function nonZero(value: number | null): number | null {
  return value === 0 ? null : value;
}

function mebibytes(value: bigint | null): bigint | null {
  return value !== null && value >= 0n && value < 2n ** 40n ? value * MIB : null;
}

/** A JSON array of strings; null when it is something else. */
function strings(json: string): string[] | null {
  try {
    const value: unknown = JSON.parse(json);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : null;
  } catch {
    return null;
  }
}

function uint32(value: number | null): number | null {
  return value !== null && value >= 0 && value < 2 ** 32 ? value : null;
}
