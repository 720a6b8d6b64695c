/** Captures of real programs on an NVIDIA H100 against what those programs, CUPTI and PyTorch say of the same runs (test/fixtures/README.md). */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { demangle } from '../../src/demangle/itanium.js';
import { explain } from '../../src/explain/explain.js';
import { GPU_FIXTURES, unpackGpuCapture } from '../support/gpu-captures.js';
import { query } from '../trace/support/capture.js';
import { failure, library, named, withCapture } from './helpers.js';

const folder = mkdtempSync(join(tmpdir(), 'ingero-gpu-'));
const count = unpackGpuCapture('count', folder);
const train = unpackGpuCapture('train', folder);

interface TrainFacts {
  first_ns: string;
  last_ns: string;
  profiler: Record<string, { calls: number; ns: number }>;
  memory: Record<string, number>;
}
const facts = JSON.parse(readFileSync(join(GPU_FIXTURES, 'train.json'), 'utf8')) as TrainFacts;

afterAll(() => rmSync(folder, { recursive: true }));

/** Findings of `explain`, as what was found and where. */
async function found(path: string): Promise<string[]> {
  const { findings, caveats } = await withCapture(path, (capture, budget) =>
    explain(capture, [path], library(), budget),
  );
  expect(caveats).toEqual([]);
  return findings.map(({ detection, where }) => `${detection}: ${where.op}`);
}

describe('a program that counts its calls', () => {
  test('every call of it is a row, and nothing else', async () => {
    const { 'cudaMalloc failed': failed, ...made } = JSON.parse(
      readFileSync(join(GPU_FIXTURES, 'count.json'), 'utf8'),
    ) as Record<string, number>;
    const rows = await query(
      count,
      `SELECT op::VARCHAR AS op, count(*)::INTEGER AS calls FROM cuda_events WHERE op::VARCHAR NOT LIKE '\\_\\_cuda%' ESCAPE '\\' GROUP BY op`,
    );
    const recorded = Object.fromEntries(rows.map(({ op, calls }) => [op, calls]));
    // The pack leaves out what only reads and clears a value of the thread.
    const { cudaGetLastError: _, ...probed } = made;
    expect(recorded).toEqual(probed);
    const { rows: errors } = await named(count, 'api-errors');
    expect(errors.filter(({ op }) => op === 'cudaMalloc')).toMatchObject([
      { error: 'cudaErrorMemoryAllocation', calls: failed },
    ]);
  });

  test('bytes, streams, graphs and memory are what it asked for', async () => {
    const { rows: bandwidth } = await named(count, 'memcpy-bandwidth');
    expect(bandwidth.map(({ direction, mode, copies, bytes }) => [direction, mode, copies, bytes])).toEqual([
      ['d2d', 'async', 10, 10 * 2 ** 22],
      ['h2d', 'async', 10, 10 * 2 ** 22],
      ['h2d', 'blocking', 10, 10 * 2 ** 22],
      ['d2h', 'async', 10, 10 * 2 ** 21],
      ['d2h', 'blocking', 1, 4096],
    ]);
    const { rows: balance } = await named(count, 'alloc-balance');
    expect(
      balance.map(({ family, allocs, failed_allocs, live }) => [family, allocs, failed_allocs, live]),
    ).toEqual([
      ['async', 1, 0, 0],
      ['device', 2, 2, 0],
      ['host', 1, 0, 0],
      ['managed', 1, 0, 0],
    ]);
    const { rows: graphs } = await named(count, 'graph-lifecycle');
    expect(graphs).toMatchObject([{ launches: 20, verdict: 'reused' }]);
    const { rows: kernels } = await named(count, 'launch-sum');
    expect(kernels).toMatchObject([{ launches: 1005, streams: 2, threads_p50: 2 ** 20 }]);
    expect(demangle(String(kernels[0]?.kernel))).toBe('add(float*, float const*, int)');
  });

  test('the failed allocations are its only finding', async () => {
    expect(await found(count)).toEqual(['find-errors: cudaMalloc']);
  });
});

