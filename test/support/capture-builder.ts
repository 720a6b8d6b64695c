import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { planDdl } from '../../src/capture/ddl.js';
import {
  type CaptureSchema,
  type ColumnSpec,
  eventColumns,
  inRow,
  RUN_ID,
  readCaptureSchema,
} from '../../src/capture/schema.js';
import { ident, literal } from '../../src/capture/sql-text.js';

/** Times in a built capture count from here. */
export const BASE_TIME_NS = BigInt(Date.UTC(2026, 0, 1)) * 1_000_000n;

/** A column's value. TIMESTAMP_NS columns take nanoseconds after BASE_TIME_NS. */
export type Cell = string | number | bigint | boolean | null | readonly string[];
export type Row = Readonly<Record<string, Cell>>;

/** Rows of a capture to build. What a row leaves out gets a default, or NULL where the column allows it. */
export interface CaptureRows {
  /** The row of the run, or one for each. */
  capture?: Row | readonly Row[];
  packs?: readonly Row[];
  libraries?: readonly Row[];
  probes?: readonly Row[];
  probeAccounting?: readonly Row[];
  processes?: readonly Row[];
  threads?: readonly Row[];
  clockAnchors?: readonly Row[];
  cudaEvents?: readonly Row[];
  /** Rows of other catalog tables, by table. */
  tables?: Readonly<Record<string, readonly Row[]>>;
  /** Rows of other event tables, by table. Such a table exists only when named. */
  events?: Readonly<Record<string, readonly Row[]>>;
}

const CAPTURE: Row = {
  capture_id: '00000000-0000-4000-8000-000000000001',
  ingero_version: '0.1.0',
  hostname: 'testhost',
  kernel: '6.18.0',
  arch: 'x64',
  cpu_count: 2,
  started_at: 0,
  ended_at: 10_000_000_000,
  end_reason: 'duration',
  command_line: ['ingero', 'trace'],
  target: 'all processes',
  attach_method: 'uprobe-multi',
  bpf_sha256: '0'.repeat(64),
  ring_bytes: 1 << 20,
  accounting_balanced: true,
};

const ACCOUNTING: Row = {
  hits: 0,
  rows: 0,
  filtered: 0,
  sampled: 0,
  lost_ring_full: 0,
  lost_too_deep: 0,
  lost_no_memory: 0,
  lost_not_written: 0,
  balanced: true,
  orphan_returns: 0,
  read_faults: 0,
  lost_stacks: 0,
};

const DEFAULTS: Readonly<Record<string, (index: number) => Row>> = {
  capture: () => CAPTURE,
  packs: () => ({
    pack: 'cuda-runtime',
    version: '1.0.0',
    layer: 'runtime',
    event_table: 'cuda_events',
    path: 'probes/cuda-runtime.yaml',
    sha256: '0'.repeat(64),
    yaml: '',
    file_sha256: '0'.repeat(64),
    overlays: [],
    overlay_sha256: [],
  }),
  libraries: (index) => ({
    library_id: index,
    path: '/usr/lib/libcudart.so.12',
    dev: 1,
    inode: 1000 + index,
    size_bytes: 700_000,
    found_by: 'ld.so.cache',
    pack: 'cuda-runtime',
    state: 'traced',
  }),
  probes: (index) => ({
    probe_id: index,
    pack: 'cuda-runtime',
    op: 'cudaMalloc',
    prototype: 'int f(void)',
    state: 'attached',
    mode: 'call',
  }),
  probe_accounting: (index) => ({ probe_id: index, ...ACCOUNTING }),
  processes: () => ({ first_seen: 0 }),
  threads: () => ({ first_seen: 0, name: 'main' }),
  clock_anchors: () => ({ monotonic_ns: 0, wall_time: 0, uncertainty_ns: 100 }),
};

/** Calls a millisecond apart, each 1 us long, by thread 100 of process 100. */
const eventDefaults = (index: number): Row => ({
  start_time: index * 1_000_000,
  duration_ns: 1000,
  status: 'ok',
  layer: 'runtime',
  pid: 100,
  tid: 100,
  call_id: index + 1,
  probe_id: 0,
});

/**
 * A row completed by those defaults its table has in this schema version, and by what every row of a built capture
 * has: one run, no sampling, processes known by their pid.
 */
function completed(columns: readonly ColumnSpec[], defaults: Row, row: Row): Row {
  const all: Row = {
    run_id: RUN_ID,
    sample_weight: 1,
    process_id: row.pid ?? defaults.pid ?? null,
    ...defaults,
  };
  const known = Object.entries(all).filter(([name]) => columns.some((column) => column.name === name));
  return { ...Object.fromEntries(known), ...row };
}

