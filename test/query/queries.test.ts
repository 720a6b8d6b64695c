import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { beforeAll, describe, expect, test } from 'vitest';
import { SCHEMA_VERSION } from '../../src/capture/version.js';
import { EXIT } from '../../src/errors.js';
import { readLibrary } from '../../src/query/library.js';
import { buildCapture } from '../support/capture-builder.js';
import { failure, named, rowsOf, scratchDir } from './helpers.js';

const dir = scratchDir();
const library = readLibrary();
const names = [...library.keys()];

const at = (ms: number): string => `2026-01-01T00:00:00.${String(ms).padStart(3, '0')}000000Z`;
const MS = 1_000_000;

/** Drops tables and views of a capture's main schema. */
async function dropTables(path: string, which: (table: string) => boolean): Promise<void> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  const tables = await connection.runAndReadAll(
    "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'main'",
  );
  for (const [table, type] of tables.getRows()) {
    if (which(String(table))) await connection.run(`DROP ${type === 'VIEW' ? 'VIEW' : 'TABLE'} ${table}`);
  }
  connection.closeSync();
  instance.closeSync();
}

describe('every query', () => {
  const empty = join(dir, 'empty.duckdb');
  beforeAll(() => buildCapture(empty));

  test.each(names)('%s runs on an empty capture, and its columns are those it documents', async (name) => {
    const result = await named(empty, name);
    const query = library.get(name);
    expect(result.columns.map((column) => column.name)).toEqual(query?.columns.map((column) => column.name));
    for (const column of result.columns) expect(column.description).toBeTruthy();
  });

  test.each(names)('%s does not apply where a table it reads is missing, and says so', async (name) => {
    for (const table of (library.get(name)?.requires.tables ?? []).filter(
      (required) => required !== 'capture',
    )) {
      const path = join(dir, `${name}-without-${table}.duckdb`);
      copyFileSync(empty, path);
      await dropTables(path, (candidate) => candidate === table);
      const error = await failure(named(path, name));
      expect(error).toMatchObject({ code: 'query-does-not-apply', exitCode: EXIT.badCapture });
      expect(error.message).toContain(`no table ${table}`);
    }
  });

  test.each(names)('%s reads no table but those it requires', async (name) => {
    const required = library.get(name)?.requires.tables ?? [];
    // Opening needs the capture row, and the view events is made of cuda_events.
    const kept = ['capture', ...required, ...(required.includes('events') ? ['cuda_events'] : [])];
    const path = join(dir, `${name}-only.duckdb`);
    copyFileSync(empty, path);
    await dropTables(path, (table) => !kept.includes(table));
    expect((await named(path, name)).columns.length).toBeGreaterThan(0);
  });
});

test('every query answers on a million rows within the default memory and a few seconds each', async () => {
  const path = join(dir, 'million.duckdb');
  const ops = [
    'cudaLaunchKernel',
    'cudaMalloc',
    'cudaFree',
    'cudaMemcpyAsync',
    'cudaMemcpy',
    'cudaStreamSynchronize',
  ];
  await buildCapture(path, {
    cudaEvents: ops.map((op, index) => ({ op, ptr: 4096, bytes: 1, status: index === 4 ? 'error' : 'ok' })),
  });
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  await connection.run(
    `INSERT INTO store.cuda_events
     SELECT s.* REPLACE (
       s.start_time + to_microseconds(r) AS start_time, 500 + r % 1000 AS duration_ns, r + 100 AS call_id,
       CASE WHEN r % 2 = 1 THEN r + 99 END AS parent_id, r % 4096 AS bytes)
     FROM range(1_000_000) t (r) JOIN store.cuda_events s ON s.args_id = r % 6`,
  );
  connection.closeSync();
  instance.closeSync();
  for (const name of names) {
    const started = performance.now();
    await named(path, name);
    expect(performance.now() - started, name).toBeLessThan(10_000);
  }
}, 60_000);

