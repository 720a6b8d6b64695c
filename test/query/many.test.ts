import { copyFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { mergeCaptures } from '../../src/merge/merge.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { Budget } from '../../src/query/budget.js';
import { execute } from '../../src/query/execute.js';
import { expandFiles, splitFiles } from '../../src/query/files.js';
import { readLibrary } from '../../src/query/library.js';
import { openCapture } from '../../src/query/open.js';
import { resolveParams } from '../../src/query/params.js';
import { runNamed } from '../../src/query/run.js';
import { buildCapture, type CaptureRows } from '../support/capture-builder.js';
import { buildCli, type Cli } from '../support/cli.js';
import { failure, fingerprint, scratchDir, toJson } from './helpers.js';

const dir = scratchDir();
const a = join(dir, 'node-a.duckdb');
const b = join(dir, 'node-b.duckdb');
const merged = join(dir, 'merged.duckdb');
const OLD = join(PACKAGE_ROOT, 'test/fixtures/demo-v1.duckdb');

const node = (number: number, op: string, events: CaptureRows['events'] = {}): CaptureRows => ({
  capture: { capture_id: `00000000-0000-4000-8000-00000000000${number}`, hostname: `host-${number}` },
  packs: [{}],
  libraries: [{}],
  probes: [{ op }],
  probeAccounting: [{ hits: 20, rows: 20 }],
  processes: [{ pid: 100, comm: op }],
  threads: [{ tid: 100, pid: 100 }],
  cudaEvents: Array.from({ length: 20 }, (_, index) => ({
    op,
    bytes: 1 << index,
    parent_id: index % 3 === 1 ? index : null,
    call_id: index + 1,
  })),
  events,
});

beforeAll(async () => {
  await buildCapture(a, node(1, 'cudaMalloc'));
  await buildCapture(b, node(2, 'cudaFree', { nccl_events: [{ op: 'ncclAllReduce', call_id: 77 }] }));
  await mergeCaptures([a, b], merged, 'test');
});

async function ask(files: readonly string[], sql: string) {
  const capture = await openCapture(files);
  const budget = new Budget(capture.connection, 0);
  try {
    return (await toJson(await execute(capture, sql, budget))).rows;
  } finally {
    budget.dispose();
    capture.close();
  }
}

test('several captures answer like the merged one', async () => {
  for (const sql of [
    'SELECT run_id, hostname FROM capture ORDER BY run_id',
    'SELECT * FROM cuda_events ORDER BY call_id',
    'SELECT * FROM events ORDER BY call_id',
    'SELECT * EXCLUDE (incarnation_id) FROM processes ORDER BY process_id',
    'SELECT * FROM probe_accounting ORDER BY probe_id',
    'SELECT e.op, p.op AS probe, o.comm FROM cuda_events e JOIN probes p USING (probe_id) JOIN processes o USING (process_id) ORDER BY e.call_id',
    'SELECT count(*) AS n FROM events e JOIN events p ON p.call_id = e.parent_id',
    'SELECT count(*) AS n FROM stacks',
    "SELECT column_name, comment FROM duckdb_columns() WHERE database_name NOT LIKE 'capture_%' AND schema_name = 'main' AND table_name = 'cuda_events' ORDER BY 1",
  ]) {
    expect([sql, await ask([a, b], sql)]).toEqual([sql, await ask([merged], sql)]);
  }
});

test('every named query answers as on the merged capture, or says why not in the same words', async () => {
  const outcomes = async (files: readonly string[]) => {
    const capture = await openCapture(files);
    const budget = new Budget(capture.connection, 0);
    const found: Record<string, unknown> = {};
    for (const query of readLibrary().values()) {
      // These two tell the types of columns and how the file was made.
      if (['whoami', 'event-tables'].includes(query.name)) continue;
      try {
        const { rows } = await toJson(await runNamed(capture, query, resolveParams(query, []), budget));
        found[query.name] = rows.map((row) => JSON.stringify(row)).sort();
      } catch (error) {
        found[query.name] = (error as Error).message.replace(/ does not apply to .* because /, ' ');
      }
    }
    budget.dispose();
    capture.close();
    return found;
  };
  expect(await outcomes([a, b])).toEqual(await outcomes([merged]));
});

test('what is in the captures is listed once, not once per file', async () => {
  const capture = await openCapture([a, b]);
  const budget = new Budget(capture.connection, 0);
  const run = async (name: string) => {
    const query = readLibrary().get(name);
    if (query === undefined) throw new Error(name);
    return (await toJson(await runNamed(capture, query, resolveParams(query, []), budget))).rows;
  };
  const tables = await run('event-tables');
  expect(tables.map(({ event_table }) => event_table)).toEqual(['cuda_events', 'nccl_events']);
  expect(String(tables[0]?.own_columns).match(/\bstream /g)).toHaveLength(1);
  const hosts = (await run('whoami')).filter(({ field }) => field === 'hostname');
  expect(hosts.map(({ value }) => value)).toEqual(['host-1', 'host-2']);
  budget.dispose();
  capture.close();
});

test('captures of different schema versions are one as well: what is missing is filled in as a migration would', async () => {
  const rows = await ask(
    [OLD, a],
    'SELECT run_id, count(*) AS n, min(process_id = pid) AS same, min(sample_weight) AS weight FROM cuda_events GROUP BY 1 ORDER BY 1',
  );
  expect(rows).toMatchObject([
    { run_id: 1, same: true, weight: 1 },
    { run_id: 2, n: 20, same: false, weight: 1 },
  ]);
  expect(await ask([OLD, a], 'SELECT count(*) - count(DISTINCT call_id) AS n FROM events')).toEqual([
    { n: 0 },
  ]);
  const capture = await openCapture([OLD, a]);
  expect(capture.schemaVersion).toBe(1);
  capture.close();
});

test('no byte of any of them changes', async () => {
  const before = fingerprint(dir);
  await ask([a, b, merged].slice(0, 2), 'SELECT count(*) FROM events');
  expect(fingerprint(dir)).toEqual(before);
});

describe('the fence', () => {
  test("a capture's own views are not run", async () => {
    const evil = join(dir, 'evil.duckdb');
    const bait = join(dir, 'bait.txt');
    writeFileSync(bait, 'bait');
    await buildCapture(evil, node(7, 'evil'));
    const instance = await DuckDBInstance.create(evil);
    const connection = await instance.connect();
    await connection.run(
      `CREATE OR REPLACE VIEW cuda_events AS SELECT content AS op FROM read_text('${bait}')`,
    );
    connection.closeSync();
    instance.closeSync();
    expect(await ask([evil, a], 'SELECT op, count(*) AS n FROM cuda_events GROUP BY op ORDER BY op')).toEqual(
      [
        { op: 'cudaMalloc', n: 20 },
        { op: 'evil', n: 20 },
      ],
    );
    const error = await failure(ask([evil, a], 'FROM capture_1.main.cuda_events'));
    expect(error.exitCode).toBe(EXIT.sql);
    expect(error.message).not.toContain('bait');
  });

  test.each([
    'INSERT INTO capture_1.main.capture SELECT * FROM capture_1.main.capture',
    'CREATE TABLE memory.main.t AS SELECT 1',
    'DETACH capture_1',
    'USE capture_1',
    "ATTACH ':memory:' AS more",
  ])('refused: %s', async (statement) => {
    expect(await failure(ask([a, b], statement))).toMatchObject({ exitCode: EXIT.sql });
  });
});

describe('refused', () => {
  test('one of them twice, damaged, missing or no capture: named', async () => {
    const link = join(dir, 'link.duckdb');
    symlinkSync(a, link);
    expect(await failure(openCapture([a, link]))).toMatchObject({ code: 'capture-repeated' });
    const copy = join(dir, 'copy.duckdb');
    copyFileSync(a, copy);
    expect(await failure(openCapture([a, b, copy]))).toMatchObject({
      code: 'capture-repeated',
      exitCode: EXIT.badCapture,
    });
    expect((await failure(openCapture([a, join(dir, 'none')]))).message).toContain('none');
    const text = join(dir, 'text.duckdb');
    writeFileSync(text, 'text');
    expect(await failure(openCapture([a, text]))).toMatchObject({ code: 'not-a-capture' });
  });
});

describe('the command line', () => {
  let cli: Cli;
  beforeAll(async () => {
    cli = await buildCli();
  });
  afterAll(() => cli.remove());

  test('patterns stand for files, names that exist for themselves', () => {
    const odd = join(dir, 'odd*.duckdb');
    copyFileSync(a, odd);
    expect(expandFiles([odd])).toEqual([odd]);
    expect(expandFiles([join(dir, 'node-?.duckdb')])).toEqual([a, b]);
    expect(splitFiles([a, 'SELECT 1'])).toEqual({ files: [a], last: 'SELECT 1' });
    expect(splitFiles([a, b])).toEqual({ files: [a, b], last: undefined });
    expect(splitFiles([a, b, '-'])).toEqual({ files: [a, b], last: '-' });
    expect(splitFiles([a])).toEqual({ files: [a], last: undefined });
    expect(splitFiles([a, 'SELECT count(*) FROM x'])).toMatchObject({ last: 'SELECT count(*) FROM x' });
  });

  test('query and run-query take several', async () => {
    const sql = 'SELECT run_id, count(*) AS n FROM cuda_events GROUP BY 1 ORDER BY 1';
    for (const files of [[a, b], [join(dir, 'node-*.duckdb')]]) {
      const { code, stdout, stderr } = await cli.run(['query', ...files, sql, '-f', 'csv']);
      expect([code, stdout.split('\r\n'), stderr]).toEqual([0, ['run_id,n', '1,20', '2,20', ''], '']);
    }
    const { stdout } = await cli.run(['run-query', 'cuda-api-sum', a, b, '-f', 'csv']);
    expect(stdout).toMatch(/cudaMalloc/);
    expect(stdout).toMatch(/cudaFree/);
    const missing = await cli.run(['query', a, join(dir, 'gone.duckdb')], { stdin: 'SELECT 1' });
    expect([missing.code, missing.stderr]).toEqual([EXIT.badCapture, expect.stringContaining('gone.duckdb')]);
  });
});
