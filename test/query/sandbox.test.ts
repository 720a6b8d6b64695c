import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { Budget } from '../../src/query/budget.js';
import { execute } from '../../src/query/execute.js';
import { type OpenCapture, openCapture } from '../../src/query/open.js';
import { buildCapture } from '../support/capture-builder.js';
import { failure, fingerprint, scratchDir, toJson } from './helpers.js';

const dir = join(scratchDir(), 'jail');
const path = join(dir, 'run.duckdb');

/** Statements that write, read other files, load code, change settings, or reach out. PATH is the capture. */
const ATTACKS = [
  `COPY (SELECT 1) TO 'DIR/x.csv'`,
  `COPY (SELECT 1) TO 'PATH.wal'`,
  `COPY (SELECT 1) TO 'PATH.wal.recovery' (FORMAT csv)`,
  `COPY (SELECT 1) TO 'PATH.wal.checkpoint'`,
  `COPY (SELECT 1) TO 'PATH'`,
  `COPY (SELECT 1) TO '/dev/stdout'`,
  `COPY capture TO 'DIR/x.parquet' (FORMAT parquet)`,
  `COPY capture FROM '/etc/passwd'`,
  `COPY FROM DATABASE run TO memory`,
  `EXPORT DATABASE 'DIR/export'`,
  `IMPORT DATABASE 'DIR'`,
  `SELECT * FROM read_csv('/etc/passwd')`,
  `SELECT * FROM read_text('/etc/passwd')`,
  `SELECT * FROM read_blob('/etc/shadow')`,
  `SELECT * FROM read_json('/etc/passwd')`,
  `SELECT * FROM read_parquet('DIR/x.parquet')`,
  `SELECT * FROM parquet_metadata('DIR/x.parquet')`,
  `SELECT * FROM glob('/etc/*')`,
  `SELECT * FROM sniff_csv('/etc/passwd')`,
  `SELECT * FROM '/etc/passwd'`,
  `SELECT * FROM 'PATH.wal'`,
  `FROM 'https://example.invalid/x.parquet'`,
  `SELECT * FROM read_csv('https://example.invalid/x.csv')`,
  `SELECT * FROM query('COPY (SELECT 1) TO ''DIR/x.csv''')`,
  `SELECT * FROM sqlite_scan('/etc/passwd', 't')`,
  `SELECT getenv('HOME')`,
  `ATTACH 'DIR/other.duckdb'`,
  `ATTACH ':memory:' AS other`,
  `ATTACH 'DIR/old.db' (TYPE sqlite)`,
  `DETACH run`,
  `USE memory`,
  `INSTALL httpfs`,
  `INSTALL spatial FROM community`,
  `LOAD 'DIR/evil.so'`,
  `LOAD httpfs`,
  `UPDATE EXTENSIONS`,
  `CREATE SECRET s (TYPE s3)`,
  `CREATE PERSISTENT SECRET s (TYPE s3)`,
  `SET enable_external_access = true`,
  `SET disabled_filesystems = ''`,
  `SET memory_limit = '100GB'`,
  `SET temp_directory = 'DIR'`,
  `SET VARIABLE x = 1`,
  `RESET memory_limit`,
  `PRAGMA enable_profiling`,
  `PRAGMA version`,
  `PRAGMA database_list`,
  `PRAGMA log_query_path = 'DIR/log'`,
  `CALL enable_logging(storage = 'file', storage_config = {'path': 'DIR/log'})`,
  `CALL pragma_version()`,
  `CHECKPOINT`,
  `FORCE CHECKPOINT`,
  `VACUUM`,
  `ANALYZE`,
  `CREATE TABLE t (a INTEGER)`,
  `CREATE TEMP TABLE t AS SELECT 1`,
  `CREATE MACRO m() AS 1`,
  `CREATE VIEW v AS SELECT 1`,
  `INSERT INTO capture SELECT * FROM capture`,
  `UPDATE capture SET hostname = 'x'`,
  `DELETE FROM capture`,
  `MERGE INTO capture USING capture c ON true WHEN MATCHED THEN DELETE`,
  `TRUNCATE capture`,
  `DROP TABLE capture`,
  `ALTER TABLE capture RENAME TO c`,
  `COMMENT ON TABLE capture IS 'x'`,
  `BEGIN`,
  `COMMIT`,
  `PREPARE p AS SELECT 1`,
  `EXECUTE p`,
  `DEALLOCATE p`,
  `SELECT 1; SELECT 2`,
  `SELECT 1; COPY (SELECT 1) TO 'DIR/x.csv'`,
  `/* SELECT */ COPY (SELECT 1) TO 'DIR/x.csv'`,
  `EXPLAIN ANALYZE COPY (SELECT 1) TO 'DIR/x.csv'`,
  `EXPLAIN ANALYZE CREATE TEMP TABLE t AS SELECT 1`,
  `EXPLAIN (FORMAT json) DELETE FROM capture`,
  `EXPLAIN ANALYZE SET memory_limit = '100GB'`,
  `WITH c AS (SELECT 1) INSERT INTO capture SELECT * FROM capture`,
  ``,
  `-- nothing`,
  `;`,
] as const;

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

let capture: OpenCapture;
let budget: Budget;
let before: Record<string, string>;

beforeAll(async () => {
  mkdirSync(dir);
  await buildCapture(path, { cudaEvents: [{ op: 'cudaMalloc', bytes: 1 }] });
  before = fingerprint(dir);
  capture = await openCapture(path);
  budget = new Budget(capture.connection, 0);
});
afterAll(() => {
  budget.dispose();
  capture.close();
});

describe('refused, and no file is left or changed', () => {
  test.each(ATTACKS)('%s', async (attack) => {
    const statement = attack.replaceAll('PATH', path).replaceAll('DIR', dir);
    const error = await failure(execute(capture, statement, budget).then(toJson));
    expect(error.exitCode).toBe(EXIT.sql);
    expect(fingerprint(dir)).toEqual(before);
  });
});

describe('allowed', () => {
  test.each(HARMLESS)('%s', async (statement) => {
    const result = await execute(capture, statement, budget).then(toJson);
    expect(result.rows.length).toBeGreaterThan(0);
    expect(fingerprint(dir)).toEqual(before);
  });
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
  expect((await execute(capture, 'SELECT count(*) AS n FROM cuda_events', budget).then(toJson)).rows).toEqual(
    [{ n: 1 }],
  );
});
