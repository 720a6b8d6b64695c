import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callCost, Governor, type Level, levelName, overheadPercent } from '../../src/trace/governor.js';
import { expectBalanced, one, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, summaryOf, type Tracer } from './support/tracer.js';
import { copyWorkload, type Workload } from './support/workload.js';

const cheap = { costClass: 'emulated', mode: 'call', stack: false } as const;
const load = (calls: number, cost: Parameters<typeof callCost>[0] = cheap) => [{ cost, calls }];

describe('what a call costs', () => {
  const full: Level = { kind: 'full' };
  test('a single-stepped entry, a stack and a return add to it; less recorded costs less, and never nothing', () => {
    expect(callCost({ ...cheap, mode: 'entry' }, full)).toBeLessThan(callCost(cheap, full));
    expect(callCost({ ...cheap, costClass: 'single-step' }, full)).toBeGreaterThan(5 * callCost(cheap, full));
    expect(callCost({ ...cheap, stack: true }, full)).toBeGreaterThan(callCost(cheap, full));
    expect(callCost({ ...cheap, stack: true }, { kind: 'no-stacks' })).toBe(callCost(cheap, full));
    const levels: Level[] = [
      full,
      { kind: 'sample', oneIn: 4 },
      { kind: 'sample', oneIn: 64 },
      { kind: 'counts' },
    ];
    const costs = levels.map((level) => callCost(cheap, level));
    expect(costs).toEqual([...costs].sort((a, b) => b - a));
    expect(costs.at(-1)).toBeGreaterThan(1000);
    expect(callCost(cheap, { kind: 'detached' })).toBe(0);
  });

  test('percent of a core, of the thread that calls most', () => {
    const ns = callCost(cheap, full);
    expect(overheadPercent(load(10_000), full, 1000, 1)).toBeCloseTo((10_000 * ns) / 1e9 / 0.01);
    expect(overheadPercent(load(10_000), full, 1000, 0.75)).toBeCloseTo((7500 * ns) / 1e9 / 0.01);
    expect(overheadPercent(load(0), full, 1000, 1)).toBe(0);
  });
});

describe('the governor', () => {
  /** Calls a second of one thread that cost so many percent when fully recorded. */
  const callsFor = (percent: number): number => (percent * 1e7) / callCost(cheap, { kind: 'full' });

  test('does nothing within the limit, nor for one burst', () => {
    const governor = new Governor(2, false);
    for (const percent of [1, 1.9, 5, 1, 5, 1.9]) {
      expect(governor.observe(load(callsFor(percent)), 1000, 1)).toBeNull();
    }
    expect(governor.level).toEqual({ kind: 'full' });
  });

  test('goes to the first level that fits, and says why', () => {
    const governor = new Governor(2, true);
    const slightly = load(callsFor(2.3));
    expect(governor.observe(slightly, 1000, 1)).toBeNull();
    const step = governor.observe(slightly, 1000, 1);
    // Without stacks to leave out at these probes that level would not help; sampling does.
    expect(step?.to).toEqual({ kind: 'sample', oneIn: 4 });
    expect(step?.reason).toMatch(
      /^2\.3 % of a core from the busiest thread, at most 2 %: \d+ calls in 1000 ms, 100 % of them its own$/,
    );
  });

  test('leaves out stacks first where they are what costs', () => {
    const governor = new Governor(2, true);
    const calls = load((2.5 * 1e7) / callCost({ ...cheap, stack: true }, { kind: 'full' }), {
      ...cheap,
      stack: true,
    });
    governor.observe(calls, 1000, 1);
    expect(governor.observe(calls, 1000, 1)?.to).toEqual({ kind: 'no-stacks' });
  });

  test('detaches where counting alone is too much, and stays there', () => {
    const governor = new Governor(2, false);
    const storm = load(callsFor(50));
    governor.observe(storm, 1000, 1);
    expect(governor.observe(storm, 1000, 1)?.to).toEqual({ kind: 'detached' });
    expect(governor.observe(storm, 1000, 1)).toBeNull();
    expect(governor.observe(storm, 1000, 1)).toBeNull();
  });

  test('levels have names', () => {
    expect(levelName({ kind: 'sample', oneIn: 16 })).toBe('sample 1/16');
    expect(levelName({ kind: 'counts' })).toBe('counts');
  });
});