describe('a PyTorch training', () => {
  const steps = `epoch_ns(start_time) BETWEEN ${facts.first_ns} AND ${facts.last_ns}`;

  test('has every call the CUDA profiler saw, and its duration but for the probes', async () => {
    const rows = await query(
      train,
      `SELECT op::VARCHAR AS op, count(*)::INTEGER AS calls, sum(duration_ns)::DOUBLE AS ns FROM cuda_events WHERE ${steps} GROUP BY op`,
    );
    const compared = rows.filter(({ op }) => facts.profiler[String(op)] !== undefined);
    expect(compared.length).toBe(10);
    for (const { op, calls, ns } of compared) {
      const theirs = facts.profiler[String(op)] as TrainFacts['profiler'][string];
      expect([op, calls]).toEqual([op, theirs.calls]);
      const longer = (Number(ns) - theirs.ns) / theirs.calls;
      expect(longer).toBeGreaterThan(0);
      // Launches contain traced calls of the driver.
      expect(longer).toBeLessThan(op === 'cudaLaunchKernel' ? 9000 : 2500);
    }
    // Libraries call copies of the runtime that they carry within them; the driver sees those launches too.
    const [driver] = await query(
      train,
      `SELECT count(*)::INTEGER AS launches FROM cuda_driver_events WHERE ${steps} AND op::VARCHAR LIKE 'cuLaunchKernel%'`,
    );
    const launches = ['cudaLaunchKernel', 'cudaLaunchKernelExC', 'cuLaunchKernel'];
    expect(driver?.launches).toBe(launches.reduce((sum, op) => sum + Number(facts.profiler[op]?.calls), 0));
  });

  test("agrees with the allocator's own counters", async () => {
    const [counted] = await query(
      train,
      `SELECT count(*) FILTER (delta_bytes > 0)::INTEGER AS allocs FROM torch_alloc_events WHERE device_type::VARCHAR = 'cuda'`,
    );
    expect(counted?.allocs).toBe(facts.memory['allocation.all.allocated']);
    const { rows } = await named(train, 'torch-fragmentation');
    expect(rows).toMatchObject([
      { peak_allocated_bytes: facts.memory['allocated_bytes.all.peak'], failures: 1 },
    ]);
    const { rows: before } = await named(train, 'torch-out-of-memory', ['before=7']);
    expect(before.map(({ event }) => event)).toEqual([...Array(7).fill('segment free'), 'out of memory']);
    expect(before.at(-1)).toMatchObject({
      bytes: 2 ** 45,
      reserved_bytes: facts.memory['reserved_bytes.all.current'],
    });
  });

  test('every kernel launched through the runtime has a name', async () => {
    const { rows } = await named(train, 'launch-sum', ['limit=1000']);
    expect(rows.length).toBe(33);
    expect(rows.filter(({ kernel }) => kernel === null)).toEqual([]);
  });

  test('has its collectives in order of the communicator', async () => {
    const { rows } = await named(train, 'nccl-communicators');
    expect(rows).toMatchObject([
      { nranks: 1, ranks_recorded: 1, created_by: 'ncclCommInitRankConfig', collectives: 49 },
    ]);
  });

  test('running out of memory is its only finding', async () => {
    expect(await found(train)).toEqual(['find-torch-out-of-memory: reportOutOfMemoryToProfiler']);
  });
});

test.each([...library().keys()])('%s answers, or says why it does not apply', async (name) => {
  for (const path of [count, train]) {
    const answer = await named(path, name).then(
      ({ columns }) => columns.length,
      (error: unknown) => failure(Promise.reject(error)),
    );
    if (typeof answer !== 'number') expect(answer.code).toBe('query-does-not-apply');
    else expect(answer).toBeGreaterThan(0);
  }
});
