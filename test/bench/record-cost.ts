import { execFileSync, spawn } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { ElfFile, locate } from '../../src/discovery/index.js';
import { loadLibbpf } from '../../src/loader/libbpf.js';
import { attachEmptyPair, compileBpf } from './kernel.js';
import { median } from './report.js';

const ROUNDS = 5;
const CALLS = 300_000;
const BPFTRACE_CALLS = 50_000;

/** CPU ns per call of one function, by what is attached to it; medians over interleaved rounds. */
export interface RecordCost {
  op: string;
  untraced: number;
  emptyPair: number;
  fullRecord: number;
  /** A condition on the size, checked in the kernel, rejects every call. */
  rejected: number;
  /** null when bpftrace is not installed. */
  bpftrace: number | null;
}

/** What the same fields take in bpftrace: saved at entry, printed at return. */
const SCRIPTS: Readonly<Record<string, { save: string; print: string; format: string }>> = {
  cudaMemcpyAsync: {
    save: '@d[tid] = arg0; @p[tid] = arg1; @n[tid] = arg2; @k[tid] = arg3; @q[tid] = arg4;',
    print: '@d[tid], @p[tid], @n[tid], @k[tid], @q[tid]',
    format: '%lx %lx %lu %d %lx',
  },
  cudaLaunchKernel: {
    save: '@d[tid] = arg0; @p[tid] = arg1; @n[tid] = arg2; @k[tid] = arg3; @q[tid] = arg4; @m[tid] = *(uint64*)(reg("sp") + 8); @o[tid] = *(uint64*)(reg("sp") + 16);',
    print: '@d[tid], @p[tid], @n[tid], @k[tid], @q[tid], @m[tid], @o[tid]',
    format: '%lx %lx %lx %lx %lx %lu %lx',
  },
};

/** Cost of a call that is not traced, has an empty probe pair, is recorded by ingero, or printed by bpftrace. */
export async function benchRecordCost(root: string, op: string, scratch: string): Promise<RecordCost> {
  const library = `${root}/build/workload/lib/libcudart.so.13`;
  const elf = ElfFile.open(library);
  const site = locate(elf, [op]).sites[0];
  elf.close();
  if (site === undefined) throw new Error(`no ${op} in ${library}`);
  const libbpf = loadLibbpf();
  const empty = compileBpf(root, 'empty');
  const samples = {
    untraced: [] as number[],
    emptyPair: [] as number[],
    fullRecord: [] as number[],
    rejected: [] as number[],
    bpftrace: [] as number[],
  };
  for (let round = 0; round < ROUNDS; round++) {
    samples.untraced.push(storm(root, op, CALLS));
    const detach = attachEmptyPair(libbpf, empty, library, site.fileOffset);
    samples.emptyPair.push(storm(root, op, CALLS));
    detach();
    samples.fullRecord.push(tracedStorm(root, op, scratch, []));
    samples.rejected.push(tracedStorm(root, op, scratch, ['--pack', rejectingPack(op, scratch)]));
    if (hasBpftrace()) samples.bpftrace.push(await bpftraceStorm(root, op, library));
  }
  return {
    op,
    untraced: median(samples.untraced),
    emptyPair: median(samples.emptyPair),
    fullRecord: median(samples.fullRecord),
    rejected: median(samples.rejected),
    bpftrace: samples.bpftrace.length === 0 ? null : median(samples.bpftrace),
  };
}

function nsPerCall(output: string): number {
  const line = output.split('\n').find((text) => text.includes('"ns_per_call"'));
  return (JSON.parse(line as string) as { ns_per_call: number }).ns_per_call;
}

function storm(root: string, op: string, calls: number): number {
  return nsPerCall(
    execFileSync(`${root}/build/workload/gpu-scenarios`, ['storm', String(calls), op], { encoding: 'utf8' }),
  );
}

/** Writes a pack whose one condition no call of the storm fulfils. */
function rejectingPack(op: string, scratch: string): string {
  const path = `${scratch}.yaml`;
  const [prototype, arg] =
    op === 'cudaMemcpyAsync'
      ? ['int cudaMemcpyAsync(void *dst, const void *src, size_t count, int kind, void *stream)', 'count']
      : ['int cudaLaunchKernel(size_t func)', 'func'];
  writeFileSync(
    path,
    `name: rejecting
version: 1.0.0
description: Rejects every call
layer: runtime
libraries: [{ soname: libcudart.so.* }]
table: cuda_events
probes: [{ prototype: '${prototype}', where: [{ arg: ${arg}, is: eq, value: 1 }] }]
`,
  );
  return path;
}

function tracedStorm(root: string, op: string, scratch: string, flags: readonly string[]): number {
  for (const file of [scratch, `${scratch}.wal`]) if (existsSync(file)) rmSync(file);
  const command = [`${root}/build/workload/gpu-scenarios`, 'storm', String(CALLS), op];
  return nsPerCall(
    execFileSync(
      process.execPath,
      [`${root}/bin/ingero.js`, 'trace', ...flags, '--out', scratch, '--', ...command],
      {
        encoding: 'utf8',
      },
    ),
  );
}

function hasBpftrace(): boolean {
  return existsSync('/usr/bin/bpftrace');
}

async function bpftraceStorm(root: string, op: string, library: string): Promise<number> {
  const { save, print, format } = SCRIPTS[op] as (typeof SCRIPTS)[string];
  const program = `uprobe:${library}:${op} { @t[tid] = nsecs; ${save} }
uretprobe:${library}:${op} /@t[tid]/ { printf("%lu %lu %d %d %d ${format}\\n", @t[tid], nsecs - @t[tid], pid, tid, retval, ${print}); delete(@t[tid]); }`;
  const tracer = spawn('/usr/bin/bpftrace', ['-e', program], {
    stdio: ['ignore', 'ignore', 'ignore'],
    env: { ...process.env, BPFTRACE_PERF_RB_PAGES: '4096' },
  });
  await new Promise((resolve) => setTimeout(resolve, 3000));
  try {
    return storm(root, op, BPFTRACE_CALLS);
  } finally {
    tracer.kill('SIGINT');
    await new Promise((resolve) => tracer.once('exit', resolve));
  }
}