describe.skipIf(!requireRootAndBpf())('the overhead of a trace', () => {
  let tracer: Tracer;
  let workload: Workload;
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
  });
  afterAll(() => {
    // A command that outlives its trace goes on by itself.
    spawnSync('pkill', ['-f', workload.gpuScenarios]);
    tracer?.remove();
    workload?.remove();
  });

  test('is in the capture, also of a short one', async () => {
    const { capture, ...result } = await tracer.run(['--json', '--', workload.gpuScenarios, 'steady', '3']);
    expect(summaryOf({ ...result }).overhead_percent).toBeGreaterThan(0);
    const [row] = await query(capture, 'SELECT * FROM self_observations ORDER BY observed_at DESC LIMIT 1');
    expect(Number(row?.cpu_ns)).toBeGreaterThan(10_000_000);
    expect(Number(row?.rss_bytes)).toBeGreaterThan(2 ** 24);
    expect(row).toMatchObject({ run_id: 1, busy_threads: 1 });
    expect(row?.ring_high_water).toBeGreaterThan(0);
    expect(row?.ring_high_water).toBeLessThan(1);
    expect(await query(capture, 'SELECT * FROM governor_steps')).toEqual([]);
  });

  test('has the time of the programs at entries and at returns, where the kernel counts it', async () => {
    const setting = '/proc/sys/kernel/bpf_stats_enabled';
    const before = readFileSync(setting, 'utf8');
    writeFileSync(setting, '1');
    try {
      const { capture } = await tracer.run(['--json', '--', workload.gpuScenarios, 'steady', '300']);
      const row = await one(
        capture,
        'SELECT bpf_run_ns, bpf_entry_ns, bpf_return_ns FROM self_observations ORDER BY observed_at DESC LIMIT 1',
      );
      const { bpf_run_ns: all, bpf_entry_ns: entry, bpf_return_ns: atReturn } = row as Record<string, bigint>;
      expect(entry).toBeGreaterThan(0n);
      expect(atReturn).toBeGreaterThan(0n);
      expect((entry as bigint) + (atReturn as bigint)).toBeLessThanOrEqual(all as bigint);
    } finally {
      writeFileSync(setting, before);
    }
  });

  test('above the limit steps down with a row for it: the account holds and weights stand for the calls left out', async () => {
    // Calls at a steady rate: with full records above the limit, with one in sixty-four below it.
    const steady = ['--', workload.gpuScenarios, 'steady', '1000000', '--pause-us', '100'];
    const probe = await tracer.run(['--json', '--duration', '7s', ...steady]);
    const { usual } = await one(
      probe.capture,
      'SELECT median(overhead_percent) AS usual FROM self_observations',
    );
    const limit = (Number(usual) * 0.85).toFixed(3);
    const result = await tracer.run(['--json', '--duration', '7s', '--max-overhead', limit, ...steady]);
    expect(result.code).toBe(0);
    await expectBalanced(result.capture);
    const steps = await query(result.capture, 'SELECT * FROM governor_steps ORDER BY step');
    // How far it has to go depends on how fast the machine is just now: what is left out costs its trap all the same.
    expect(steps[0]).toMatchObject({
      step: 1,
      from_level: 'full',
      to_level: expect.stringMatching(/^(sample 1\/\d+|counts|detached)$/),
    });
    expect(steps[0]?.reason).toContain(`at most ${Number(limit)} %`);
    if (steps.length > 1 || !String(steps[0]?.to_level).startsWith('sample')) return;
    const counted = await one(
      result.capture,
      `SELECT (SELECT sum(hits)::DOUBLE FROM probe_accounting) AS hits,
              (SELECT sum(sampled)::DOUBLE FROM probe_accounting) AS sampled,
              (SELECT sum(sample_weight)::DOUBLE FROM cuda_events) AS weighted`,
    );
    expect(counted.sampled).toBeGreaterThan(1000);
    expect(Number(counted.weighted) / Number(counted.hits)).toBeGreaterThan(0.8);
    expect(Number(counted.weighted) / Number(counted.hits)).toBeLessThan(1.2);
  });

  test('where even counting is too much the trace ends, and says so', async () => {
    const result = await tracer.run([
      '--json',
      '--max-overhead',
      '0.01',
      '--',
      workload.gpuScenarios,
      'steady',
      '1000000',
    ]);
    expect(result.code).toBe(0);
    await expectBalanced(result.capture);
    expect(summaryOf(result)).toMatchObject({
      end_reason: 'max-overhead',
      end_detail: expect.stringContaining('at most 0.01 %'),
    });
  });

  test('stacks are left out first', async () => {
    const steady = ['--stacks', '--', workload.gpuScenarios, 'steady', '1000000', '--pause-us', '2000'];
    const probe = await tracer.run(['--json', '--duration', '7s', '--max-overhead', '100', ...steady]);
    const { usual } = await one(
      probe.capture,
      'SELECT median(overhead_percent) AS usual FROM self_observations',
    );
    const limit = (Number(usual) * 0.8).toFixed(3);
    const result = await tracer.run(['--json', '--duration', '9s', '--max-overhead', limit, ...steady]);
    await expectBalanced(result.capture);
    expect(await one(result.capture, 'SELECT to_level FROM governor_steps WHERE step = 1')).toEqual({
      to_level: 'no-stacks',
    });
    const row = await one(
      result.capture,
      `SELECT count(*) FILTER (stack_id IS NULL)::INTEGER AS without, count(stack_id)::INTEGER AS with_stack,
              (SELECT sum(lost_stacks)::INTEGER FROM probe_accounting) AS lost
       FROM cuda_events WHERE start_time > (SELECT min(stepped_at) FROM governor_steps)::TIMESTAMP_NS`,
    );
    expect(Number(row.without)).toBeGreaterThan(100);
    expect(Number(row.with_stack)).toBeLessThan(Number(row.without) / 10);
    expect(row.lost).toBe(0);
  }, 60_000);
});