test('cuda-api-sum: durations by operation, calls that did not return add none', async () => {
  const rows = await rowsOf(
    dir,
    'cuda-api-sum',
    {
      cudaEvents: [
        ...[10, 20, 30, 40].map((duration_ns) => ({ op: 'cudaMalloc', duration_ns })),
        { op: 'cudaFree', duration_ns: 300, status: 'error' },
        { op: 'cudaDeviceSynchronize', duration_ns: null, status: 'in_flight' },
        { op: 'cudaFree', duration_ns: 999, pid: 200 },
      ],
    },
    ['pid=100'],
  );
  expect(rows).toEqual([
    ['cudaFree', 1, 1, 0, 300, 75, 300, 300, 300, 300, 300],
    ['cudaMalloc', 4, 0, 0, 100, 25, 25, 20, 40, 40, 40],
    ['cudaDeviceSynchronize', 1, 0, 1, 0, 0, null, null, null, null, null],
  ]);
});

test('slow-memcpy: slowest first, rate only of copies that return when done', async () => {
  const events = [
    { op: 'cudaMemcpy', kind: 'h2d', bytes: 1_000_000, duration_ns: 1 * MS, stream: 0 },
    { op: 'cudaMemcpyAsync', kind: 'd2h', bytes: 5_000_000, duration_ns: 2 * MS, stream: 7, tid: 101 },
    {
      op: 'cudaMemcpy2D',
      kind: 'd2h',
      bytes: 10,
      duration_ns: 3 * MS,
      status: 'error',
      error: 'cudaErrorInvalidValue',
    },
    { op: 'cudaMemcpy', kind: 'h2d', bytes: 8, duration_ns: 99_999 },
    { op: 'cudaMemset', bytes: 8, duration_ns: 50 * MS },
  ];
  expect(await rowsOf(dir, 'slow-memcpy', { cudaEvents: events })).toEqual([
    [at(2), 'cudaMemcpy2D', 'd2h', 10, 3 * MS, null, null, 'error', 100, 100, 3],
    [at(1), 'cudaMemcpyAsync', 'd2h', 5_000_000, 2 * MS, null, 7, 'ok', 100, 101, 2],
    [at(0), 'cudaMemcpy', 'h2d', 1_000_000, 1 * MS, 1, 0, 'ok', 100, 100, 1],
  ]);
  const all = await rowsOf(dir, 'slow-memcpy', { cudaEvents: events }, ['min_ms=0', 'limit=1000']);
  expect(all.length).toBe(4);
  expect(await rowsOf(dir, 'slow-memcpy', { cudaEvents: events }, ['limit=0'])).toEqual([]);
});

