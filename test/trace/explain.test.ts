import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Explanation } from '../../src/explain/explain.js';
import { COLUMNS, DETECTION_PREFIX } from '../../src/explain/finding.js';
import { readLibrary } from '../../src/query/library.js';
import { sql } from '../query/helpers.js';
import { buildCli, type Cli } from '../support/cli.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';
import { copyWorkload, type Workload } from './support/workload.js';

/** Four ranks in step: the third is busy on the host between steps, the others wait on the device for it. */
const RANKS = (program: string): string =>
  [0, 1, 2, 3]
    .map((rank) =>
      rank === 2
        ? `RANK=2 STUB_CUDA_KERNEL_US=100 ${program} --pause-us 5000 steady 100 &`
        : `RANK=${rank} STUB_CUDA_KERNEL_US=600 ${program} --pause-us 100 steady 100 &`,
    )
    .join(' ');

/** What is planted: arguments of gpu-scenarios, or a shell script; and what has to be found first. */
const PLANTED = [
  { trouble: 'pageable copies', args: ['pageable', '20'], first: 'find-pageable-copies', op: /cudaMemcpy/ },
  { trouble: 'a leak', args: ['--pause-us', '500', 'leak', '600'], first: 'find-leaks', op: /cuda.*Alloc/i },
  {
    trouble: 'one long wait',
    args: ['--ms', '1500', 'stall', '40'],
    first: 'find-stalls',
    op: /cudaStreamSynchronize/,
  },
  { trouble: 'failing calls', args: ['errors', '20'], first: 'find-errors', op: /cudaMalloc/ },
  {
    trouble: 'a wait after every launch',
    args: ['sync-loop', '300'],
    first: 'find-sync-in-loop',
    op: /cudaDeviceSynchronize/,
  },
  { trouble: 'tiny kernels', args: ['tiny', '40'], first: 'find-small-launches', op: /cudaLaunchKernel/ },
  {
    trouble: 'a neighbour on the device',
    args: ['contend', '200'],
    first: 'find-contention',
    op: /cudaStreamSynchronize/,
  },
  { trouble: 'a slow rank', script: RANKS, first: 'find-slow-ranks', op: /cudaStreamSynchronize/ },
  {
    trouble: 'a call that does not return',
    args: ['hang'],
    duration: '3s',
    first: 'find-hangs',
    op: /cudaStreamSynchronize/,
  },
] as const;

const CLEAN = ['--pause-us 2000 steady 100', 'threads', 'fork', 'nested'];

describe.skipIf(!requireRootAndBpf())('ingero explain', () => {
  let tracer: Tracer;
  let workload: Workload;
  let cli: Cli;
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
    cli = await buildCli();
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
    cli?.remove();
  });

  async function explained(trace: readonly string[]): Promise<Explanation & { capture: string }> {
    const { capture, stderr } = await tracer.run(trace);
    const { code, stdout } = await cli.run(['explain', capture, '--json']);
    expect(code, stderr + stdout).toBe(0);
    return { ...(JSON.parse(stdout) as Explanation), capture };
  }

  // Another job on this machine can make any wait long: such a run says nothing about the detections.
  const options = { retry: 2, timeout: 60_000 };

  test.each(PLANTED)('names $trouble first, with evidence that can be run', options, async (planted) => {
    const command =
      'script' in planted
        ? ['sh', '-c', `${planted.script(workload.gpuScenarios)} wait`]
        : [workload.gpuScenarios, ...planted.args];
    const flags = 'duration' in planted ? ['--duration', planted.duration] : [];
    const { findings, capture, skipped } = await explained([...flags, '--', ...command]);
    const [first] = findings;
    expect(first?.detection, JSON.stringify(findings)).toBe(planted.first);
    expect(first?.where.op).toMatch(planted.op);
    expect(first?.where.pid).toBeGreaterThan(0);
    expect(first?.advice.length).toBeGreaterThan(40);
    expect(skipped).toEqual([]);
    for (const { evidence } of findings) {
      const { rows } = await sql(capture, evidence.sql);
      expect(rows.length).toBeGreaterThan(0);
    }
    if (planted.first === 'find-hangs') process.kill(first?.where.pid as number, 'SIGKILL');
    if (planted.first === 'find-slow-ranks') expect(first?.where.rank).toBe(2);
    if (planted.first === 'find-contention') expect(first?.where.process).toBe('victim-0');
    if (planted.first === 'find-stalls') {
      const { stdout } = await cli.run(['explain', capture]);
      expect(stdout).toMatch(/^1\. Single long waits: 1 cudaStreamSynchronize of up to 1\d{3} ms/);
      expect(stdout).toContain(`ingero run-query find-stalls ${capture}`);
    }
  });

  test.each(CLEAN)('finds nothing in a clean run: %s', options, async (scenario) => {
    const { findings, clean } = await explained(['--', workload.gpuScenarios, ...scenario.split(' ')]);
    expect(findings).toEqual([]);
    expect(clean.length).toBeGreaterThan(8);
  });
});

test('every detection has the columns of a finding and says what to do', () => {
  const detections = [...readLibrary().values()].filter(({ name }) => name.startsWith(DETECTION_PREFIX));
  expect(detections.length).toBeGreaterThan(8);
  for (const query of detections) {
    expect(query.columns.map(({ name }) => name)).toEqual([...COLUMNS]);
    expect(query.interpret).toBeTruthy();
  }
});
