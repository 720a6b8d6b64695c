import { existsSync, statSync } from 'node:fs';
import type { Json } from '@duckdb/node-api';
import { STORE } from '../capture/ddl.js';
import { ident } from '../capture/sql-text.js';
import { damaged } from './capture-file.js';
import { type OpenCapture, openCapture } from './open.js';
import { parseFailure } from './sql-error.js';

export type Fields = Readonly<Record<string, Json>>;

/** What a capture file is, without a look at its events. The `--json` shape of `ingero info`, per file. */
export interface CaptureInfo {
  file: string;
  bytes: number;
  /** Size of the write-ahead log that belongs to the file; null when there is none. */
  wal_bytes: number | null;
  /** Whether a trace is still writing it. */
  recording: boolean;
  schema_version: number;
  /** Rows of `schema_migrations`. */
  schema_migrations: readonly Fields[];
  /** Rows of `capture`, one per run. */
  runs: readonly Fields[];
  /** Rows of `packs` without their text. */
  packs: readonly Fields[];
  /** Library files and probes by state. */
  libraries: Readonly<Record<string, number>>;
  probes: Readonly<Record<string, number>>;
  /** Sums over all probes; null when nothing was counted. */
  accounting: {
    hits: number;
    rows: number;
    filtered: number;
    sampled: number;
    lost: number;
    balanced: boolean;
  } | null;
  /** Rows of every table; event tables by the name of their view. */
  tables: readonly { table: string; kind: 'table' | 'events'; rows: number }[];
  /** Catalog tables the file lacks. */
  missing: readonly string[];
}

const LOST = ['lost_ring_full', 'lost_too_deep', 'lost_no_memory', 'lost_not_written'];
const CATALOG = ['packs', 'libraries', 'probes', 'probe_accounting', 'schema_migrations'];

/** Reads what a capture says of itself: its catalog, and row counts from metadata. Throws as opening does. */
export async function readInfo(file: string): Promise<CaptureInfo> {
  const capture = await openCapture(file);
  try {
    return await describeCapture(file, capture);
  } catch (cause) {
    throw damaged(file, parseFailure(cause).message.split('\n')[0] ?? '', cause);
  } finally {
    capture.close();
  }
}

async function describeCapture(file: string, capture: OpenCapture): Promise<CaptureInfo> {
  const rows = async (sql: string): Promise<Fields[]> =>
    (await capture.connection.runAndReadAll(sql)).getRowObjectsJson();
  const tables = await countRows(rows);
  const present = new Set(tables.map(({ table }) => table));
  const from = (table: string, sql: string): Promise<Fields[]> =>
    present.has(table) ? rows(sql) : Promise.resolve([]);
  const byState = async (table: string): Promise<Record<string, number>> =>
    Object.fromEntries(
      (
        await from(table, `SELECT state, count(*)::INTEGER AS n FROM ${table} GROUP BY state ORDER BY state`)
      ).map(({ state, n }) => [String(state), Number(n)]),
    );
  const wal = `${capture.path}.wal`;
  return {
    file,
    bytes: statSync(capture.path).size,
    wal_bytes: existsSync(wal) ? statSync(wal).size : null,
    recording: capture.asOfNs !== undefined,
    schema_version: capture.schemaVersion,
    schema_migrations: await from('schema_migrations', 'FROM schema_migrations ORDER BY version'),
    runs: await rows('FROM capture'),
    packs: await from('packs', `SELECT * EXCLUDE (yaml) FROM packs ORDER BY pack`),
    libraries: await byState('libraries'),
    probes: await byState('probes'),
    accounting: await readAccounting(from),
    tables,
    missing: CATALOG.filter((table) => !present.has(table)),
  };
}

async function countRows(rows: (sql: string) => Promise<Fields[]>): Promise<CaptureInfo['tables'][number][]> {
  const found = await rows(
    `SELECT schema_name, table_name FROM duckdb_tables()
     WHERE schema_name IN ('main', '${STORE}') AND NOT internal ORDER BY schema_name, table_oid`,
  );
  const stored = new Set(found.map(({ schema_name, table_name }) => `${schema_name}.${table_name}`));
  const counted = found
    .map(({ schema_name, table_name }) => ({ schema: String(schema_name), table: String(table_name) }))
    // The distinct argument sets of an event table are no events.
    .filter(
      ({ schema, table }) =>
        !(schema === STORE && table.endsWith('_args') && stored.has(`${STORE}.${table.slice(0, -5)}`)),
    );
  if (counted.length === 0) return [];
  const counts = await rows(
    counted
      .map(
        ({ schema, table }, at) =>
          `SELECT ${at} AS i, count(*)::BIGINT AS n FROM ${ident(schema)}.${ident(table)}`,
      )
      .join(' UNION ALL '),
  );
  const byIndex = new Map(counts.map(({ i, n }) => [Number(i), Number(n)]));
  return counted.map(({ schema, table }, at) => ({
    table,
    kind: schema === STORE ? ('events' as const) : ('table' as const),
    rows: byIndex.get(at) ?? 0,
  }));
}

async function readAccounting(
  from: (table: string, sql: string) => Promise<Fields[]>,
): Promise<CaptureInfo['accounting']> {
  const [sums] = await from(
    'probe_accounting',
    `SELECT sum(hits)::BIGINT AS hits, sum("rows")::BIGINT AS "rows", sum(filtered)::BIGINT AS filtered,
            sum(sampled)::BIGINT AS sampled, sum(${LOST.join(' + ')})::BIGINT AS lost, bool_and(balanced) AS balanced
     FROM probe_accounting`,
  );
  if (sums === undefined || sums.hits === null) return null;
  const number = (name: string): number => Number(sums[name]);
  return {
    hits: number('hits'),
    rows: number('rows'),
    filtered: number('filtered'),
    sampled: number('sampled'),
    lost: number('lost'),
    balanced: sums.balanced === true,
  };
}
