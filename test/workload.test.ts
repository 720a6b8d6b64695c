import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// The workload is what other tests measure ingero by, so it is measured here: that it tells the truth, and
// that its libraries look to a probe like the real ones.

const source = join(import.meta.dirname, 'workload');
const vendorHeaders = '/usr/local/cuda/include';
const onX64 = process.arch === 'x64';

let built: string;

beforeAll(() => {
  built = mkdtempSync(join(tmpdir(), 'ingero-workload-'));
  execFileSync('sh', [join(source, 'build.sh'), built], { stdio: ['ignore', 'ignore', 'inherit'] });
});
afterAll(() => rmSync(built, { recursive: true, force: true }));

interface OpTruth {
  calls: number;
  bytes: number;
  ok_bytes: number;
  errors: Record<string, number>;
}
interface Caller {
  pid: number;
  tid: number;
  name: string;
  ops: Record<string, OpTruth>;
}
interface Sum {
  blocks: number;
  bytes: number;
}
interface Truth {
  scenario: string;
  pid: number;
  ops: Record<string, OpTruth>;
  calls: number;
  errors: number;
  steps?: number;
  rows?: number;
  leaked?: Sum & { device_blocks: number; device_bytes: number; by_op: Record<string, Sum> };
  free_before?: number;
  free_after?: number;
  stall?: { ms: number; took_ns: number };
  nested?: { parent: string; child: string; calls: number }[];
  once?: { parent: string; children: string[] }[];
  threads?: Caller[] | number;
  children?: Caller[];
  unwound?: Record<string, number>;
  thread_exited?: Record<string, number>;
  tids?: number[];
  ns_per_call?: number;
  in_flight?: { op: string; tid: number };
}
interface ArgsRow {
  seq: number;
  op: string;
  symbol: string;
  return_code: number;
  columns: Record<string, number | string | null>;
}
interface Told {
  call?: string;
  command?: string;
  args?: unknown[];
  returns?: unknown;
  calls?: Record<string, number>;
  threads?: { tid: number; name: string; calls: number }[];
  ns_per_call?: number;
}