describe('alloc-balance', () => {
  const COLUMNS = library.get('alloc-balance')?.columns.map((column) => column.name) ?? [];
  const balance = async (cudaEvents: Record<string, string | number | null>[], params: string[] = []) =>
    (
      await rowsOf(dir, 'alloc-balance', { cudaEvents, processes: [{ pid: 100, comm: 'train' }] }, params)
    ).map((row) => Object.fromEntries(COLUMNS.map((column, index) => [column, row[index]])));

  test('a failed free frees nothing, and a failed allocation allocates nothing', async () => {
    expect(
      await balance([
        { op: 'cudaMalloc', ptr: 0x1000, bytes: 100 },
        { op: 'cudaFree', ptr: 0x1000, status: 'error', error: 'cudaErrorInvalidValue' },
        { op: 'cudaMalloc', ptr: 0x2000, bytes: 50 },
        { op: 'cudaFree', ptr: 0x2000 },
        { op: 'cudaMalloc', ptr: null, bytes: 1e9, status: 'error', error: 'cudaErrorMemoryAllocation' },
      ]),
    ).toEqual([
      {
        pid: 100,
        process: 'train',
        family: 'device',
        allocs: 2,
        alloc_bytes: 150,
        failed_allocs: 1,
        frees: 1,
        freed_bytes: 50,
        unseen_frees: 0,
        foreign_frees: 0,
        live: 1,
        live_bytes: 100,
        peak_bytes: 150,
        largest_live_bytes: 100,
        largest_live_ptr: 0x1000,
      },
    ]);
  });

  test('an address that is used again is paired each time, in each process by itself', async () => {
    const reuse = [1, 2, 3].flatMap(() => [
      { op: 'cudaMalloc', ptr: 0x1000, bytes: 10 },
      { op: 'cudaFree', ptr: 0x1000 },
    ]);
    expect(
      await balance([
        ...reuse,
        { op: 'cudaMalloc', ptr: 0x1000, bytes: 10 },
        { op: 'cudaFree', ptr: 0x1000, pid: 200 },
      ]),
    ).toMatchObject([
      { pid: 100, allocs: 4, frees: 3, live: 1, live_bytes: 10, peak_bytes: 10, foreign_frees: 0 },
      { pid: 200, allocs: 0, frees: 0, live: 0, live_bytes: 0, peak_bytes: 0, foreign_frees: 1 },
    ]);
  });

  test('an address handed out again without a free was freed unseen', async () => {
    expect(
      await balance([
        { op: 'cudaMalloc', ptr: 0x1000, bytes: 10 },
        { op: 'cudaMalloc', ptr: 0x1000, bytes: 20 },
      ]),
    ).toMatchObject([{ allocs: 2, frees: 0, unseen_frees: 1, live: 1, live_bytes: 20, peak_bytes: 20 }]);
  });

  test('a free that overlaps the next allocation of the address on another thread comes first', async () => {
    expect(
      await balance([
        { op: 'cudaMalloc', ptr: 0x1000, bytes: 10, start_time: 0, duration_ns: 10 },
        // Allocation begins before the free does, and returns while the free is still running.
        { op: 'cudaMalloc', ptr: 0x1000, bytes: 20, start_time: 50, duration_ns: 100, tid: 101 },
        { op: 'cudaFree', ptr: 0x1000, start_time: 60, duration_ns: 500 },
      ]),
    ).toMatchObject([{ allocs: 2, frees: 1, freed_bytes: 10, unseen_frees: 0, live: 1, live_bytes: 20 }]);
  });

  test('families: managed memory is freed by cudaFree, pinned memory is another heap, array sizes are unknown', async () => {
    expect(
      await balance([
        { op: 'cudaMallocManaged', ptr: 0x1000, bytes: 10 },
        { op: 'cudaHostAlloc', ptr: 0x2000, bytes: 20 },
        { op: 'cudaMallocAsync', ptr: 0x3000, bytes: 30 },
        { op: 'cudaMallocArray', array: 0x4000 },
        { op: 'cudaFree', ptr: 0x1000 },
        { op: 'cudaFree', ptr: 0x2000 },
        { op: 'cudaFreeHost', ptr: 0x2000 },
        { op: 'cudaFreeAsync', ptr: 0x3000 },
        { op: 'cudaFree', ptr: 0 },
      ]),
    ).toMatchObject([
      { family: 'async', allocs: 1, frees: 1, live_bytes: 0, foreign_frees: 0 },
      { family: 'device', allocs: 0, frees: 0, live_bytes: 0, foreign_frees: 1 },
      { family: 'host', allocs: 1, frees: 1, live_bytes: 0, foreign_frees: 0 },
      { family: 'managed', allocs: 1, frees: 1, live_bytes: 0, foreign_frees: 0 },
      { family: 'array', allocs: 1, alloc_bytes: null, live: 1, live_bytes: null, peak_bytes: null },
    ]);
  });

  test('the pid parameter', async () => {
    const rows = await balance(
      [
        { op: 'cudaMalloc', ptr: 0x1000, bytes: 10 },
        { op: 'cudaMalloc', ptr: 0x1000, bytes: 10, pid: 200 },
      ],
      ['pid=200'],
    );
    expect(rows).toMatchObject([{ pid: 200, process: null, live_bytes: 10 }]);
  });
});

