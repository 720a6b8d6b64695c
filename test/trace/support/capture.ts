import { existsSync, statSync } from 'node:fs';
import { DuckDBInstance, type DuckDBValue } from '@duckdb/node-api';
import { expect } from 'vitest';
import { readCaptureSchema } from '../../../src/capture/schema.js';
import { compilePack } from '../../../src/packs/compile.js';
import { loadBuiltinPacks } from '../../../src/packs/load.js';
import type { Arch } from '../../../src/packs/model.js';
import type { Ops, OpTruth } from './workload.js';

/** A row; integers of up to 53 bits are numbers, wider columns bigints, times nanoseconds as bigints. */
export type Row = Record<string, DuckDBValue>;

/** Runs SQL on a capture file and returns the rows. */
export async function query(path: string, sql: string): Promise<Row[]> {
  const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjects();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

/** The first row a statement gives. */
export async function one(path: string, sql: string): Promise<Row> {
  const [row] = await query(path, sql);
  if (row === undefined) throw new Error(`no row from ${sql}`);
  return row;
}

/** A column of the rows a statement gives, as numbers. */
export async function numbers(path: string, sql: string): Promise<number[]> {
  return (await query(path, sql)).map((row) => Number(Object.values(row)[0]));
}

/** Columns every event table has, but `kept`: for `* EXCLUDE (...)`, which leaves the rest to compare. */
export function sharedColumns(...kept: readonly string[]): string {
  const names = readCaptureSchema().event_columns.map(({ name }) => name);
  return names.filter((name) => !kept.includes(name)).join(', ');
}

/** Functions the shipped packs for this table record; the truth of a workload counts others as well. */
const probes = loadBuiltinPacks()
  .filter(({ table }) => table === 'cuda_events')
  .flatMap((pack) => compilePack(pack, process.arch as Arch).probes);
const probedOps = new Set(probes.map(({ op }) => op));
const probedSymbols = new Set(probes.flatMap(({ symbols }) => symbols));

/**
 * The symbol under which a call of `symbol` is recorded; undefined when it is not. __cudaLaunchKernel, the launch
 * nvcc compiles to, jumps to cudaLaunchKernel, which is probed.
 */
export function probedSymbol(symbol: string): string | undefined {
  const target = symbol.replace(/^__cudaLaunchKernel/, 'cudaLaunchKernel');
  return probedSymbols.has(target) ? target : undefined;
}

/** Rows each process of gpu-scenarios has for the kernels it registers when it starts; its truth does not tell them. */
export const REGISTRATIONS = 4;

/** Rows the calls of a truth become. */
export function recordedCalls(ops: Ops): number {
  return Object.values(recorded(ops)).reduce((sum, { calls }) => sum + calls, 0);
}

/** The part of a truth that a capture has to show: the probed operations, but for those compilers put in. */
export function probed(ops: Ops): Ops {
  return Object.fromEntries(Object.entries(recorded(ops)).filter(([op]) => !op.startsWith('__')));
}

function recorded(ops: Ops): Ops {
  const known = Object.entries(ops).filter(([op]) => probedOps.has(op));
  const rows = known.map(([op, truth]) => [op, asRecorded(op, truth)] as const);
  return Object.fromEntries(rows.filter(([, { calls }]) => calls > 0));
}

/** A query that finds work not done yet is no row. */
function asRecorded(op: string, truth: OpTruth): OpTruth {
  if (!op.endsWith('Query')) return truth;
  const { [NOT_READY]: unfinished = 0, ...errors } = truth.errors;
  return { ...truth, calls: truth.calls - unfinished, errors };
}

/** Queries of a truth that find work not done yet: calls the pack leaves out. */
export function unfinishedQueries(ops: Ops): number {
  const queries = Object.entries(ops).filter(([op]) => probedOps.has(op) && op.endsWith('Query'));
  return queries.reduce((sum, [, { errors }]) => sum + (errors[NOT_READY] ?? 0), 0);
}

/** cudaErrorNotReady. */
const NOT_READY = '600';
/** Calls of the program itself: compilers make those whose names begin with two underscores. */
export const MADE_BY_PROGRAM = "NOT starts_with(op::VARCHAR, '__')";

/** What a capture says about the calls that returned, in the shape of a truth. `where`: further conditions. */
export async function opsIn(path: string, where = 'true'): Promise<Ops> {
  const rows = await query(
    path,
    `SELECT op::VARCHAR AS op, count(*)::DOUBLE AS calls, coalesce(sum(bytes), 0)::DOUBLE AS bytes,
            coalesce(sum(bytes) FILTER (status = 'ok'), 0)::DOUBLE AS ok_bytes
     FROM cuda_events WHERE status IN ('ok', 'error') AND ${MADE_BY_PROGRAM} AND ${where} GROUP BY ALL`,
  );
  const failures = await query(
    path,
    `SELECT op::VARCHAR AS op, return_code::VARCHAR AS code, count(*)::DOUBLE AS calls
     FROM cuda_events WHERE status = 'error' AND ${MADE_BY_PROGRAM} AND ${where} GROUP BY ALL`,
  );
  const ops: Record<string, OpTruth> = {};
  for (const { op, calls, bytes, ok_bytes } of rows) {
    const errors = failures.filter((failure) => failure.op === op);
    ops[op as string] = {
      calls: calls as number,
      bytes: bytes as number,
      ok_bytes: ok_bytes as number,
      errors: Object.fromEntries(errors.map((failure) => [failure.code, failure.calls])) as Record<
        string,
        number
      >,
    };
  }
  return ops;
}

/** Rows of a capture by status. */
export async function statuses(path: string): Promise<Record<string, number>> {
  const rows = await query(
    path,
    `SELECT status::VARCHAR AS status, count(*)::DOUBLE AS rows FROM cuda_events WHERE ${MADE_BY_PROGRAM}
     GROUP BY ALL ORDER BY status`,
  );
  return Object.fromEntries(rows.map(({ status, rows: count }) => [status, count])) as Record<string, number>;
}

/**
 * Checks what holds for every completed capture: the accounting of every probe against the rows that are there,
 * no WAL left, nobody else may read it.
 */
export async function expectComplete(path: string): Promise<void> {
  expect(existsSync(`${path}.wal`)).toBe(false);
  await expectBalanced(path);
}

/** The same of a capture whose WAL could not be folded in, for want of space. */
export async function expectBalanced(path: string): Promise<void> {
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const wrong = await query(
    path,
    `SELECT p.op, a.*, count(e.probe_id) AS found
     FROM probe_accounting a JOIN probes p USING (probe_id) LEFT JOIN events e USING (probe_id)
     GROUP BY ALL
     HAVING found <> a.rows OR NOT a.balanced
         OR a.hits <> a.rows + filtered + sampled + lost_ring_full + lost_too_deep + lost_no_memory + lost_not_written`,
  );
  expect(wrong).toEqual([]);
  const { accounted, events, attached, balanced, unended } = await one(
    path,
    `SELECT (SELECT count(*) FROM probe_accounting) AS accounted, (SELECT count(*) FROM probes WHERE state = 'attached') AS attached,
            (SELECT coalesce(sum(rows), 0) FROM probe_accounting) = (SELECT count(*) FROM events) AS events,
            (SELECT accounting_balanced FROM capture) AS balanced,
            (SELECT count(*) FROM capture WHERE ended_at IS NULL OR end_reason = 'cut-off') AS unended`,
  );
  expect({ accounted, events, balanced, unended }).toEqual({
    accounted: attached,
    events: true,
    balanced: true,
    unended: 0n,
  });
}

/** Sums over all probes of a capture's accounting. */
export async function accounting(path: string): Promise<Record<string, number>> {
  const row = await one(
    path,
    `SELECT sum(hits)::DOUBLE AS hits, sum(rows)::DOUBLE AS rows, sum(filtered)::DOUBLE AS filtered,
            sum(lost_ring_full)::DOUBLE AS lost_ring_full, sum(lost_too_deep)::DOUBLE AS lost_too_deep,
            sum(lost_no_memory)::DOUBLE AS lost_no_memory, sum(lost_not_written)::DOUBLE AS lost_not_written,
            sum(orphan_returns)::DOUBLE AS orphan_returns, sum(read_faults)::DOUBLE AS read_faults
     FROM probe_accounting`,
  );
  return row as Record<string, number>;
}