function sqlValue(column: ColumnSpec, value: Cell | undefined): string {
  if (value === undefined || value === null) return 'NULL';
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]::VARCHAR[]`;
  if (column.type === 'TIMESTAMP_NS') return `make_timestamp_ns(${BASE_TIME_NS + BigInt(value as number)})`;
  return typeof value === 'string' ? literal(value) : String(value);
}

async function insert(
  connection: DuckDBConnection,
  table: string,
  columns: readonly ColumnSpec[],
  rows: readonly Row[],
): Promise<void> {
  if (rows.length === 0) return;
  const known = new Set(columns.map((column) => column.name));
  for (const name of rows.flatMap(Object.keys)) {
    if (!known.has(name)) throw new Error(`${table} has no column ${name}`);
  }
  const values = rows.map(
    (row) => `(${columns.map((column) => sqlValue(column, row[column.name])).join(', ')})`,
  );
  const names = columns.map((column) => ident(column.name)).join(', ');
  await connection.run(`INSERT INTO ${table} (${names}) VALUES ${values.join(', ')}`);
}

/**
 * Builds a small capture file with the real DDL and the given rows. Names of NAME columns (operations,
 * errors, directions) become their ENUMs in order of appearance.
 */
export async function buildCapture(
  path: string,
  rows: CaptureRows = {},
  schema: CaptureSchema = readCaptureSchema(),
): Promise<void> {
  const events: Record<string, readonly Row[]> = {
    cuda_events: rows.cudaEvents ?? [],
    ...rows.events,
  };
  const complete = Object.entries(events).map(([table, list]) => ({
    table,
    columns: eventColumns(schema, table),
    rows: list.map((row, index) => completed(eventColumns(schema, table), eventDefaults(index), row)),
  }));
  const plans = complete.map(({ table, columns, rows: list }) => ({
    table,
    names: Object.fromEntries(
      columns
        .filter((column) => column.type === 'NAME' && column.values === undefined)
        .map((column) => [
          column.name,
          [...new Set(list.map((row) => row[column.name]))].filter((name) => typeof name === 'string'),
        ]),
    ),
  }));

  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  try {
    await connection.run('BEGIN');
    await connection.run(planDdl(schema, plans).join(';\n'));
    const tables: Record<string, readonly Row[]> = {
      capture: (Array.isArray(rows.capture) ? rows.capture : [rows.capture ?? {}]).map((row) => ({
        schema_version: schema.version,
        ...row,
      })),
      schema_migrations: [{ version: schema.version, applied_at: 0, ingero_version: '0.1.0' }],
      packs: rows.packs ?? [],
      libraries: rows.libraries ?? [],
      probes: rows.probes ?? [],
      probe_accounting: rows.probeAccounting ?? [],
      processes: rows.processes ?? [],
      threads: rows.threads ?? [],
      clock_anchors: rows.clockAnchors ?? [],
      ...rows.tables,
    };
    for (const [table, list] of Object.entries(tables)) {
      const columns = schema.tables[table]?.columns ?? [];
      const filled = list.map((row, index) => completed(columns, DEFAULTS[table]?.(index) ?? {}, row));
      await insert(connection, ident(table), columns, filled);
    }
    for (const { table, columns, rows: list } of complete) {
      const argsId: ColumnSpec = { name: 'args_id', type: 'UINTEGER', description: '' };
      const store = (interned: boolean): { columns: ColumnSpec[]; rows: Row[] } => {
        const kept = columns.filter((column) => inRow(column) !== interned);
        const pick = (row: Row): [string, Cell][] =>
          kept.map((column) => [column.name, row[column.name] ?? null]);
        return {
          columns: [...kept, argsId],
          rows: list.map((row, index): Row => ({ ...Object.fromEntries(pick(row)), args_id: index })),
        };
      };
      const unknown = list
        .flatMap(Object.keys)
        .find((name) => !columns.some((column) => column.name === name));
      if (unknown !== undefined) throw new Error(`${table} has no column ${unknown}`);
      const args = store(true);
      await insert(connection, `store.${ident(`${table}_args`)}`, args.columns, args.rows);
      const data = store(false);
      await insert(connection, `store.${ident(table)}`, data.columns, data.rows);
    }
    await connection.run('COMMIT');
    await connection.run('CHECKPOINT');
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
