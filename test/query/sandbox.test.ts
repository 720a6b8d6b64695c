import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { Budget } from '../../src/query/budget.js';
import { execute } from '../../src/query/execute.js';
import { type OpenCapture, openCapture } from '../../src/query/open.js';
import { buildCapture } from '../support/capture-builder.js';
import { ATTACKS, attacks } from './attacks.js';
import { failure, fingerprint, scratchDir, toJson } from './helpers.js';

const dir = join(scratchDir(), 'jail');
const path = join(dir, 'run.duckdb');
/** A second capture, for several at once. */
const other = join(dir, 'other.duckdb');

const HARMLESS = [
  'SELECT 1',
  'select 1;',
  '  -- why\n /* not */ SELECT 1',
  '(SELECT 1) UNION ALL (SELECT 2)',
  'WITH a AS (SELECT 1 AS x) SELECT * FROM a',
  'FROM cuda_events',
  'FROM cuda_events SELECT op',
  'VALUES (1), (2)',
  'TABLE capture',
  'DESCRIBE cuda_events',
  'SHOW TABLES',
  'SUMMARIZE cuda_events',
  'EXPLAIN SELECT 1',
  'EXPLAIN ANALYZE SELECT count(*) FROM cuda_events',
  'EXPLAIN (FORMAT json) SELECT 1',
  'EXPLAIN (ANALYZE, FORMAT json) SELECT 1',
  "PIVOT cuda_events ON op IN ('cudaMalloc') USING count(*)",
  'SELECT comment FROM duckdb_columns()',
] as const;

describe.each([
  ['without a file system', undefined, false],
  ['with --spill', '100MB', false],
  ['several captures as one', undefined, true],
] as const)('%s', (_, spill, isMany) => {
  let capture: OpenCapture;
  let budget: Budget;
  let before: Record<string, string>;

  beforeAll(async () => {
    mkdirSync(dir, { recursive: true });
    for (const file of [path, other]) rmSync(file, { force: true });
    if (isMany)
      await buildCapture(other, { capture: { capture_id: '00000000-0000-4000-8000-000000000002' } });
    await buildCapture(path, { cudaEvents: [{ op: 'cudaMalloc', bytes: 1 }] });
    writeFileSync(join(dir, 'secret.csv'), 'a,b\n1,2\n');
    before = fingerprint(dir);
    capture = await openCapture(isMany ? [path, other] : path, { spill });
    budget = new Budget(capture.connection, 0);
  });
  afterAll(() => {
    budget.dispose();
    capture.close();
  });

  /** The directory for spilling, as a statement can find it out. */
  async function spillDirectory(): Promise<string> {
    const { rows } = await execute(capture, "SELECT current_setting('temp_directory') AS dir", budget).then(
      toJson,
    );
    return String(rows[0]?.dir);
  }

  test.each(attacks('refused', 'PATH', 'DIR', 'TMP'))('refused, and no file changes: %s', async (attack) => {
    const tmp = await spillDirectory();
    const statement = attack.replaceAll('PATH', path).replaceAll('DIR', dir).replaceAll('TMP', tmp);
    const error = await failure(execute(capture, statement, budget).then(toJson));
    expect(error.exitCode).toBe(EXIT.sql);
    expect(fingerprint(dir)).toEqual(before);
  });

  test.each(attacks('nothing', path, dir, ''))('nothing to see or change: %s', async (attack) => {
    const result = await execute(capture, attack, budget).then(toJson);
    // Several captures are joined in a database in memory, which no statement that may run can write to.
    const joined = (row: Record<string, unknown>): boolean => isMany && row.database_name === 'memory';
    expect(result.rows.filter((row) => !joined(row))).toEqual([]);
    expect(fingerprint(dir)).toEqual(before);
  });

  test.each(HARMLESS)('allowed: %s', async (statement) => {
    const result = await execute(capture, statement, budget).then(toJson);
    expect(result.rows.length).toBeGreaterThan(0);
    expect(fingerprint(dir)).toEqual(before);
  });

  test('the refusal says what is allowed instead', async () => {
    const copy = await failure(execute(capture, `COPY capture TO '${dir}/x.csv'`, budget));
    expect(copy.message).toMatch(/COPY statements are not allowed/);
    expect(copy.expected).toContain('SELECT');
    expect(copy.next).toContain('--output');
    const two = await failure(execute(capture, 'SELECT 1; SELECT 2', budget));
    expect(two.message).toContain('2 statements');
    const pivot = await failure(execute(capture, 'PIVOT cuda_events ON op USING count(*)', budget));
    expect(pivot.message).toContain('IN (...)');
  });

  test('after all of that the connection still answers', async () => {
    const { rows } = await execute(capture, 'SELECT count(*) AS n FROM cuda_events', budget).then(toJson);
    expect(rows).toEqual([{ n: 1 }]);
  });
});

test('the list is long enough to be called one', () => {
  expect(ATTACKS.flatMap(({ statements }) => statements).length).toBeGreaterThanOrEqual(60);
});

test('the directory for spilling is private, and gone afterwards', async () => {
  const capture = await openCapture(path, { spill: '100MB', memoryLimit: '50MB' });
  const budget = new Budget(capture.connection, 0);
  const [[tmp]] = (
    await capture.connection.runAndReadAll("SELECT current_setting('temp_directory')")
  ).getRows() as [[string]];
  expect(statSync(tmp).mode & 0o777).toBe(0o700);
  const { rows } = await execute(
    capture,
    'SELECT count(DISTINCT s) AS n FROM (SELECT hash(range) AS s FROM range(2000000))',
    budget,
  ).then(toJson);
  expect(rows).toEqual([{ n: 2_000_000 }]);
  budget.dispose();
  capture.close();
  expect(existsSync(tmp)).toBe(false);
});
