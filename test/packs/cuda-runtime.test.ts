import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Arch, compilePack, loadBuiltinPacks } from '../../src/packs/index.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import {
  CUDA,
  compareLayouts,
  compareValues,
  declarations,
  gcc,
  haveCudaHeaders,
  normal,
  numberOf,
} from './support/cuda-headers.js';
import { listing } from './support/listing.js';
import { available } from './support/tools.js';

const found = loadBuiltinPacks().find((candidate) => candidate.name === 'cuda-runtime');
if (found === undefined) throw new Error('no cuda-runtime pack');
const pack = found;

const HEADERS = ['cuda_runtime_api.h', 'cuda_profiler_api.h'];
const LIBRARY = ['lib64', 'lib', 'targets/x86_64-linux/lib']
  .map((folder) => join(CUDA, folder, 'libcudart.so'))
  .find(existsSync);

/** Probed functions that CUDA 13 no longer declares. */
const GONE = [
  'cudaMemPrefetchAsync_v2',
  'cudaMemAdvise_v2',
  'cudaLaunchCooperativeKernelMultiDevice',
  'cudaThreadSynchronize',
  'cudaThreadExit',
  'cudaGetDeviceProperties_v2',
];

/** Functions that only compilers call; crt/host_runtime.h declares them. */
const isInternal = (name: string): boolean => name.startsWith('__');

describe.skipIf(!haveCudaHeaders)('against the CUDA headers', () => {
  it('every prototype is the declared one', () => {
    const declared = declarations(HEADERS, 'cudaError_t', 'cuda');
    for (const { name, prototype } of compilePack(pack, 'x64').probes) {
      if (!GONE.includes(name) && !isInternal(name)) expect(normal(prototype)).toBe(declared.get(name));
    }
  });

  it('every struct has the declared layout', () => {
    expect(compareLayouts(pack, HEADERS, ['struct cudaDeviceProp'])).toBeGreaterThan(8);
  });

  it('every error and every direction has the declared number', () => {
    const body = /enum cudaError\s*\{([^}]*)\}/.exec(gcc(HEADERS, '', '-E', '-P'))?.[1] ?? '';
    const errors = [...body.matchAll(/(\w+)\s*=\s*(\d+)/g)].map(([, name, value]) => [value, name]);
    expect(errors.length).toBeGreaterThan(100);
    expect(pack.enums.cuda_error).toMatchObject(Object.fromEntries(errors));
    const { memcpy_kind: kinds, capture_mode: modes } = pack.enums;
    compareValues(
      [
        ['cudaMemcpyHostToHost', numberOf(kinds, 'h2h')],
        ['cudaMemcpyHostToDevice', numberOf(kinds, 'h2d')],
        ['cudaMemcpyDeviceToHost', numberOf(kinds, 'd2h')],
        ['cudaMemcpyDeviceToDevice', numberOf(kinds, 'd2d')],
        ['cudaMemcpyDefault', numberOf(kinds, 'default')],
        ['cudaStreamCaptureModeGlobal', numberOf(modes, 'global')],
        ['cudaStreamCaptureModeThreadLocal', numberOf(modes, 'thread_local')],
        ['cudaStreamCaptureModeRelaxed', numberOf(modes, 'relaxed')],
      ],
      HEADERS,
    );
  });
});

describe.skipIf(LIBRARY === undefined || !available('nm', '--version'))('against libcudart', () => {
  const exported = new Set(
    LIBRARY === undefined
      ? []
      : execFileSync('nm', ['-D', '--defined-only', LIBRARY], { encoding: 'utf8', maxBuffer: 1 << 26 })
          .split('\n')
          .map((line) => line.split(' ').at(-1)?.split('@')[0] ?? ''),
  );

  it('every symbol is exported', () => {
    const symbols = compilePack(pack, 'x64')
      .probes.filter(({ name }) => !GONE.includes(name))
      .flatMap((probe) => probe.symbols);
    const absent = symbols.filter((symbol) => !exported.has(symbol) && !GONE.includes(symbol));
    expect(absent).toEqual([]);
  });

  it('no per-thread variant of a probed function is forgotten', () => {
    const probes = compilePack(pack, 'x64').probes;
    const symbols = new Set(probes.flatMap((probe) => probe.symbols));
    const variants = probes.flatMap(({ name }) => [`${name}_ptsz`, `${name}_ptds`]);
    expect(variants.filter((symbol) => exported.has(symbol) && !symbols.has(symbol))).toEqual([]);
  });
});

describe('compiled', () => {
  it.each<Arch>(['x64', 'arm64'])('%s', async (arch) => {
    await expect(listing(compilePack(pack, arch))).toMatchFileSnapshot(`fixtures/cuda-runtime.${arch}.txt`);
  });

  it.each<Arch>(['x64', 'arm64'])('every probe of %s returns a status of 32 bits', (arch) => {
    for (const probe of compilePack(pack, arch).probes) {
      if (probe.mode === 'call') expect(probe.returnBits, probe.op).toBe(32);
    }
  });
});

it('the pack names its schema for editors', () => {
  expect(pack.source.text).toContain('$schema=../schema/probe-pack.schema.json');
  expect(existsSync(join(PACKAGE_ROOT, 'schema/probe-pack.schema.json'))).toBe(true);
});