test('alloc-leaks: what was never freed, largest first, with its age', async () => {
  const rows = {
    processes: [{ pid: 100, comm: 'train' }],
    cudaEvents: [
      { op: 'cudaMalloc', ptr: 0x1000, bytes: 100 },
      { op: 'cudaMalloc', ptr: 0x2000, bytes: 300, duration_ns: 0 },
      { op: 'cudaMalloc', ptr: 0x3000, bytes: 200 },
      { op: 'cudaFree', ptr: 0x3000 },
      { op: 'cudaFree', ptr: 0x1000, status: 'error' },
    ],
  };
  expect(await rowsOf(dir, 'alloc-leaks', rows)).toEqual([
    [at(1), 9_999 * MS, 100, 'train', 100, 'cudaMalloc', 300, 0x2000, 2],
    [at(0), 10_000 * MS - 1000, 100, 'train', 100, 'cudaMalloc', 100, 0x1000, 1],
  ]);
  expect((await rowsOf(dir, 'alloc-leaks', rows, ['min_bytes=101'])).length).toBe(1);
  const cutOff = { ...rows, capture: { ended_at: null, end_reason: 'cut-off' } };
  expect((await rowsOf(dir, 'alloc-leaks', cutOff, ['limit=1']))[0]?.[1]).toBeNull();
});

test('api-errors: by operation and error, earliest first, with the first caller', async () => {
  const rows = await rowsOf(dir, 'api-errors', {
    cudaEvents: [
      { op: 'cudaMalloc' },
      { op: 'cudaFree', status: 'error', error: 'cudaErrorInvalidValue', return_code: 1, pid: 7, tid: 8 },
      { op: 'cudaMalloc', status: 'error', error: 'cudaErrorMemoryAllocation', return_code: 2 },
      { op: 'cudaMalloc', status: 'error', error: 'cudaErrorMemoryAllocation', return_code: 2, pid: 9 },
      { op: 'cudaMalloc', status: 'error', error: null, return_code: 12345 },
      { op: 'cudaMalloc', status: 'in_flight', duration_ns: null },
    ],
  });
  expect(rows).toEqual([
    ['cudaFree', 'cudaErrorInvalidValue', 1, 1, 100, at(1), at(1), 1, 7, 8, 2],
    ['cudaMalloc', 'cudaErrorMemoryAllocation', 2, 2, 50, at(2), at(3), 2, 100, 100, 3],
    ['cudaMalloc', null, 12345, 1, 25, at(4), at(4), 1, 100, 100, 5],
  ]);
});

test('sync-stalls: waits by thread and stream, as a part of the time of the thread', async () => {
  const rows = await rowsOf(dir, 'sync-stalls', {
    cudaEvents: [
      { op: 'cudaLaunchKernel', start_time: 0, duration_ns: 10 * MS },
      { op: 'cudaStreamSynchronize', start_time: 10 * MS, duration_ns: 50 * MS, stream: 5 },
      { op: 'cudaStreamSynchronize', start_time: 60 * MS, duration_ns: 10 * MS, stream: 5 },
      { op: 'cudaDeviceSynchronize', start_time: 70 * MS, duration_ns: 30 * MS },
      { op: 'cudaDeviceSynchronize', start_time: 0, duration_ns: null, status: 'in_flight', tid: 101 },
    ],
  });
  expect(rows).toEqual([
    [100, 100, 'cudaStreamSynchronize', 5, 2, 0, 60 * MS, 30 * MS, 50 * MS, 60],
    [100, 100, 'cudaDeviceSynchronize', null, 1, 0, 30 * MS, 30 * MS, 30 * MS, 30],
    [100, 101, 'cudaDeviceSynchronize', null, 1, 1, 0, null, null, null],
  ]);
});

test('in-flight-calls: oldest first, with what they are inside of', async () => {
  const rows = await rowsOf(dir, 'in-flight-calls', {
    processes: [{ pid: 100, comm: 'train' }],
    threads: [{ pid: 100, tid: 101, name: 'worker' }],
    cudaEvents: [
      { op: 'cudaMalloc' },
      { op: 'cudaMemcpy', status: 'in_flight', duration_ns: null, bytes: 64, tid: 101 },
      { op: 'cudaStreamSynchronize', status: 'in_flight', duration_ns: null, tid: 101, parent_id: 2 },
    ],
  });
  expect(rows).toEqual([
    ['cuda_events', 'cudaMemcpy', 9_999 * MS, at(1), 100, 'train', 101, 'worker', 64, null, 2],
    [
      'cuda_events',
      'cudaStreamSynchronize',
      9_998 * MS,
      at(2),
      100,
      'train',
      101,
      'worker',
      null,
      'cudaMemcpy',
      3,
    ],
  ]);
});

