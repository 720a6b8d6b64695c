import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Explanation } from '../../src/explain/explain.js';
import { COLUMNS, DETECTION_PREFIX } from '../../src/explain/finding.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
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
  {
    ...{ trouble: 'pageable copies past the runtime', args: ['pageable', '20'], packs: ['cuda-driver'] },
    ...{ first: 'find-pageable-copies', op: /cuMemcpy/ },
  },
  {
    ...{
      trouble: 'a leak past the runtime',
      args: ['--pause-us', '500', 'leak', '600'],
      packs: ['cuda-driver'],
    },
    ...{ first: 'find-leaks', op: /cu.*(Alloc|Create)/ },
  },
  {
    ...{
      trouble: 'a long wait past the runtime',
      args: ['--ms', '1500', 'stall', '40'],
      packs: ['cuda-driver'],
    },
    ...{ first: 'find-stalls', op: /cuStreamSynchronize/ },
  },
  {
    ...{
      trouble: 'a wait after every launch past the runtime',
      args: ['sync-loop', '300'],
      packs: ['cuda-driver'],
    },
    ...{ first: 'find-sync-in-loop', op: /cuCtxSynchronize/ },
  },
  {
    ...{ trouble: 'failing calls past the runtime', args: ['errors', '20'], packs: ['cuda-driver'] },
    ...{ first: 'find-errors', op: /^cu[A-Z]/ },
  },
  {
    ...{ trouble: 'a wait after every launch, seen twice', args: ['sync-loop', '300'] },
    ...{ packs: ['cuda-runtime', 'cuda-driver'], first: 'find-sync-in-loop', op: /cudaDeviceSynchronize/ },
  },
  ...(
    [
      ['late-rank', 'find-nccl-stragglers', /ncclAllReduce/],
      ['rank-that-stays-away', 'find-nccl-desync', /ncclAllReduce/],
      ['other-collective', 'find-nccl-desync', /ncclAllGather/],
      ['small-collectives', 'find-nccl-small-collectives', /ncclAllReduce/],
      ['failed-communicator', 'find-nccl-async-errors', /ncclCommGetAsyncError/],
      ['refused-collectives', 'find-errors', /ncclAllReduce/],
    ] as const
  ).map(([trouble, first, op]) => ({ trouble, planted: ['ranks', trouble], packs: ['nccl'], first, op })),
  ...(
    [
      ['kept-tensors', 'find-torch-leaks', /Usage/],
      ['emptied-cache', 'find-torch-thrash', /Usage/],
      ['fragments', 'find-torch-fragmentation', /Usage/],
      ['out-of-memory', 'find-torch-out-of-memory', /OutOfMemory/],
    ] as const
  ).map(([trouble, first, op]) => ({
    ...{ trouble, planted: ['tensors', trouble], packs: ['pytorch-allocator'], first, op },
  })),
] as const;

/** Programs in which nothing is wrong, and the packs they are traced with. */
const CLEAN = [
  ['--pause-us 2000 steady 100', []],
  ['threads', []],
  ['fork', []],
  ['nested', []],
  ['--pause-us 2000 steady 100', ['cuda-driver']],
  ['nested', ['cuda-runtime', 'cuda-driver']],
  ['planted ranks nothing', ['nccl']],
  ['planted tensors nothing', ['pytorch-allocator']],
] as const;

/** Detections that need another pack than the one that is traced unless others are named. */
const OF_OTHER_PACKS = /^find-(nccl|torch)-/;

/** Builds planted.c with stand-ins for NCCL and libc10 in a folder and returns the program. */
function buildPlanted(dir: string): string {
  const source = (file: string): string => join(PACKAGE_ROOT, 'test', 'trace', 'programs', file);
  // What probes look at is the entry: each function has to keep one of its own.
  const flags = ['-O1', '-fPIC', '-fno-ipa-icf'];
  for (const [soname, which] of [
    ['libnccl.so.2', '-DNCCL'],
    ['libc10.so', '-DC10'],
  ] as const) {
    execFileSync('gcc', [
      ...[...flags, which, '-shared', source('planted-libraries.c'), '-o', join(dir, soname)],
      `-Wl,-soname,${soname}`,
    ]);
  }
  const program = join(dir, 'planted');
  execFileSync('gcc', [
    ...[...flags, source('planted.c'), '-o', program, '-L', dir, '-l:libnccl.so.2', '-l:libc10.so'],
    ...['-pthread', '-Wl,-rpath,$ORIGIN'],
  ]);
  return program;
}

