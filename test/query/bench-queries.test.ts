import { join } from 'node:path';
import { expect, test } from 'vitest';
import { benchQueries, buildQueryCapture, NO_RUNTIME, ONE_THREAD } from '../bench/queries.js';
import { scratchDir } from './helpers.js';

test('the capture of the bench has rows for every layer, and every query answers on it within its memory', async () => {
  const path = join(scratchDir(), 'bench.duckdb');
  await buildQueryCapture(path, 100_000);
  const costs = await benchQueries(path, '256MiB', 1);
  expect(costs.filter(({ failure }) => failure !== undefined)).toEqual([]);
  expect(costs.length).toBeGreaterThan(60);
  const rows = Object.fromEntries(costs.map((cost) => [cost.name, cost.rows]));
  for (const name of [
    'cuda-api-sum',
    'runtime-to-driver',
    'nccl-stragglers',
    'torch-blocks',
    'alloc-balance',
    'graph-lifecycle',
  ]) {
    expect(rows[name], name).toBeGreaterThan(0);
  }
}, 120_000);

test('every query answers within its memory where one thread made all calls, and finds its pauses', async () => {
  const path = join(scratchDir(), 'one-thread.duckdb');
  await buildQueryCapture(path, 1_000_000, ONE_THREAD);
  // About what ten times the rows take of 1 GiB.
  const costs = await benchQueries(path, '160MiB', 1);
  expect(costs.filter(({ failure }) => failure !== undefined)).toEqual([]);
  for (const name of ['launch-gaps', 'tail-latency']) {
    expect(costs.find((cost) => cost.name === name)?.rows, name).toBe(50);
  }
}, 120_000);

test('every query answers within its memory where all calls are of NCCL and the driver', async () => {
  const path = join(scratchDir(), 'no-runtime.duckdb');
  await buildQueryCapture(path, 1_000_000, NO_RUNTIME);
  const costs = await benchQueries(path, '160MiB', 1);
  expect(costs.filter(({ failure }) => failure !== undefined)).toEqual([]);
  for (const name of [
    'nccl-stragglers',
    'nccl-desync',
    'nccl-sequence',
    'nccl-sum',
    'find-nccl-stragglers',
    'find-pageable-copies',
  ]) {
    expect(costs.find((cost) => cost.name === name)?.rows, name).toBeGreaterThan(0);
  }
}, 120_000);