test('launch-rate: launches by time bucket and process, with the longest pause', async () => {
  const launch = (ms: number, more = {}) => ({
    op: 'cudaLaunchKernel',
    start_time: ms * MS,
    duration_ns: 5000,
    ...more,
  });
  const cudaEvents = [
    launch(0),
    launch(10),
    launch(90, { op: 'cudaLaunchKernelExC', duration_ns: 7000 }),
    launch(350, { op: 'cudaGraphLaunch', status: 'error' }),
    launch(40, { pid: 200 }),
    launch(20, { op: 'cudaLaunchHostFunc' }),
  ];
  expect(await rowsOf(dir, 'launch-rate', { cudaEvents }, ['bucket_ms=100'])).toEqual([
    [at(0), 100, 3, 30, 0, 17_000, 5000, 7000, 80 * MS],
    [at(0), 200, 1, 10, 0, 5000, 5000, 5000, null],
    [at(300), 100, 1, 10, 1, 5000, 5000, 5000, 260 * MS],
  ]);
  expect((await rowsOf(dir, 'launch-rate', { cudaEvents }, ['bucket_ms=0', 'pid=200'])).length).toBe(1);
});

test('memcpy-bandwidth: by direction and mode, failed copies move nothing', async () => {
  const rows = await rowsOf(dir, 'memcpy-bandwidth', {
    cudaEvents: [
      { op: 'cudaMemcpy', kind: 'h2d', bytes: 100_000, duration_ns: 10_000 },
      { op: 'cudaMemcpy', kind: 'h2d', bytes: 200_000, duration_ns: 20_000 },
      { op: 'cudaMemcpyAsync', kind: 'h2d', bytes: 100_000, duration_ns: 1000 },
      { op: 'cudaMemcpy', kind: 'd2h', bytes: 1e9, duration_ns: 1000, status: 'error' },
      { op: 'cudaMemcpyPeer', kind: null, bytes: 100, duration_ns: 100 },
    ],
  });
  expect(rows).toEqual([
    ['h2d', 'blocking', 2, 300_000, 74.981, 100_000, 200_000, 0, 30_000, 10],
    ['h2d', 'async', 1, 100_000, 24.994, 100_000, 100_000, 0, 1000, null],
    [null, 'blocking', 1, 100, 0.025, 100, 100, 1, 100, 1],
  ]);
});

test('call-tree: paths, own time, and calls whose outer call was lost', async () => {
  const cudaEvents = [
    { op: 'cudaMemcpy', duration_ns: 100 },
    { op: 'cudaMalloc', duration_ns: 30, parent_id: 1 },
    { op: 'cudaFree', duration_ns: 10, parent_id: 2, status: 'error' },
    { op: 'cudaMemcpy', duration_ns: 200 },
    { op: 'cudaMalloc', duration_ns: 50, parent_id: 999 },
    { op: 'cudaMemcpy', duration_ns: null, status: 'in_flight' },
  ];
  expect(await rowsOf(dir, 'call-tree', { cudaEvents })).toEqual([
    ['cudaMalloc', 1, 'runtime', 1, 0, 50, 50, 50],
    ['cudaMemcpy', 1, 'runtime', 3, 0, 300, 270, 200],
    ['cudaMemcpy > cudaMalloc', 2, 'runtime', 1, 0, 30, 20, 30],
    ['cudaMemcpy > cudaMalloc > cudaFree', 3, 'runtime', 1, 1, 10, 10, 10],
  ]);
  expect((await rowsOf(dir, 'call-tree', { cudaEvents }, ['max_depth=1'])).length).toBe(2);
});

