import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventColumns, readCaptureSchema } from '../../src/capture/schema.js';
import { EXIT } from '../../src/errors.js';
import { keyOf } from '../../src/merge/keys.js';
import { mergeCaptures } from '../../src/merge/merge.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { failure, fingerprint, named, scratchDir, sql } from '../query/helpers.js';
import { buildCapture, type CaptureRows, type Row } from '../support/capture-builder.js';
import { buildCli, type Cli } from '../support/cli.js';

const dir = scratchDir();
const BOOT_A = 'aaaaaaaa-0000-4000-8000-000000000000';
const BOOT_B = 'bbbbbbbb-0000-4000-8000-000000000000';
const id = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
const S = 1_000_000_000;
let count = 0;

async function capture(rows: CaptureRows): Promise<string> {
  count += 1;
  const path = join(dir, `input-${count}.duckdb`);
  await buildCapture(path, { ...rows, capture: { capture_id: id(count), ...rows.capture } });
  return path;
}

async function merged(...files: string[]) {
  count += 1;
  const path = join(dir, `merged-${count}.duckdb`);
  const result = await mergeCaptures(files, path, 'test');
  return { path, result };
}

const rows = async (path: string, text: string): Promise<unknown[][]> =>
  (await sql(path, text)).rows.map((row) => Object.values(row));

const nested = (op: string, length: number): Row[] =>
  Array.from({ length }, (_, index) => ({
    op,
    bytes: index,
    call_id: index + 1,
    parent_id: index % 2 === 1 ? index : null,
    probe_id: index % 2,
  }));

const node = (hostname: string, boot: string, op: string, more: CaptureRows = {}): CaptureRows => ({
  capture: { hostname, boot_id: boot },
  packs: [{}],
  libraries: [{ library_id: 0 }, { library_id: 1 }],
  probes: [
    { probe_id: 0, op, library_id: 0 },
    { probe_id: 1, op: `${op}2`, library_id: 1 },
  ],
  probeAccounting: [
    { probe_id: 0, hits: 5, rows: 5 },
    { probe_id: 1, hits: 5, rows: 5 },
  ],
  processes: [{ pid: 100, process_id: 1, started_at: -50 * S, comm: hostname }],
  threads: [{ tid: 100, pid: 100, process_id: 1 }],
  cudaEvents: nested(op, 10).map((row) => ({ ...row, process_id: 1 })),
  ...more,
});

