import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Arch, compilePack, loadPackFile } from '../../src/packs/index.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import {
  compareLayouts,
  compareValues,
  declarations,
  gcc,
  haveCudaHeaders,
  normal,
  numberOf,
} from './support/cuda-headers.js';
import { listing } from './support/listing.js';

const pack = loadPackFile(join(PACKAGE_ROOT, 'probes', 'cuda-driver.yaml'));
const HEADERS = ['cuda.h', 'cudaProfiler.h'];

/** Probed functions that CUDA 13 declares in a newer form only. */
const GONE = [
  'cuCtxCreate_v2',
  'cuCtxCreate_v3',
  'cuMemPrefetchAsync',
  'cuMemAdvise',
  'cuMemcpyBatchAsync',
  'cuMemcpy3DBatchAsync',
  'cuEventElapsedTime',
  'cuGraphInstantiate_v2',
  'cuGraphExecUpdate',
];

describe.skipIf(!haveCudaHeaders)('against the CUDA headers', () => {
  it('every prototype is the declared one', () => {
    const declared = declarations(HEADERS, 'CUresult', 'cu');
    for (const { name, prototype } of compilePack(pack, 'x64').probes) {
      if (GONE.includes(name)) expect(declared.has(name), name).toBe(false);
      else expect(normal(prototype)).toBe(declared.get(name));
    }
  });

  it('every per-thread twin is declared, and none is forgotten', () => {
    const text = gcc([], '#define CUDA_API_PER_THREAD_DEFAULT_STREAM\n#include <cuda.h>\n', '-E', '-P');
    const declared = new Set([...text.matchAll(/\bcu\w+_pt(?:sz|ds)\b/g)].map(([name]) => name));
    expect(declared.size).toBeGreaterThan(80);
    const base = (symbol: string): string => symbol.replace(/_pt(sz|ds)$/, '');
    const { probes } = compilePack(pack, 'x64');
    const names = new Set(probes.map(({ name }) => name));
    const twins = probes.flatMap(({ name, symbols }) => symbols.filter((symbol) => symbol !== name));
    expect(twins.filter((symbol) => !GONE.includes(base(symbol))).sort()).toEqual(
      [...declared].filter((symbol) => names.has(base(symbol))).sort(),
    );
  });

  it('every struct has the declared layout', () => {
    expect(compareLayouts(pack, HEADERS)).toBeGreaterThan(10);
  });

  it('every error and every kind has the declared number', () => {
    const text = gcc(HEADERS, '', '-E', '-P');
    const body = /enum cudaError_enum\s*\{([^}]*)\}/.exec(text)?.[1] ?? '';
    const errors = [...body.matchAll(/(\w+)\s*=\s*(\d+)/g)].map(([, name, value]) => [value, name]);
    expect(errors.length).toBeGreaterThan(95);
    expect(pack.enums.cu_result).toMatchObject(Object.fromEntries(errors));
    const { memory_type: memory, capture_mode: modes } = pack.enums;
    compareValues(
      [
        ['CU_MEMORYTYPE_HOST', numberOf(memory, 'host')],
        ['CU_MEMORYTYPE_DEVICE', numberOf(memory, 'device')],
        ['CU_MEMORYTYPE_ARRAY', numberOf(memory, 'array')],
        ['CU_MEMORYTYPE_UNIFIED', numberOf(memory, 'unified')],
        ['CU_STREAM_CAPTURE_MODE_GLOBAL', numberOf(modes, 'global')],
        ['CU_STREAM_CAPTURE_MODE_THREAD_LOCAL', numberOf(modes, 'thread_local')],
        ['CU_STREAM_CAPTURE_MODE_RELAXED', numberOf(modes, 'relaxed')],
        ['CU_MEM_LOCATION_TYPE_DEVICE', Object.keys(pack.sizes.device_location ?? {})[0]],
      ],
      HEADERS,
    );
  });
});

describe('compiled', () => {
  it.each<Arch>(['x64', 'arm64'])('%s', async (arch) => {
    await expect(listing(compilePack(pack, arch))).toMatchFileSnapshot(`fixtures/cuda-driver.${arch}.txt`);
  });

  it('every probe returns a status of 32 bits', () => {
    for (const probe of compilePack(pack, 'x64').probes) expect(probe.returnBits, probe.op).toBe(32);
  });
});

it('no copy or allocation lacks its size, no copy its direction', () => {
  for (const { op, columns } of compilePack(pack, 'x64').probes) {
    const names = columns.map(({ column }) => column);
    if (/^cuMemcpy|^cuMemset|^cuMemAlloc|^cuMemHostAlloc/.test(op) && !op.includes('Batch')) {
      expect(names, op).toContain('bytes');
    }
    if (/^cuMemcpy/.test(op) && !op.includes('Batch')) {
      expect(names.includes('kind') || names.includes('src_memory'), op).toBe(true);
    }
  }
});

it('no ancestor with 32-bit addresses is probed', () => {
  const text = readFileSync(join(PACKAGE_ROOT, 'probes', 'cuda-driver.yaml'), 'utf8');
  for (const name of ['cuMemAlloc', 'cuMemFree', 'cuMemcpyHtoD', 'cuMemcpyDtoHAsync', 'cuMemsetD32']) {
    expect(text).not.toMatch(new RegExp(`\\b${name}[(,\\]]`));
  }
});