const PROBES = {
  libraries: [{ path: '/venv/libcudart.so.12', build_id: 'abc' }],
  probes: [
    { op: 'cudaMalloc', symbol: 'cudaMalloc', library_id: 0, cost_class: 'emulated' },
    { op: 'cudaFree', symbol: 'cudaFree', library_id: 0, state: 'failed', reason: 'EINVAL' },
    { op: 'cudaFoo', symbol: 'cudaFoo', library_id: null, state: 'skipped', reason: 'no such symbol' },
    { op: 'cudaMemcpy', symbol: 'cudaMemcpy', library_id: 0, cost_class: 'single-step' },
  ],
};

test('what-was-attached: failures first, then what was skipped, with hits', async () => {
  const rows = await rowsOf(dir, 'what-was-attached', {
    ...PROBES,
    probeAccounting: [{ probe_id: 0, hits: 5, rows: 5 }],
  });
  expect(rows).toEqual([
    [
      'failed',
      'cuda-runtime',
      'cudaFree',
      'cudaFree',
      '/venv/libcudart.so.12',
      'abc',
      'EINVAL',
      'call',
      null,
      null,
    ],
    ['skipped', 'cuda-runtime', 'cudaFoo', 'cudaFoo', null, null, 'no such symbol', 'call', null, null],
    [
      'attached',
      'cuda-runtime',
      'cudaMalloc',
      'cudaMalloc',
      '/venv/libcudart.so.12',
      'abc',
      null,
      'call',
      'emulated',
      5,
    ],
    [
      'attached',
      'cuda-runtime',
      'cudaMemcpy',
      'cudaMemcpy',
      '/venv/libcudart.so.12',
      'abc',
      null,
      'call',
      'single-step',
      null,
    ],
  ]);
});

describe('what-was-lost', () => {
  const verdicts = async (probeAccounting: Record<string, number | boolean>[], capture = {}) =>
    (await rowsOf(dir, 'what-was-lost', { ...PROBES, probeAccounting, capture })).map((row) => [
      row[1],
      row[3],
      row[7],
      row.at(-1),
    ]);

  test('the sum first, then the probes that lost most', async () => {
    expect(
      await verdicts([
        { probe_id: 0, hits: 10, rows: 10 },
        { probe_id: 3, hits: 10, rows: 6, lost_ring_full: 3, lost_too_deep: 1 },
        { probe_id: 1 },
      ]),
    ).toEqual([
      [null, 20, 4, 'lost'],
      ['cudaMemcpy', 10, 4, 'lost'],
      ['cudaMalloc', 10, 0, 'complete'],
      ['cudaFree', 0, 0, 'never called'],
    ]);
  });

  test('sampling is no loss, and a sum that does not hold is named above all', async () => {
    expect(await verdicts([{ probe_id: 0, hits: 10, rows: 1, sampled: 9 }])).toEqual([
      [null, 10, 0, 'sampled'],
      ['cudaMalloc', 10, 0, 'sampled'],
    ]);
    expect(
      (await verdicts([{ probe_id: 0, hits: 10, rows: 1, lost_ring_full: 1, balanced: false }]))[0]?.[3],
    ).toBe('does not add up');
  });

  test('a capture that was cut off says that it cannot know', async () => {
    expect(await verdicts([], { end_reason: 'cut-off', ended_at: null })).toEqual([
      [null, null, null, 'unknown: the recorder was cut off before it could count'],
    ]);
    expect(await verdicts([])).toEqual([[null, null, null, 'nothing was attached']]);
  });
});

test('whoami: the capture row, field by field, and counts', async () => {
  const rows = await rowsOf(dir, 'whoami', { ...PROBES, cudaEvents: [{ op: 'cudaMalloc' }] });
  const fields = Object.fromEntries(rows as [string, string | null][]);
  expect(fields).toMatchObject({
    hostname: 'testhost',
    end_detail: null,
    schema_version: String(SCHEMA_VERSION),
    events: '1',
    probes_attached: '2',
    probes_not_attached: '2',
  });
});