describe('two nodes', () => {
  let a: string;
  let b: string;
  let path: string;
  let before: Record<string, string>;
  beforeAll(async () => {
    a = await capture(node('host-a', BOOT_A, 'cudaMalloc'));
    b = await capture(
      node('host-b', BOOT_B, 'cudaFree', {
        events: { nccl_events: [{ op: 'ncclAllReduce', call_id: 99, count: 7, process_id: 1 }] },
      }),
    );
    before = fingerprint(dir);
    path = (await merged(a, b)).path;
  });

  test('the inputs are not changed, the output is private', () => {
    expect(fingerprint(dir)).toMatchObject(before);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('each capture is a run with its own account', async () => {
    expect(await rows(path, 'SELECT run_id, hostname FROM capture ORDER BY run_id')).toEqual([
      [1, 'host-a'],
      [2, 'host-b'],
    ]);
    expect(
      await rows(path, 'SELECT run_id, sum(hits)::INT FROM probe_accounting GROUP BY 1 ORDER BY 1'),
    ).toEqual([
      [1, 10],
      [2, 10],
    ]);
    expect(
      await rows(path, 'SELECT run_id, event_table, count(*)::INT FROM events GROUP BY ALL ORDER BY ALL'),
    ).toEqual([
      [1, 'cuda_events', 10],
      [2, 'cuda_events', 10],
      [2, 'nccl_events', 1],
    ]);
  });

  test('keys are unique and lead to the rows of their own run', async () => {
    for (const [table, key] of [
      ['probes', 'probe_id'],
      ['libraries', 'library_id'],
      ['processes', 'process_id'],
      ['probe_accounting', 'probe_id'],
      ['events', 'call_id'],
    ]) {
      expect(await rows(path, `SELECT count(*) - count(DISTINCT ${key}) FROM ${table}`)).toEqual([[0]]);
    }
    const stray = `SELECT count(*) FROM cuda_events e JOIN probes p USING (probe_id) JOIN processes o USING (process_id)
                   LEFT JOIN cuda_events c ON c.call_id = e.parent_id
                   WHERE p.run_id <> e.run_id OR o.run_id <> e.run_id OR c.run_id <> e.run_id OR NOT starts_with(p.op, e.op::VARCHAR)`;
    expect(await rows(path, stray)).toEqual([[0]]);
    expect(
      await rows(path, 'SELECT count(*) FROM cuda_events e JOIN cuda_events p ON p.call_id = e.parent_id'),
    ).toEqual([[10]]);
    expect(
      await rows(path, 'SELECT count(*) FROM probes p JOIN libraries l USING (library_id, run_id)'),
    ).toEqual([[4]]);
  });

  test('named queries answer, with the sums of both', async () => {
    const calls = async (file: string) =>
      (await named(file, 'cuda-api-sum')).rows.map(({ op, calls }) => [op, calls]).sort();
    expect(await calls(path)).toEqual([...(await calls(a)), ...(await calls(b))].sort());
    expect((await named(path, 'what-was-lost')).rows.length).toBeGreaterThan(0);
  });

  test('a merged file can be merged further', async () => {
    const c = await capture(node('host-c', BOOT_B, 'cudaMemset'));
    const again = await merged(path, c);
    expect(await rows(again.path, 'SELECT run_id, hostname FROM capture ORDER BY run_id')).toEqual([
      [1, 'host-a'],
      [2, 'host-b'],
      [3, 'host-c'],
    ]);
    expect(await rows(again.path, 'SELECT count(*)::INT, count(DISTINCT call_id)::INT FROM events')).toEqual([
      [31, 31],
    ]);
    expect(again.result.runs.map(({ clock }) => clock?.method ?? null)).toEqual([null, null, 'none']);
    expect(await rows(again.path, 'SELECT run_id FROM clock_alignment ORDER BY 1')).toEqual([[1], [2], [3]]);
  });
});

describe('processes', () => {
  test('one process that two runs recorded is one incarnation; a pid used again, or on another boot, is not', async () => {
    const seen = (boot: string, started: number | null) =>
      capture({
        capture: { boot_id: boot },
        processes: [{ pid: 100, process_id: 1, started_at: started }],
        cudaEvents: [{ op: 'x', process_id: 1 }],
      });
    const files = [
      await seen(BOOT_A, 5 * S),
      await seen(BOOT_A, 5 * S + 40_000_000),
      await seen(BOOT_A, 900 * S),
      await seen(BOOT_B, 5 * S),
      await seen(BOOT_A, null),
    ];
    const { path, result } = await merged(...files);
    expect(await rows(path, 'SELECT run_id, incarnation_id FROM processes ORDER BY run_id')).toEqual([
      [1, 1],
      [2, 1],
      [3, expect.any(Number)],
      [4, expect.any(Number)],
      [5, expect.any(Number)],
    ]);
    expect(result).toMatchObject({ processes: 4, shared_processes: 1 });
  });
});

describe('clocks', () => {
  const anchored = (boot: string, anchors: readonly (readonly [number, number])[]) =>
    capture({
      capture: { boot_id: boot },
      clockAnchors: anchors.map(([monotonic_ns, wall_time]) => ({
        monotonic_ns,
        wall_time,
        uncertainty_ns: 50,
      })),
      processes: [{ pid: 100 }],
      cudaEvents: [{ op: 'x', start_time: 0 }],
    });

  test('runs of one boot get one offset, so that equal monotonic times are equal; the error is stored', async () => {
    // The wall clock was set 3000 ns ahead between the runs, and a little more within the second.
    const { path } = await merged(
      await anchored(BOOT_A, [
        [1000, 1000],
        [2000, 2000],
      ]),
      await anchored(BOOT_A, [
        [5000, 8000],
        [6000, 9010],
      ]),
    );
    expect(
      await rows(
        path,
        'SELECT run_id, reference_run_id, method, correction_ns, error_ns FROM clock_alignment ORDER BY 1',
      ),
    ).toEqual([
      [1, 1, 'same-boot', 0, 3060],
      [2, 1, 'same-boot', -3000, 3060],
    ]);
    expect(
      await rows(
        path,
        "SELECT run_id, epoch_ns(start_time) - epoch_ns(TIMESTAMP_NS '2026-01-01') FROM cuda_events ORDER BY 1",
      ),
    ).toEqual([
      [1, 0],
      [2, -3000],
    ]);
  });

  test('a run alone gets the median of its own anchors; one without anchors stays', async () => {
    const { path } = await merged(
      await anchored(BOOT_A, [
        [0, 0],
        [1000, 1900],
        [2000, 3000],
      ]),
      await capture({ capture: { boot_id: BOOT_B }, cudaEvents: [{ op: 'x' }] }),
    );
    expect(
      await rows(path, 'SELECT run_id, method, correction_ns, error_ns FROM clock_alignment ORDER BY 1'),
    ).toEqual([
      [1, 'wall-clock', 900, 950],
      [2, 'none', 0, null],
    ]);
  });
});

describe('refused, and no file is left', () => {
  const refusal = async (...files: string[]) => {
    const out = join(dir, 'refused.duckdb');
    const error = await failure(mergeCaptures(files, out, 'test'));
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
    return error;
  };

  test('one capture twice, also under another name or within a merged file', async () => {
    const a = await capture(node('a', BOOT_A, 'x'));
    const b = await capture(node('b', BOOT_B, 'y'));
    const copy = join(dir, 'copy.duckdb');
    copyFileSync(a, copy);
    expect(await refusal(a, a)).toMatchObject({ code: 'capture-repeated', exitCode: EXIT.badCapture });
    expect((await refusal(a, b, copy)).message).toContain(copy);
    expect(await refusal((await merged(a, b)).path, b)).toMatchObject({ code: 'capture-repeated' });
  });

  test('an older schema, with the way out', async () => {
    const error = await refusal(await capture({}), join(PACKAGE_ROOT, 'test/fixtures/demo-v1.duckdb'));
    expect(error).toMatchObject({ code: 'schema-differs', exitCode: EXIT.badCapture });
    expect(error.next).toContain('ingero migrate');
  });

  test('damaged, locked, missing, no capture; an output that exists or cannot be made', async () => {
    const a = await capture(node('a', BOOT_A, 'x'));
    const cut = join(dir, 'cut.duckdb');
    writeFileSync(cut, readFileSync(a).subarray(0, 40_000));
    expect(await refusal(a, cut)).toMatchObject({ code: 'capture-damaged' });
    expect(await refusal(a, join(dir, 'none.duckdb'))).toMatchObject({ code: 'capture-missing' });
    expect(await refusal(a, join(PACKAGE_ROOT, 'package.json'))).toMatchObject({ code: 'not-a-capture' });
    expect(await failure(mergeCaptures([a, a], a, 'test'))).toMatchObject({ code: 'output-exists' });
    expect(await failure(mergeCaptures([a], join(dir, 'no', 'x.duckdb'), 'test'))).toMatchObject({
      code: 'output-unwritable',
    });
  });

  test('a table of one name with other columns', async () => {
    const site = async (type: string): Promise<string> => {
      const path = await capture(node('a', BOOT_A, 'x'));
      const instance = await DuckDBInstance.create(path);
      const connection = await instance.connect();
      await connection.run(
        `CREATE TABLE store.mine (start_time TIMESTAMP_NS, tid INTEGER, call_id UBIGINT, parent_id UBIGINT, args_id UINTEGER)`,
      );
      await connection.run(
        `CREATE TABLE store.mine_args (args_id UINTEGER, op ENUM('f'), run_id INTEGER, value ${type})`,
      );
      connection.closeSync();
      instance.closeSync();
      return path;
    };
    expect(await refusal(await site('INTEGER'), await site('VARCHAR'))).toMatchObject({
      code: 'table-conflict',
    });
    expect((await merged(await site('INTEGER'), await site('INTEGER'))).result.events).toBe(20);
  });
});

test('names that try to be SQL or terminal codes stay names', async () => {
  const evil = `x'; DROP TABLE capture; --\u001b[31m"`;
  const path = join(dir, `in "quotes' ; .duckdb`);
  await buildCapture(path, {
    capture: { hostname: evil, capture_id: id(900) },
    cudaEvents: [{ op: evil }],
  });
  const { path: out } = await merged(path, await capture(node('b', BOOT_B, 'y')));
  expect(await rows(out, 'SELECT hostname FROM capture WHERE run_id = 1')).toEqual([[evil]]);
  expect(await rows(out, 'SELECT op FROM cuda_events WHERE run_id = 1')).toEqual([[evil]]);
});

test('every column that refers to a row by a number of its file is renumbered', () => {
  const schema = readCaptureSchema();
  const all = [
    ...Object.entries(schema.tables).flatMap(([table, { columns }]) =>
      columns.map((column) => ({ table, column })),
    ),
    ...Object.keys(schema.event_tables).flatMap((table) =>
      eventColumns(schema, table).map((column) => ({ table, column })),
    ),
  ];
  const ids = all.filter(
    ({ column }) => /_id$/.test(column.name) && keyOf(column.name, column) === undefined,
  );
  const left = ids
    .filter(({ table, column }) => keyOf(table, column) === undefined)
    .map(({ column }) => column.name);
  // Identities of the world outside the file.
  expect([...new Set(left)].sort()).toEqual([
    'boot_id',
    'build_id',
    'capture_id',
    'cgroup_id',
    'comm_id',
    'container_id',
    'key_id',
    'session_id',
  ]);
});

describe('the command', () => {
  let cli: Cli;
  beforeAll(async () => {
    cli = await buildCli();
  });
  afterAll(() => cli.remove());

  test('says what it did, takes a pattern, refuses a single capture', async () => {
    const [a, b] = [join(dir, 'glob-1.duckdb'), join(dir, 'glob-2.duckdb')];
    copyFileSync(await capture(node('host-a', BOOT_A, 'x')), a);
    copyFileSync(await capture(node('host-b', BOOT_A, 'y')), b);
    const out = join(dir, 'by-command.duckdb');
    const { code, stdout, stderr } = await cli.run(['merge', join(dir, 'glob-?.duckdb'), '--out', out]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain('2 runs, 20 events, 1 processes (1 recorded by several runs)');
    expect((await cli.run(['merge', a, '--out', `${out}2`])).code).toBe(EXIT.usage);
    expect((await cli.run(['merge', join(dir, 'nothing-*'), '--out', `${out}2`])).stderr).toContain(
      'No file matches',
    );
  });

  test('interrupted, it leaves nothing', async () => {
    const big = join(dir, 'big.duckdb');
    await buildCapture(big, { capture: { capture_id: id(990) }, cudaEvents: [{ op: 'x' }] });
    const instance = await DuckDBInstance.create(big);
    const connection = await instance.connect();
    await connection.run(
      `INSERT INTO store.cuda_events (start_time, duration_ns, tid, call_id, args_id)
       SELECT make_timestamp_ns(i), hash(i) % 1000000, 1, i + 10, 0 FROM range(6000000) t(i)`,
    );
    connection.closeSync();
    instance.closeSync();
    const out = join(dir, 'interrupted.duckdb');
    const child = spawn(process.execPath, [cli.bin, 'merge', big, await capture({}), '--out', out]);
    const ended = new Promise<number | null>((done) => child.on('close', done));
    const partial = (): boolean => readdirSync(dir).some((name) => name.startsWith('.interrupted'));
    while (!partial() && child.exitCode === null) await sleep(10);
    await sleep(150);
    child.kill('SIGINT');
    expect(await ended).toBe(EXIT.interrupted);
    expect(readdirSync(dir).filter((name) => name.startsWith('.') || name.startsWith('interrupted'))).toEqual(
      [],
    );
  });
});
