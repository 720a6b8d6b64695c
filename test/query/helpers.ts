import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { IngeroError } from '../../src/errors.js';
import { Budget } from '../../src/query/budget.js';
import { execute, type QueryResult } from '../../src/query/execute.js';
import { readLibrary } from '../../src/query/library.js';
import { type OpenCapture, type OpenOptions, openCapture } from '../../src/query/open.js';
import { resolveParams } from '../../src/query/params.js';
import { runNamed } from '../../src/query/run.js';
import { type JsonResult, limitRows, toJsonResult } from '../../src/query/write.js';
import { buildCapture, type CaptureRows } from '../support/capture-builder.js';

/** A directory that is removed when the test file ends. */
export function scratchDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'ingero-query-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** Names and digests of all files in a directory. */
export function fingerprint(dir: string): Record<string, string> {
  const files = readdirSync(dir, { withFileTypes: true }).filter((entry) => !entry.isDirectory());
  return Object.fromEntries(files.map(({ name }) => [name, sha256(join(dir, name))]).sort());
}

/** Opens a capture for the time of `use`, with a budget. */
export async function withCapture<T>(
  path: string,
  use: (capture: OpenCapture, budget: Budget) => Promise<T>,
  options: OpenOptions & { timeoutMs?: number } = {},
): Promise<T> {
  const capture = await openCapture(path, options);
  const budget = new Budget(capture.connection, options.timeoutMs ?? 0);
  try {
    return await use(capture, budget);
  } finally {
    budget.dispose();
    capture.close();
  }
}

export const toJson = (result: QueryResult): Promise<JsonResult> => toJsonResult(limitRows(result, 0));

/** Runs SQL on a capture file. */
export function sql(path: string, text: string, options: OpenOptions & { timeoutMs?: number } = {}) {
  return withCapture(path, async (capture, budget) => toJson(await execute(capture, text, budget)), options);
}

let shipped: ReturnType<typeof readLibrary> | undefined;

export function library(): ReturnType<typeof readLibrary> {
  shipped ??= readLibrary();
  return shipped;
}

/** Runs a named query on a capture file. */
export function named(path: string, name: string, params: readonly string[] = []): Promise<JsonResult> {
  const query = library().get(name);
  if (query === undefined) throw new Error(`no query ${name}`);
  return withCapture(path, async (capture, budget) =>
    toJson(await runNamed(capture, query, resolveParams(query, params), budget)),
  );
}

/** Builds a capture, runs a named query on it and returns the rows as arrays. */
export async function rowsOf(
  dir: string,
  name: string,
  rows: CaptureRows,
  params: readonly string[] = [],
): Promise<unknown[][]> {
  const path = join(mkdtempSync(join(dir, 'capture-')), 'run.duckdb');
  await buildCapture(path, rows);
  return (await named(path, name, params)).rows.map((row) => Object.values(row));
}

/** The IngeroError a promise fails with. */
export async function failure(promise: Promise<unknown>): Promise<IngeroError> {
  const error = await promise.then(
    () => new Error('nothing failed'),
    (reason: unknown) => reason,
  );
  if (error instanceof IngeroError) return error;
  throw error;
}