function output<T>(program: string, args: string[], env: Record<string, string> = {}): T[] {
  const run = spawnSync(join(built, program), args, { encoding: 'utf8', env: { ...process.env, ...env } });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
  return run.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

function truthOf(args: string[], env: Record<string, string> = {}): Truth {
  const lines = output<Truth>('gpu-scenarios', args, env);
  expect(lines).toHaveLength(1);
  return consistent(lines[0]);
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** The totals of a truth line are those of its operations. */
function consistent(truth: Truth | undefined): Truth {
  if (!truth) throw new Error('no truth line');
  const ops = Object.values(truth.ops);
  expect(truth.calls).toBe(sum(ops.map((op) => op.calls)));
  expect(truth.errors).toBe(sum(ops.flatMap((op) => Object.values(op.errors))));
  for (const op of ops) expect(op.ok_bytes).toBeLessThanOrEqual(op.bytes);
  return truth;
}

function compile(args: string[]): string {
  const run = spawnSync(
    'cc',
    ['-std=gnu11', '-Wall', '-Wextra', '-fsyntax-only', `-I${join(source, 'include')}`, ...args],
    {
      encoding: 'utf8',
    },
  );
  return run.status === 0 ? '' : run.stderr;
}

// Every function a cuda-runtime pack can name: symbol, and the suffix of its per-thread twin.
const runtimeSymbols = `
cudaMalloc cudaMallocManaged cudaMallocAsync_ptsz cudaMallocFromPoolAsync_ptsz cudaMallocPitch cudaMalloc3D
cudaMallocArray cudaMalloc3DArray cudaMallocHost cudaHostAlloc cudaHostRegister cudaHostUnregister cudaFree
cudaFreeAsync_ptsz cudaFreeHost cudaFreeArray cudaMemGetInfo cudaMemPoolCreate cudaMemPoolDestroy cudaMemPoolTrimTo
cudaMemPrefetchAsync_ptsz cudaMemPrefetchAsync_v2_ptsz cudaMemAdvise cudaIpcOpenMemHandle cudaIpcCloseMemHandle
cudaMemcpy_ptds cudaMemcpyAsync_ptsz cudaMemcpy2D_ptds cudaMemcpy2DAsync_ptsz cudaMemcpy2DToArray_ptds
cudaMemcpy2DFromArray_ptds cudaMemcpy2DToArrayAsync_ptsz cudaMemcpy2DFromArrayAsync_ptsz cudaMemcpy3D_ptds
cudaMemcpy3DAsync_ptsz cudaMemcpy3DPeer_ptds cudaMemcpy3DPeerAsync_ptsz cudaMemcpyPeer cudaMemcpyPeerAsync
cudaMemcpyToSymbol_ptds cudaMemcpyFromSymbol_ptds cudaMemcpyToSymbolAsync_ptsz cudaMemcpyFromSymbolAsync_ptsz
cudaMemcpyBatchAsync_ptsz cudaMemset_ptds cudaMemsetAsync_ptsz cudaMemset2D_ptds cudaMemset2DAsync_ptsz
cudaMemset3D_ptds cudaMemset3DAsync_ptsz cudaLaunchKernel_ptsz cudaLaunchKernelExC_ptsz
cudaLaunchCooperativeKernel_ptsz cudaLaunchHostFunc_ptsz __cudaRegisterFunction __cudaGetKernel
cudaDeviceSynchronize cudaStreamSynchronize_ptsz cudaEventSynchronize cudaStreamWaitEvent_ptsz cudaEventRecord_ptsz
cudaEventRecordWithFlags_ptsz cudaEventQuery cudaStreamQuery_ptsz cudaEventElapsedTime cudaStreamCreateWithFlags
cudaStreamCreateWithPriority cudaStreamDestroy cudaStreamBeginCapture_ptsz cudaStreamBeginCaptureToGraph_ptsz
cudaStreamEndCapture_ptsz cudaGraphInstantiate cudaGraphInstantiateWithFlags cudaGraphInstantiateWithParams_ptsz
cudaGraphLaunch_ptsz cudaGraphUpload_ptsz cudaGraphExecUpdate cudaGraphExecDestroy cudaGraphDestroy cudaSetDevice
cudaDeviceReset cudaDeviceEnablePeerAccess cudaProfilerStart cudaProfilerStop cudaGetLastError`
  .trim()
  .split(/\s+/)
  .flatMap((name) => (/_pt[sd][sz]$/.test(name) ? [name.slice(0, -5), name] : [name]));

// The same of the cuda-driver pack.
const driverSymbols = `
cuInit cuDevicePrimaryCtxRetain cuDevicePrimaryCtxRelease_v2 cuDevicePrimaryCtxReset_v2 cuCtxCreate_v2
cuCtxCreate_v3 cuCtxCreate_v4 cuCtxDestroy_v2 cuCtxSetCurrent cuCtxSynchronize cuCtxEnablePeerAccess
cuMemAlloc_v2 cuMemAllocPitch_v2 cuMemAllocManaged cuMemAllocHost_v2 cuMemHostAlloc cuMemHostRegister_v2
cuMemHostUnregister cuMemAllocAsync_ptsz cuMemAllocFromPoolAsync_ptsz cuMemFree_v2 cuMemFreeAsync_ptsz
cuMemFreeHost cuMemCreate cuMemRelease cuMemAddressReserve cuMemAddressFree cuMemMap cuMemUnmap cuMemSetAccess
cuMemGetInfo_v2 cuArray3DCreate_v2 cuArrayDestroy cuIpcOpenMemHandle_v2 cuMemcpy_ptds cuMemcpyAsync_ptsz
cuMemcpyHtoD_v2_ptds cuMemcpyDtoH_v2_ptds cuMemcpyDtoD_v2_ptds cuMemcpyHtoDAsync_v2_ptsz
cuMemcpyDtoHAsync_v2_ptsz cuMemcpyDtoDAsync_v2_ptsz cuMemcpyPeer_ptds cuMemcpyPeerAsync_ptsz cuMemcpy2D_v2_ptds
cuMemcpy2DUnaligned_v2_ptds cuMemcpy2DAsync_v2_ptsz cuMemcpy3D_v2_ptds cuMemcpy3DAsync_v2_ptsz
cuMemcpy3DPeer_ptds cuMemcpy3DPeerAsync_ptsz cuMemsetD8_v2_ptds cuMemsetD16_v2_ptds cuMemsetD32_v2_ptds
cuMemsetD8Async_ptsz cuMemsetD16Async_ptsz cuMemsetD32Async_ptsz cuMemsetD2D8_v2_ptds cuMemsetD2D8Async_ptsz
cuMemPrefetchAsync_ptsz cuLaunchKernel_ptsz cuLaunchKernelEx_ptsz cuLaunchCooperativeKernel_ptsz
cuLaunchHostFunc_ptsz cuModuleLoad cuModuleLoadData cuModuleLoadDataEx cuModuleLoadFatBinary cuModuleUnload
cuModuleGetFunction cuLibraryLoadData cuLibraryGetKernel cuKernelGetFunction cuLinkComplete
cuStreamSynchronize_ptsz cuEventSynchronize cuStreamWaitEvent_ptsz cuEventRecord_ptsz cuStreamQuery_ptsz
cuEventQuery cuStreamCreate cuStreamCreateWithPriority cuStreamDestroy_v2 cuStreamBeginCapture_v2_ptsz
cuStreamEndCapture_ptsz cuGraphInstantiateWithFlags cuGraphInstantiateWithParams_ptsz cuGraphLaunch_ptsz
cuGraphUpload_ptsz cuGraphExecUpdate_v2 cuGraphExecDestroy`
  .trim()
  .split(/\s+/)
  .flatMap((name) => (/_pt[sd][sz]$/.test(name) ? [name.slice(0, -5), name] : [name]));

function exportsOf(library: string): Map<string, string> {
  const text = execFileSync('nm', ['-D', '--defined-only', join(built, 'lib', library)], {
    encoding: 'utf8',
  });
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^[0-9a-f]+ T ([^@]+)(?:@@(.+))?$/.exec(line);
    if (match?.[1]) found.set(match[1], match[2] ?? '');
  }
  return found;
}

/** The first instructions of every function with that name, as objdump writes them. */
function entriesOf(library: string, name: RegExp): Map<string, string[]> {
  const text = execFileSync('objdump', ['-d', '--no-show-raw-insn', join(built, 'lib', library)], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  });
  const found = new Map<string, string[]>();
  let current: string[] | undefined;
  for (const line of text.split('\n')) {
    const start = /^[0-9a-f]+ <(.+)>:$/.exec(line)?.[1];
    if (start !== undefined) {
      current = name.test(start) ? [] : undefined;
      if (current) found.set(start, current);
    } else if (current && current.length < 4) {
      const instruction = /^ +[0-9a-f]+:\t(.+)$/.exec(line)?.[1];
      if (instruction) current.push(instruction.trim());
    }
  }
  return found;
}

