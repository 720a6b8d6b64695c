import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ElfFile, locate } from '../../src/discovery/index.js';
import { compilePack } from '../../src/packs/compile.js';
import { loadBuiltinPacks } from '../../src/packs/load.js';
import type { CompiledPack } from '../../src/packs/model.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { fetchLibrary, type LibraryName } from '../support/debian-libraries.js';
import { query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';

interface RealLibrary {
  library: LibraryName;
  pack: string;
  /** Functions the pack has that came after this version, or are in another of its libraries. */
  absent: RegExp;
  /** Bytes of a prologue that probes skip to be cheap. */
  skip: number;
  /** Functions that begin in another way. */
  costly?: readonly string[];
}

const SINCE_CUDA_12_8 =
  'cuMemcpy(3D)?BatchAsync.*|cuCtxCreate_v4|cuCtxSynchronize_v2|cuEventElapsedTime_v2|cuGreenCtxStreamCreate';
const SINCE_NCCL_2_23 =
  'ncclAlltoAll|ncclGather|ncclScatter|nccl(Put|Wait)?Signal|ncclCommInitRankScalable|ncclComm(Shrink|Grow|Revoke|Suspend|Resume)|ncclCommWindow.*';

const LIBRARIES: readonly RealLibrary[] = [
  {
    ...{ library: 'cuda535', pack: 'cuda-driver', skip: 10 },
    absent: new RegExp(
      `^(${SINCE_CUDA_12_8}|cuGreenCtx.*|cuCtxFromGreenCtx|cuFuncLoad|cu(Func|Kernel)GetName|cuStreamBeginCaptureToGraph.*)$`,
    ),
  },
  {
    ...{ library: 'cuda550', pack: 'cuda-driver', skip: 10 },
    absent: new RegExp(`^(${SINCE_CUDA_12_8})$`),
  },
  {
    ...{ library: 'nccl', pack: 'nccl', skip: 4 },
    absent: new RegExp(`^(${SINCE_NCCL_2_23})$`),
    costly: ['ncclGetLastError', 'ncclRedOpDestroy'],
  },
  {
    ...{ library: 'torch', pack: 'pytorch-allocator', skip: 4 },
    // Debian builds it for CPUs: the allocator's own functions are in libc10_cuda, which it does not have.
    absent: /CUDACachingAllocator/,
  },
];

function packNamed(name: string): CompiledPack {
  const pack = loadBuiltinPacks().find((candidate) => candidate.name === name);
  if (pack === undefined) throw new Error(`no pack ${name}`);
  return compilePack(pack, 'x64');
}

const fetched = LIBRARIES.map((library) => {
  const { title, found } = fetchLibrary(library.library);
  return { library, title, path: 'path' in found ? found.path : undefined };
});

describe.each(fetched.map((entry) => [entry.title, entry] as const))('the real library: %s', (_, entry) => {
  const { library, path } = entry;
  test.skipIf(path === undefined)(
    'has every function of the pack but those known to be absent, cheap to probe',
    () => {
      const elf = ElfFile.open(path as string);
      const symbols = packNamed(library.pack).probes.flatMap((probe) => probe.symbols);
      const { sites, missing } = locate(elf, symbols);
      elf.close();
      expect([...missing.keys()].filter((symbol) => !library.absent.test(symbol))).toEqual([]);
      expect([...missing.keys()].length + sites.length).toBe(symbols.length);
      const costly = sites.filter(({ cost, skip }) => cost !== 'emulated' || skip !== library.skip);
      expect(costly.map(({ symbol }) => symbol)).toEqual(library.costly ?? []);
    },
  );
});

const ready = requireRootAndBpf();
const drivers = fetched
  .filter(({ library }) => library.pack === 'cuda-driver')
  .map((entry) => [entry.title, entry] as const);

/** Without a GPU nearly every call returns CUDA_ERROR_NOT_INITIALIZED; the arguments are seen all the same. */
describe.each(drivers)('calls of the real library: %s', (_, { path }) => {
  let tracer: Tracer;
  beforeAll(async () => {
    if (ready && path !== undefined) tracer = await buildTracer();
  });
  afterAll(() => tracer?.remove());

  test.skipIf(!ready || path === undefined)('are rows with their arguments and results', async () => {
    // A copy is a file of its own: what other traces on this host do does not count here.
    const dir = join(tracer.dir, basename(path as string));
    mkdirSync(dir);
    copyFileSync(path as string, join(dir, 'libcuda.so.1'));
    const program = join(dir, 'calls');
    const source = join(PACKAGE_ROOT, 'test', 'trace', 'programs', 'libcuda.c');
    execFileSync('gcc', [
      ...[source, '-o', program, '-L', dir, '-l:libcuda.so.1', '-Wl,-rpath,$ORIGIN'],
      '-Wl,--allow-shlib-undefined',
    ]);
    // As root the library makes the device nodes it does not find, and they would stay on this host.
    const command = ['setpriv', '--inh-caps=-mknod', '--bounding-set=-mknod', program];
    const result = await tracer.run(['--json', '--pack', 'cuda-driver', '--', ...command]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const told = [...result.stdout.matchAll(/^(cu\w+)\t(\d+)$/gm)].map(([, symbol, code]) => ({
      symbol,
      code: Number(code),
    }));
    expect(told).toHaveLength(20);
    // Without a GPU; with one, calls succeed and only their arguments are compared.
    const isWithoutGpu = told[1]?.code === 100;
    const rows = await query(
      result.capture,
      `SELECT p.symbol, return_code::INTEGER AS code, error::VARCHAR AS error, bytes::INTEGER AS bytes
       FROM cuda_driver_events JOIN probes p USING (probe_id) WHERE parent_id IS NULL ORDER BY start_time`,
    );
    expect(rows.map(({ symbol, code }) => ({ symbol, code }))).toEqual(told);
    expect(
      Object.fromEntries(rows.flatMap(({ symbol, bytes }) => (bytes === null ? [] : [[symbol, bytes]]))),
    ).toEqual({
      cuMemAlloc_v2: 4099,
      cuMemAllocAsync: 5003,
      cuMemHostAlloc: 6007,
      cuMemcpyHtoD_v2: 101,
      cuMemcpyDtoHAsync_v2: 103,
      cuMemcpy2D_v2: 700,
      cuMemsetD32_v2: 100,
      cuMemsetD2D16_v2: 110,
    });
    if (isWithoutGpu) {
      expect(rows.slice(0, 3).map(({ error }) => error)).toEqual([
        'CUDA_ERROR_INVALID_VALUE',
        'CUDA_ERROR_NO_DEVICE',
        'CUDA_ERROR_NOT_INITIALIZED',
      ]);
    }
    expect(
      await query(
        result.capture,
        `SELECT op::VARCHAR AS op, kind::VARCHAR AS kind, src_memory::VARCHAR AS src, dst_memory::VARCHAR AS dst,
                dst_ptr::INTEGER AS dst_ptr, grid_z, block_z, shared_mem_bytes::INTEGER AS shared
         FROM cuda_driver_events WHERE op IN ('cuMemcpyHtoD_v2', 'cuMemcpy2D_v2', 'cuLaunchKernel') ORDER BY start_time`,
      ),
    ).toEqual([
      {
        ...{ op: 'cuMemcpyHtoD_v2', kind: 'h2d', src: 'host', dst: 'device', dst_ptr: 0x7000 },
        ...{ grid_z: null, block_z: null, shared: null },
      },
      {
        ...{ op: 'cuMemcpy2D_v2', kind: null, src: 'host', dst: 'device', dst_ptr: 0x7000 },
        ...{ grid_z: null, block_z: null, shared: null },
      },
      {
        ...{ op: 'cuLaunchKernel', kind: null, src: null, dst: null, dst_ptr: null },
        ...{ grid_z: 13, block_z: 16, shared: 17 },
      },
    ]);
  });
});

const [nccl, c10] = (['nccl', 'torch'] as const).map((name) =>
  fetched.find(({ library }) => library.library === name),
);

/** What libraries of a later Debian need of it: the folder of the C library is the first. */
const NEEDED = ['libc', 'stdcxx', 'gcc', 'numa', 'cpuinfo'] as const;
const folders = NEEDED.flatMap((name) => {
  const { found } = fetchLibrary(name);
  return 'path' in found ? [dirname(found.path)] : [];
});
const haveNeeded = folders.length === NEEDED.length;

/** Builds a program that runs with the loader and the C library of the later Debian. `dir` gets all files. */
function buildWith(path: string, soname: string, source: string, dir: string): string {
  mkdirSync(dir);
  copyFileSync(path, join(dir, soname));
  const program = join(dir, 'calls');
  execFileSync('gcc', [
    ...[join(PACKAGE_ROOT, 'test', 'trace', 'programs', source), '-o', program, '-L', dir, `-l:${soname}`],
    // The run path of a program is not searched for what its libraries need, DT_RPATH is.
    ...['-Wl,--allow-shlib-undefined', '-Wl,--disable-new-dtags', `-Wl,-rpath,$ORIGIN:${folders.join(':')}`],
    `-Wl,--dynamic-linker,${join(folders[0] as string, 'ld-linux-x86-64.so.2')}`,
  ]);
  return program;
}

describe(`calls of the real library: ${nccl?.title}`, () => {
  test.skipIf(!ready || !haveNeeded || nccl?.path === undefined)(
    'are rows with their arguments and results',
    async () => {
      const tracer = await buildTracer();
      try {
        const program = buildWith(
          nccl?.path as string,
          'libnccl.so.2',
          'libnccl.c',
          join(tracer.dir, 'nccl'),
        );
        const result = await tracer.run(['--json', '--pack', 'nccl', '--', program]);
        expect(result).toMatchObject({ code: 0, stderr: '' });
        const told = [...result.stdout.matchAll(/^(nccl\w+)\t(\d+)$/gm)].map(([, op, code]) => [
          op,
          Number(code),
        ]);
        const id = BigInt(/^comm_id\t(\d+)$/m.exec(result.stdout)?.[1] ?? 0);
        const rows = await query(
          result.capture,
          `SELECT e.op::VARCHAR AS op, e.return_code::INTEGER AS code, e.error::VARCHAR AS error, e.bytes::INTEGER AS bytes,
                e.count::INTEGER AS count, e.datatype::VARCHAR AS datatype, e.redop::VARCHAR AS redop, e.redop_code,
                e.root, e.peer, e.comm_id, p.op::VARCHAR AS parent
         FROM nccl_events e LEFT JOIN nccl_events p ON e.parent_id = p.call_id ORDER BY e.start_time`,
        );
        const outermost = rows.filter(({ parent }) => parent === null);
        expect(outermost.map(({ op, code }) => [op, code])).toEqual(told);
        expect(told).toHaveLength(8);
        expect(outermost[0]?.comm_id).toBe(id);
        const inside = rows
          .filter(({ parent }) => parent === 'ncclBcast')
          .map(({ op, bytes }) => ({ op, bytes }));
        expect(inside).toEqual([{ op: 'ncclBroadcast', bytes: 20 }]);
        const invalid = { code: 4, error: 'ncclInvalidArgument', comm_id: null, parent: null };
        const nothing = { redop: null, redop_code: null, root: null, peer: null };
        expect(outermost.slice(3, 7)).toEqual([
          {
            ...{ ...invalid, ...nothing, op: 'ncclAllReduce', bytes: 48, count: 12, datatype: 'float32' },
            ...{ redop: 'max', redop_code: 2 },
          },
          {
            ...{ ...invalid, ...nothing, op: 'ncclReduce', bytes: 13, count: 13, datatype: 'int8' },
            ...{ redop_code: 77, root: 5 },
          },
          { ...invalid, ...nothing, op: 'ncclBcast', bytes: 20, count: 10, datatype: 'bfloat16', root: 3 },
          { ...invalid, ...nothing, op: 'ncclSend', bytes: null, count: 9, datatype: null, peer: 5 },
        ]);
      } finally {
        tracer.remove();
      }
    },
  );
});

describe(`calls of the real library: ${c10?.title}`, () => {
  test.skipIf(!ready || !haveNeeded || c10?.path === undefined)('are rows with their arguments', async () => {
    const tracer = await buildTracer();
    try {
      const program = buildWith(c10?.path as string, 'libc10.so.2.6', 'libc10.c', join(tracer.dir, 'c10'));
      const result = await tracer.run(['--json', '--pack', 'pytorch-allocator', '--', program]);
      expect(result).toMatchObject({ code: 0, stderr: '' });
      const usage = { op: 'reportMemoryUsageToProfiler', status: 'entry', ptr: 0x7abc000, requested: null };
      const gpu = { device_type: 'cuda', device: 3 };
      expect(
        await query(
          result.capture,
          `SELECT op::VARCHAR AS op, status::VARCHAR AS status, ptr::INTEGER AS ptr, delta_bytes::INTEGER AS delta,
                  requested_bytes AS requested, allocated_bytes::INTEGER AS allocated, reserved_bytes::INTEGER AS reserved,
                  device_type::VARCHAR AS device_type, device
           FROM torch_alloc_events ORDER BY start_time`,
        ),
      ).toEqual([
        { ...usage, ...gpu, delta: 4096, allocated: 4096, reserved: 2_097_152 },
        { ...usage, ...gpu, delta: -4096, allocated: 0, reserved: 2_097_152 },
        {
          ...{ ...usage, ...gpu, op: 'reportOutOfMemoryToProfiler', ptr: null, delta: null },
          ...{ requested: 8_589_934_592n, allocated: 70_254_592, reserved: 88_080_384 },
        },
      ]);
      // The report about CPU memory.
      expect(await query(result.capture, 'SELECT sum(filtered)::INTEGER AS f FROM probe_accounting')).toEqual(
        [{ f: 1 }],
      );
    } finally {
      tracer.remove();
    }
  });
});
