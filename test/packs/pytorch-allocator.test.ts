import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Arch, compilePack, loadPackFile } from '../../src/packs/index.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { listing } from './support/listing.js';
import { available } from './support/tools.js';

const pack = loadPackFile(join(PACKAGE_ROOT, 'probes', 'pytorch-allocator.yaml'));

/** The two functions as c10/core/Allocator.h declares them, DeviceType as c10/core/DeviceType.h numbers it. */
const DECLARATIONS = `
  #include <cstddef>
  #include <cstdint>
  namespace c10 {
  enum class DeviceType : int8_t {
    CPU, CUDA, MKLDNN, OPENGL, OPENCL, IDEEP, HIP, FPGA, MAIA, XLA, Vulkan, Metal, XPU, MPS, Meta, HPU, VE, Lazy,
    IPU, MTIA, PrivateUse1
  };
  struct Device { DeviceType type_; int8_t index_ = -1; };
  void reportMemoryUsageToProfiler(void* ptr, int64_t alloc_size, size_t total_allocated, size_t total_reserved, Device device) {}
  void reportOutOfMemoryToProfiler(int64_t alloc_size, size_t total_allocated, size_t total_reserved, Device device) {}
  }
`;

describe('compiled', () => {
  it.each<Arch>(['x64', 'arm64'])('%s', async (arch) => {
    await expect(listing(compilePack(pack, arch))).toMatchFileSnapshot(
      `fixtures/pytorch-allocator.${arch}.txt`,
    );
  });
});

it('only entries are probed: the functions are C++', () => {
  for (const { mode, symbols } of compilePack(pack, 'x64').probes) {
    expect(mode).toBe('entry');
    for (const symbol of symbols) expect(symbol).toMatch(/^_ZN3c10/);
  }
});

it.skipIf(!available('g++', '--version'))('symbols are what a compiler makes of the declarations', () => {
  const assembly = execFileSync('g++', ['-xc++', '-S', '-o', '-', '-'], {
    input: DECLARATIONS,
    encoding: 'utf8',
  });
  const emitted = [...assembly.matchAll(/^(_ZN3c10\w+):$/gm)].map(([, name]) => name);
  expect(emitted).toEqual(compilePack(pack, 'x64').probes.flatMap((probe) => probe.symbols));
});

it('every device type is named by its number', () => {
  const body = /enum class DeviceType : int8_t \{([^}]*)\}/.exec(DECLARATIONS)?.[1] ?? '';
  const names = body.split(',').map((name) => name.trim().toLowerCase());
  expect(Object.values(pack.enums.device_type ?? {})).toEqual(
    names.map((name) => (name === 'privateuse1' ? 'privateuseone' : name)),
  );
});