function dynamicSection(file: string): string {
  return execFileSync('readelf', ['-dW', join(built, file)], { encoding: 'utf8' });
}

describe('the declarations', () => {
  it('describe the layouts that probes read', () => {
    expect(compile(['-Werror', join(source, 'include/abi_check.c')])).toBe('');
  });

  it.skipIf(!existsSync(join(vendorHeaders, 'cuda_runtime_api.h')))(
    'and the functions the stubs define are those of the vendor headers',
    () => {
      const files = ['include/abi_check.c'];
      for (const part of ['cudart', 'cuda'])
        for (const file of readdirSync(join(source, part)))
          if (file.endsWith('.c')) files.push(join(part, file));
      const paths = files.map((file) => join(source, file));
      expect(compile(['-DWORKLOAD_REAL_HEADERS', `-I${vendorHeaders}`, ...paths])).toBe('');
    },
  );
});

describe('the stub libraries', () => {
  it('have the real names', () => {
    expect(dynamicSection('lib/libcudart.so.13')).toContain('soname: [libcudart.so.13]');
    expect(dynamicSection('lib/libcuda.so.1')).toContain('soname: [libcuda.so.1]');
    const program = dynamicSection('gpu-scenarios');
    expect(program).toContain('Shared library: [libcudart.so.13]');
    expect(program).toContain('Library runpath: [$ORIGIN/lib]');
    expect(program).not.toContain('libcuda.so.1]');
  });

  it('export every function of the runtime, under its version', () => {
    const found = exportsOf('libcudart.so.13');
    expect(runtimeSymbols.filter((name) => !found.has(name))).toEqual([]);
    expect(runtimeSymbols.length).toBeGreaterThan(110);
    expect(new Set(found.values())).toEqual(new Set(['libcudart.so.13']));
    expect([...found.keys()].filter((name) => !/^(__)?cuda/.test(name))).toEqual([]);
  });

  it('export the functions of the driver, without versions', () => {
    const found = exportsOf('libcuda.so.1');
    expect(driverSymbols.filter((name) => !found.has(name))).toEqual([]);
    expect(new Set(found.values())).toEqual(new Set(['']));
  });

  it.skipIf(!onX64)('begin as the real ones do', () => {
    const runtime = entriesOf('libcudart.so.13', /^(__)?cuda[A-Z]/);
    for (const [name, entry] of runtime) expect(`${name}: ${entry[0]}`).toBe(`${name}: push   %rbp`);
    expect(runtime.get('__cudaLaunchKernel')?.[3]).toMatch(/^jmp .*<cudaLaunchKernel>$/);

    const driver = entriesOf('libcuda.so.1', /^cu[A-Z]/);
    const exported = exportsOf('libcuda.so.1');
    for (const name of exported.keys()) {
      const [compare, away, on] = driver.get(name) ?? [];
      expect(compare, name).toMatch(/^cmpl +\$0x321cba00,0x[0-9a-f]+\(%rip\)/);
      expect(away, name).toMatch(/^je /);
      expect(on, name).toMatch(/^jmp +\*0x[0-9a-f]+\(%rip\)/);
    }
  });

  it.skipIf(!onX64)('and the probe targets have one entry of each kind', () => {
    const entries = entriesOf('libprobe_target.so', /^pt_/);
    expect(entries.get('pt_hit')?.[0]).toBe('push   %rbp');
    expect(entries.get('pt_endbr')?.slice(0, 2)).toEqual(['endbr64', 'push   %rbp']);
    expect(entries.get('pt_thunk')?.[0]).toMatch(/^cmpl/);
    expect(entries.get('pt_load')?.[0]).toMatch(/^mov .*\(%rip\),%rax/);
    expect(entries.get('pt_movabs')?.[0]).toMatch(/^movabs/);
    expect(entries.get('pt_sub')?.[0]).toMatch(/^sub .*%rsp$/);
    expect(entries.get('pt_nop')?.[0]).toMatch(/^nop/);
  });
});