describe.skipIf(!requireRootAndBpf())('ingero explain', () => {
  let tracer: Tracer;
  let workload: Workload;
  let cli: Cli;
  let planted: string;
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
    cli = await buildCli();
    planted = buildPlanted(tracer.dir);
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
    cli?.remove();
  });

  async function explained(
    trace: readonly string[],
    packs: readonly string[],
  ): Promise<Explanation & { capture: string }> {
    const flags = packs.flatMap((pack) => ['--pack', pack]);
    // libcuda is opened at the first call: the trace has to know before where it is.
    const env = { LD_LIBRARY_PATH: workload.libraries };
    const { capture, stderr } = await tracer.run([...flags, ...trace], { env });
    const { code, stdout } = await cli.run(['explain', capture, '--json']);
    expect(code, stderr + stdout).toBe(0);
    return { ...(JSON.parse(stdout) as Explanation), capture };
  }

  // Another job on this machine can make any wait long: such a run says nothing about the detections.
  const options = { retry: 2, timeout: 60_000 };

  test.each(PLANTED)('names $trouble first, with evidence that can be run', options, async (scenario) => {
    let command: readonly string[];
    if ('script' in scenario) command = ['sh', '-c', `${scenario.script(workload.gpuScenarios)} wait`];
    else if ('planted' in scenario) command = [planted, ...scenario.planted];
    else command = [workload.gpuScenarios, ...scenario.args];
    const flags = 'duration' in scenario ? ['--duration', scenario.duration] : [];
    const packs = 'packs' in scenario ? scenario.packs : [];
    const { findings, capture, skipped } = await explained([...flags, '--', ...command], packs);
    const [first] = findings;
    expect(first?.detection, JSON.stringify(findings)).toBe(scenario.first);
    expect(first?.where.op).toMatch(scenario.op);
    expect(first?.where.pid).toBeGreaterThan(0);
    expect(first?.advice.length).toBeGreaterThan(40);
    if (packs.length === 0)
      expect(skipped.filter(({ detection }) => !OF_OTHER_PACKS.test(detection))).toEqual([]);
    // One cause is one finding, in however many layers it is seen.
    if (packs.length > 1) expect(findings.map(({ detection }) => detection)).toEqual([scenario.first]);
    for (const { evidence } of findings) {
      const { rows } = await sql(capture, evidence.sql);
      expect(rows.length).toBeGreaterThan(0);
    }
    if (scenario.first === 'find-hangs') process.kill(first?.where.pid as number, 'SIGKILL');
    if (scenario.first === 'find-slow-ranks') expect(first?.where.rank).toBe(2);
    if (scenario.first === 'find-contention') expect(first?.where.process).toBe('victim-0');
    if (scenario.first === 'find-stalls' && packs.length === 0) {
      const { stdout } = await cli.run(['explain', capture]);
      expect(stdout).toMatch(/^1\. Single long waits: 1 cudaStreamSynchronize of up to 1\d{3} ms/);
      expect(stdout).toContain(`ingero run-query find-stalls ${capture}`);
    }
  });

  test('names the function of the program where stacks were recorded', options, async () => {
    const command = [workload.gpuScenarios, 'pageable', '20'];
    const { findings, capture } = await explained(['--stacks', '--', ...command], []);
    expect(findings[0]?.where.site).toBe('run_pageable');
    const { rows } = await sql(capture, 'SELECT DISTINCT site FROM call_sites WHERE site IS NOT NULL');
    expect(rows).toEqual([{ site: 'run_pageable' }]);
  });

  test.each(CLEAN)('finds nothing in a clean run: %s, traced with %j', options, async (scenario, packs) => {
    const words = scenario.split(' ');
    const command = words[0] === 'planted' ? [planted, ...words.slice(1)] : [workload.gpuScenarios, ...words];
    const { findings, clean } = await explained(['--', ...command], packs);
    expect(findings).toEqual([]);
    expect(clean.length).toBeGreaterThan(3);
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
