import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Arch, compilePack, loadPackFile } from '../../src/packs/index.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { listing } from './support/listing.js';

const pack = loadPackFile(join(PACKAGE_ROOT, 'probes', 'nccl.yaml'));

describe('compiled', () => {
  it.each<Arch>(['x64', 'arm64'])('%s', async (arch) => {
    await expect(listing(compilePack(pack, arch))).toMatchFileSnapshot(`fixtures/nccl.${arch}.txt`);
  });

  it('every probe but that of a text returns a status of 32 bits', () => {
    const others = compilePack(pack, 'x64').probes.filter(({ returnBits }) => returnBits !== 32);
    expect(others.map(({ op }) => op)).toEqual(['ncclGetLastError']);
  });

  it('the unique id is on the stack on x86-64, and behind a pointer on AArch64', () => {
    const init = (arch: Arch) => {
      const probe = compilePack(pack, arch).probes.find(({ op }) => op === 'ncclCommInitRank');
      const slot = (column: string) =>
        probe?.slots[probe.columns.find((value) => value.column === column)?.fields[0]?.slot ?? -1];
      return [slot('nranks'), slot('comm_id'), slot('rank')];
    };
    expect(init('x64')).toEqual([
      { from: { kind: 'register', index: 1 } },
      { from: { kind: 'stack', index: 0 } },
      { from: { kind: 'register', index: 2 } },
    ]);
    expect(init('arm64')).toEqual([
      { from: { kind: 'register', index: 1 } },
      { from: { kind: 'register', index: 2 }, deref: { at: 'entry', offset: 0, size: 8 } },
      { from: { kind: 'register', index: 3 } },
    ]);
  });
});

it('every collective and transfer has bytes that go by the data type', () => {
  const transfers = compilePack(pack, 'x64').probes.filter(({ prototype }) =>
    prototype.includes('ncclDataType_t datatype, '),
  );
  const sized = transfers.filter(({ columns }) => columns.some(({ scale }) => scale !== undefined));
  expect(transfers.filter((probe) => !sized.includes(probe)).map(({ op }) => op)).toEqual([
    'ncclRedOpCreatePreMulSum',
  ]);
  expect(sized).toHaveLength(12);
});

it('every data type with a name has a size', () => {
  expect(Object.keys(pack.sizes.datatype ?? {})).toEqual(Object.keys(pack.enums.datatype ?? {}));
});

it('no profiling alias is probed: it is the same function', () => {
  const symbols = compilePack(pack, 'x64').probes.flatMap((probe) => probe.symbols);
  expect(symbols.filter((symbol) => !symbol.startsWith('nccl'))).toEqual([]);
});
