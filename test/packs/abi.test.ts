import { describe, expect, it } from 'vitest';
import { type Location, locateArguments } from '../../src/packs/abi.js';
import type { Arch } from '../../src/packs/index.js';
import { parsePrototype, parseTypes } from '../../src/packs/prototype.js';

const TYPES = `
  struct dim3 { unsigned x, y, z; };
  struct extent { size_t w, h, d; };
  struct id { char internal[128]; };
  struct pair { double a; long b; };
  struct quad { double a, b, c, d; };
  struct floats { float a, b, c; };
  struct big { long a, b, c; };
  struct wide { __int128 v; };
`;

/** Locations in short: r0 = first integer register, s0 = first stack eightbyte, v = vector, & = address of a copy. */
function locate(params: string, arch: Arch, returns = 'int'): string {
  const { prototype, issues } = parsePrototype(`${returns} f(${params})`, parseTypes(TYPES).types);
  expect(issues).toEqual([]);
  const word = (location: Location): string => {
    const words = location.by === 'value' ? location.words : [location.word];
    const text = words.map((at) => (at.kind === 'vector' ? 'v' : `${at.kind[0]}${at.index}`)).join('+');
    return location.by === 'value' ? text : `&${text}`;
  };
  return prototype === undefined ? '' : locateArguments(prototype, arch).map(word).join(' ');
}

const ids = 'id a, id b, id c, id d, id e';

/** Worked out by hand from psABI 3.2.3 and AAPCS64 6.8.2; the first three match the disassembled libraries. */
describe.each([
  {
    what: 'cudaLaunchKernel',
    params: 'void *f, dim3 grid, dim3 block, void **args, size_t smem, void *stream',
    x64: 'r0 r1+r2 r3+r4 r5 s0 s1',
    arm64: 'r0 r1+r2 r3+r4 r5 r6 r7',
  },
  {
    what: 'ncclCommInitRank',
    params: 'void **comm, int nranks, id unique, int rank',
    x64: `r0 r1 ${Array.from({ length: 16 }, (_, index) => `s${index}`).join('+')} r2`,
    arm64: 'r0 r1 &r2 r3',
  },
  {
    what: 'cudaMemset3DAsync',
    params: 'quad pitched, int value, extent e, void *stream',
    // Four doubles travel in vector registers on AArch64; cudaPitchedPtr, which has a pointer, does not.
    x64: 's0+s1+s2+s3 r0 s4+s5+s6 r1',
    arm64: 'v+v+v+v r0 &r1 r2',
  },
  {
    what: 'floats use no integer register',
    params: 'float a, int b, double c, int d',
    x64: 'v r0 v r1',
    arm64: 'v r0 v r1',
  },
  { what: 'mixed struct', params: 'int a, pair p, int b', x64: 'r0 v+r1 r2', arm64: 'r0 r1+r2 r3' },
  { what: 'small float struct', params: 'floats a, int b', x64: 'v+v r0', arm64: 'v+v r0' },
  {
    what: 'a struct that does not fit whole: SysV fills the register later, AAPCS64 does not',
    params: 'long a, long b, long c, long d, long e, long x, long y, dim3 s, long g',
    x64: 'r0 r1 r2 r3 r4 r5 s0 s1+s2 s3',
    arm64: 'r0 r1 r2 r3 r4 r5 r6 s0+s1 s2',
  },
  {
    what: 'the register left over by it',
    params: 'long a, long b, long c, long d, long e, dim3 s, long g',
    x64: 'r0 r1 r2 r3 r4 s0+s1 r5',
    arm64: 'r0 r1 r2 r3 r4 r5+r6 r7',
  },
  {
    what: '16-byte alignment',
    params: 'int a, __int128 b, int c, int d, int e, int g, wide h, int i',
    x64: 'r0 r1+r2 r3 r4 r5 s0 s2+s3 s4',
    arm64: 'r0 r2+r3 r4 r5 r6 r7 s0+s1 s2',
  },
  {
    what: 'vector registers run out',
    params: `${Array.from({ length: 7 }, (_, index) => `double d${index}`).join(', ')}, quad q, double z, int i`,
    x64: 'v v v v v v v s0+s1+s2+s3 v r0',
    arm64: 'v v v v v v v s0+s1+s2+s3 s4 r0',
  },
  {
    what: 'addresses of copies on the stack',
    params: `${ids}, big g, big h, big i, big j`,
    x64: [
      ...[0, 1, 2, 3, 4].map((at) =>
        Array.from({ length: 16 }, (_, index) => `s${at * 16 + index}`).join('+'),
      ),
      ...[80, 83, 86, 89].map((at) => `s${at}+s${at + 1}+s${at + 2}`),
    ].join(' '),
    arm64: '&r0 &r1 &r2 &r3 &r4 &r5 &r6 &r7 &s0',
  },
])('$what', ({ params, x64, arm64 }) => {
  it('x86-64', () => expect(locate(params, 'x64')).toBe(x64));
  it('AArch64', () => expect(locate(params, 'arm64')).toBe(arm64));
});

describe('the address of the result', () => {
  it.each([
    ['big', 'r1 r2', 'r0 r1'],
    ['quad', 'r1 r2', 'r0 r1'],
    ['pair', 'r0 r1', 'r0 r1'],
    ['long double', 'r0 r1', 'r0 r1'],
    ['void', 'r0 r1', 'r0 r1'],
  ])('%s', (returns, x64, arm64) => {
    expect(locate('int a, void *b', 'x64', returns)).toBe(x64);
    expect(locate('int a, void *b', 'arm64', returns)).toBe(arm64);
  });
});
