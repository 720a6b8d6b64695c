import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ElfFile, resolvePatterns } from '../../src/discovery/index.js';
import { type Arch, compilePack, loadPackFile } from '../../src/packs/index.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { listing } from './support/listing.js';
import { available } from './support/tools.js';

const pack = loadPackFile(join(PACKAGE_ROOT, 'probes', 'pytorch-allocator.yaml'));

/** The two functions as c10/core/Allocator.h declares them, DeviceType as c10/core/DeviceType.h numbers it. */
const DECLARATIONS = `
  #include <cstddef>
  #include <cstdint>
  #include <memory>
  #include <utility>
  typedef struct CUstream_st* cudaStream_t;
  namespace c10 {
  enum class DeviceType : int8_t {
    CPU, CUDA, MKLDNN, OPENGL, OPENCL, IDEEP, HIP, FPGA, MAIA, XLA, Vulkan, Metal, XPU, MPS, Meta, HPU, VE, Lazy,
    IPU, MTIA, PrivateUse1
  };
  struct Device { DeviceType type_; int8_t index_ = -1; };
  void reportMemoryUsageToProfiler(void* ptr, int64_t alloc_size, size_t total_allocated, size_t total_reserved, Device device) {}
  void reportOutOfMemoryToProfiler(int64_t alloc_size, size_t total_allocated, size_t total_reserved, Device device) {}
  struct GatheredContext {};
  namespace cuda { namespace CUDACachingAllocator {
  struct TraceEntry { enum Action { ALLOC }; };
  namespace Native {
  struct DeviceCachingAllocator {
    void record_trace(TraceEntry::Action, size_t, size_t, cudaStream_t, int8_t, std::shared_ptr<GatheredContext>);
    void record_trace(TraceEntry::Action, size_t, size_t, cudaStream_t, int8_t, std::pair<uint64_t, uint64_t>, std::shared_ptr<GatheredContext>);
  };
  struct NativeCachingAllocator {
    void emptyCache();
    void emptyCache(std::pair<uint64_t, uint64_t>);
  };
  void DeviceCachingAllocator::record_trace(TraceEntry::Action, size_t, size_t, cudaStream_t, int8_t, std::shared_ptr<GatheredContext>) {}
  void NativeCachingAllocator::emptyCache() {}
  #ifdef LATER
  void DeviceCachingAllocator::record_trace(TraceEntry::Action, size_t, size_t, cudaStream_t, int8_t, std::pair<uint64_t, uint64_t>, std::shared_ptr<GatheredContext>) {}
  void NativeCachingAllocator::emptyCache(std::pair<uint64_t, uint64_t>) {}
  #endif
  }}}
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

it.skipIf(!available('g++', '--version'))(
  "patterns find the allocator's functions in later versions too",
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'ingero-c10-'));
    try {
      const library = join(dir, 'libc10_cuda.so');
      const args = ['-xc++', '-DLATER', '-fPIC', '-shared', '-o', library, '-'];
      execFileSync('g++', args, { input: DECLARATIONS });
      const elf = ElfFile.open(library);
      const { probes } = compilePack(pack, 'x64');
      const found = resolvePatterns(
        elf,
        probes.flatMap(({ patterns }) => patterns),
      );
      elf.close();
      const symbols = [...found.values()].map((result) =>
        result.symbols.map((symbol) => symbol.replace(/.*Native22/, '')),
      );
      expect(symbols).toEqual([
        [
          expect.stringMatching(/record_trace.*staSt10shared/),
          expect.stringMatching(/record_trace.*staSt4pair/),
        ],
        ['NativeCachingAllocator10emptyCacheESt4pairImmE', 'NativeCachingAllocator10emptyCacheEv'],
      ]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);

it('every device type is named by its number', () => {
  const body = /enum class DeviceType : int8_t \{([^}]*)\}/.exec(DECLARATIONS)?.[1] ?? '';
  const names = body.split(',').map((name) => name.trim().toLowerCase());
  expect(Object.values(pack.enums.device_type ?? {})).toEqual(
    names.map((name) => (name === 'privateuse1' ? 'privateuseone' : name)),
  );
});