describe('gpu-scenarios', () => {
  it('steady: a training loop without errors', () => {
    const truth = truthOf(['steady', '8']);
    expect(truth.errors).toBe(0);
    expect(truth.ops).toMatchObject({
      cudaStreamSynchronize: { calls: 8 },
      cudaMemcpyAsync: { calls: 8 + 8 + 2 },
      cudaLaunchKernel: { calls: 8 * 7 },
      cudaLaunchKernelExC: { calls: 8 * 2 },
      cudaLaunchCooperativeKernel: { calls: 8 },
    });
    expect(truthOf(['steady', '8']).ops).toEqual(truth.ops);
    expect(truthOf(['--seed', '2', 'steady', '8']).ops.cudaMemcpyAsync).not.toEqual(
      truth.ops.cudaMemcpyAsync,
    );
  });

  it('pageable: copies through pageable memory block', () => {
    const before = Date.now();
    const truth = truthOf(['pageable', '4']);
    // 16 MiB at 3 bytes per nanosecond are 5.6 ms, each way; the 2-D copy 1.4 ms.
    expect(Date.now() - before).toBeGreaterThan(4 * 12);
    expect(truth.ops.cudaMemcpy?.bytes).toBe(4 * (16 << 20));
    expect(truth.errors).toBe(0);
  });

  it('leak: what is not freed is missing from the device', () => {
    const { leaked, free_before, free_after, ops } = truthOf(['leak']);
    if (!leaked || free_before === undefined || free_after === undefined) throw new Error('no leak');
    const byOp = Object.values(leaked.by_op);
    expect(leaked.blocks).toBe(20);
    expect(sum(byOp.map((op) => op.blocks))).toBe(leaked.blocks);
    expect(sum(byOp.map((op) => op.bytes))).toBe(leaked.bytes);
    // Rows are padded to 512 bytes, so that a pitched block takes more than was asked for.
    const missing = free_before - free_after;
    expect(missing).toBeGreaterThanOrEqual(leaked.device_bytes);
    expect(missing).toBeLessThan(leaked.device_bytes + leaked.device_blocks * 16 * 512);

    const allocations = Object.entries(ops).filter(([op]) => /Malloc|HostAlloc/.test(op));
    const frees = Object.entries(ops).filter(([op]) => /Free/.test(op));
    const succeeded = (entries: [string, OpTruth][]) =>
      sum(entries.map(([, op]) => op.calls - sum(Object.values(op.errors))));
    expect(succeeded(allocations) - succeeded(frees)).toBe(leaked.blocks);
  });

  it('stall: one wait as long as asked for', () => {
    const { stall } = truthOf(['--ms', '150', 'stall', '10']);
    expect(stall?.took_ns).toBeGreaterThan(149e6);
    expect(stall?.took_ns).toBeLessThan(5000e6);
  });

  it('errors: every failure has its code', () => {
    const { ops } = truthOf(['errors', '3'], { STUB_CUDA_KERNEL_US: '1' });
    const codes = Object.fromEntries(Object.entries(ops).map(([op, { errors }]) => [op, errors]));
    expect(codes).toMatchObject({
      cudaMalloc: { 2: 3 },
      cudaFree: { 1: 3 },
      cudaMemcpy: { 21: 3 },
      cudaMemcpyAsync: { 1: 3 },
      cudaStreamSynchronize: { 400: 3 },
      cudaSetDevice: { 101: 3 },
      cudaLaunchKernel: { 98: 3, 9: 3 },
      cudaHostUnregister: { 713: 3 },
      cudaStreamEndCapture: { 401: 3 },
      cudaEventQuery: { 600: 3 },
    });
  });

  it('memory: the limit of the device is kept', () => {
    const run = spawnSync(join(built, 'gpu-scenarios'), ['steady', '1'], {
      encoding: 'utf8',
      env: { ...process.env, STUB_CUDA_MEMORY: String(5 << 20) },
    });
    // The second of two buffers of 4 MiB does not fit; the program says so and fails.
    expect(run.status).toBe(1);
    expect(run.stderr).toContain('cudaMalloc returned 2');
  });

  it('threads: each with its own number of calls', () => {
    const truth = truthOf(['--threads', '3', 'threads', '5'], { STUB_CUDA_FAST: '1' });
    const threads = truth.threads;
    if (!Array.isArray(threads)) throw new Error('no threads');
    expect(threads.map((thread) => thread.name)).toEqual(['worker-0', 'worker-1', 'worker-2']);
    expect(threads.map((thread) => thread.ops.cudaLaunchKernel?.calls)).toEqual([5, 6, 7]);
    expect(new Set(threads.map((thread) => thread.tid)).size).toBe(3);
    expect(sum(threads.flatMap((thread) => Object.values(thread.ops).map((op) => op.calls)))).toBe(
      truth.calls,
    );
  });

  it.each(['fork', 'short'])('%s: each child with its own number of calls', (scenario) => {
    const truth = truthOf(['--threads', '4', scenario, '5'], { STUB_CUDA_FAST: '1' });
    const children = truth.children ?? [];
    expect(new Set(children.map((child) => child.pid)).size).toBe(4);
    expect(children.every((child) => child.pid !== truth.pid && child.pid === child.tid)).toBe(true);
    expect(sum(children.flatMap((child) => Object.values(child.ops).map((op) => op.calls)))).toBe(
      truth.calls,
    );
  });

  it('nested: the driver function in each call', () => {
    const truth = truthOf(['nested', '4'], { STUB_CUDA_FAST: '1' });
    for (const { parent, calls } of truth.nested ?? []) expect(truth.ops[parent]?.calls, parent).toBe(calls);
    expect(truth.nested?.length).toBeGreaterThan(10);
    expect(truth.once?.flatMap((one) => one.children)).toContain('cuInit');
  });

  it('longjmp and threadexit: calls left without a return', () => {
    const jumped = truthOf(['longjmp', '6']);
    expect(jumped.unwound).toEqual({ cudaLaunchHostFunc: 6 });
    expect(jumped.ops.cudaStreamSynchronize?.calls).toBe(6);
    const exited = truthOf(['--threads', '2', 'threadexit']);
    expect(exited.thread_exited).toEqual({ cudaLaunchHostFunc: 2 });
    expect(exited.tids).toHaveLength(2);
  });

  it('hang: does not return until it is killed', async () => {
    const child = spawn(join(built, 'gpu-scenarios'), ['hang'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = new Promise((resolve) => child.once('exit', (_code, signal) => resolve(signal)));
    const line = await new Promise<string>((resolve) =>
      child.stdout.once('data', (data) => resolve(String(data))),
    );
    const truth = consistent(JSON.parse(line) as Truth);
    expect(truth.in_flight).toMatchObject({ op: 'cudaStreamSynchronize', tid: child.pid });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(child.exitCode).toBeNull();
    child.kill('SIGTERM');
    expect(await ended).toBe('SIGTERM');
  });

  it('waits to be told to go on', () => {
    const run = spawnSync(join(built, 'gpu-scenarios'), ['--wait', 'longjmp', '1'], {
      input: '\n',
      encoding: 'utf8',
    });
    const [ready, truth] = run.stdout.trim().split('\n');
    expect(JSON.parse(ready ?? '')).toMatchObject({ ready: true });
    expect(JSON.parse(truth ?? '')).toMatchObject({ scenario: 'longjmp' });
  });

  it('args: every function and twin, all of them successful', () => {
    const lines = output<ArgsRow & Truth>('gpu-scenarios', ['args']);
    const truth = consistent(lines.at(-1));
    const rows: ArgsRow[] = lines.slice(0, -1);
    expect(rows.map((row) => row.seq)).toEqual(rows.map((_, index) => index));
    expect(rows.filter((row) => row.return_code !== 0)).toEqual([]);
    expect(truth.rows).toBe(rows.length);
    const called = new Set(rows.map((row) => row.symbol));
    // Called before main, by the constructor.
    expect(runtimeSymbols.filter((name) => !called.has(name))).toEqual(['__cudaRegisterFunction']);
    for (const row of rows)
      for (const value of Object.values(row.columns)) expect(value, row.symbol).not.toBeNull();
  });

  it('driver-args: every driver function and twin, without the runtime', () => {
    const rows: ArgsRow[] = output<ArgsRow>('gpu-scenarios', ['driver-args']).slice(0, -1);
    expect(rows.filter((row) => row.return_code !== 0).map((row) => row.symbol)).toEqual(['cuLinkComplete']);
    const called = new Set(rows.map((row) => row.symbol));
    expect([...exportsOf('libcuda.so.1').keys()].filter((name) => !called.has(name))).toEqual([]);
  });

  it('exists with the runtime linked in', () => {
    const lines = output<ArgsRow>('gpu-scenarios-static', ['args']);
    expect(lines.filter((row) => row.return_code > 0)).toEqual([]);
    expect(dynamicSection('gpu-scenarios-static')).not.toContain('libcudart');
    const symbols = (...options: string[]) =>
      execFileSync('nm', [...options, join(built, 'gpu-scenarios-static')], { encoding: 'utf8' });
    expect(symbols('--defined-only')).toMatch(/ T cudaMalloc$/m);
    expect(symbols('-D', '--defined-only')).not.toContain('cudaMalloc');
  });

  it('storm: fast, and counted', () => {
    const truth = truthOf(['--threads', '2', 'storm', '20000', 'mix']);
    expect(truth.ops.cudaLaunchKernel?.calls).toBe(2 * (15000 + 1));
    expect(truth.ns_per_call).toBeLessThan(5000);
  });

  it('all: one trouble after another', () => {
    const lines = output<Truth>('gpu-scenarios', ['--count', '2', 'all']).map(consistent);
    expect(lines.map((line) => line.scenario)).toEqual([
      'steady',
      'pageable',
      'leak',
      'stall',
      'errors',
      'threads',
    ]);
  });

  const realLibraries = '/usr/local/cuda/lib';
  it.skipIf(!existsSync(join(realLibraries, 'libcudart.so.13')) || existsSync('/proc/driver/nvidia/version'))(
    'survives the real library without a GPU',
    () => {
      const env = { LD_LIBRARY_PATH: realLibraries };
      for (const scenario of ['steady', 'leak', 'threads', 'longjmp', 'threadexit', 'hang', 'storm']) {
        const last = output<Truth & { returned?: number }>(
          'gpu-scenarios',
          ['--real', scenario, '3'],
          env,
        ).at(-1);
        if (last?.scenario === 'hang') expect([35, 100]).toContain(last.returned);
        else expect(consistent(last).errors).toBeGreaterThan(0);
      }
      const rows = output<ArgsRow>('gpu-scenarios', ['--real', 'args'], env);
      expect(rows.find((row) => row.symbol === 'cudaMalloc')).toMatchObject({
        return_code: expect.toSatisfy((code) => code === 35 || code === 100),
        columns: { bytes: 1 << 20, ptr: null },
      });
    },
  );
});

describe('probe-target', () => {
  it('tells what its functions were called with and returned', () => {
    const told = output<Told>('probe-target', ['all']);
    const returned = (name: string) => told.filter((line) => line.call === name).map((line) => line.returns);
    expect(returned('pt_args14')).toEqual([14 * 101 + 91]);
    expect(returned('pt_out')).toEqual([-22, 0]);
    expect(returned('pt_int')).toEqual([81, -82]);
    expect(returned('pt_long')).toEqual(['-9223372036854775808', 84]);
    expect(returned('pt_u64')).toEqual(['18446744073709551615']);
    expect(returned('pt_void')).toEqual([null]);
    expect(returned('pt_make')).toEqual([[87, 88, 89]]);
    for (const kind of ['endbr', 'thunk', 'load', 'movabs', 'sub', 'nop']) {
      const line = told.find((one) => one.call === `pt_${kind}`);
      expect(line?.returns, kind).toBe(Number(line?.args?.[0]) + 1);
    }
  });

  it('counts nested and concurrent calls', () => {
    expect(output<Told>('probe-target', ['recurse', '100', '2'])[0]?.calls).toEqual({ pt_recurse: 202 });
    const [hammer] = output<Told>('probe-target', ['hammer', '3', '100']);
    expect(hammer?.calls).toEqual({ pt_hit: 303 });
    expect(hammer?.threads?.map((thread) => thread.calls)).toEqual([100, 101, 102]);
    expect(output('probe-target', ['longjmp', '4', '2'])[0]).toMatchObject({ unwound: { pt_call: 8 } });
    expect(output('probe-target', ['threadexit', '2'])[0]).toMatchObject({ thread_exited: { pt_call: 2 } });
    expect(output('probe-target', ['fork', '2', '5'])[0]).toMatchObject({ calls: { pt_hit: 10 } });
    expect(output<Told>('probe-target', ['storm', '1000', 'pt_sub'])[0]?.ns_per_call).toBeGreaterThan(0);
  });
});
