import { describe, expect, it } from 'vitest';
import { compileProbe } from '../../src/packs/compile.js';
import {
  type Arch,
  type CaptureSpec,
  type CompiledProbe,
  compilePack,
  MAX_SLOTS,
  type Pack,
  type ProbeSpec,
  type Slot,
  withStacks,
} from '../../src/packs/index.js';
import { typesOf } from './support/machine.js';

const TYPES = typesOf(`
  struct inner { int a; int b; };
  struct point { short x, y; };
  struct box { struct inner in; size_t n; char tag[6]; unsigned char flag; struct inner *next; float ratio; };
  struct large { size_t w, h; struct inner *p; };
  struct tail { long a; int b; };
  struct point3 { short x, y, z; };
  typedef void (*callback)(void);
`);

function compile(
  prototype: string,
  capture: CaptureSpec[],
  arch: Arch = 'x64',
  more: Partial<ProbeSpec> = {},
) {
  return compileProbe('test', { prototype, capture, ...more }, 0, TYPES, arch);
}

function probeOf(prototype: string, capture: CaptureSpec[], arch: Arch = 'x64'): CompiledProbe {
  const { probe, issues } = compile(prototype, capture, arch);
  expect(issues).toEqual([]);
  return probe as CompiledProbe;
}

/** r0, s1 as in the ABI tests; `r0+8:4@return` is 4 bytes at the address in r0 plus 8, read at return. */
function slotText({ from, deref }: Slot): string {
  const base = `${from.kind[0]}${'index' in from ? from.index : ''}`;
  return deref === undefined ? base : `${base}+${deref.offset}:${deref.size}@${deref.at}`;
}

/** Slots and, per column, slot[offset:size with sign]. */
function summary(probe: CompiledProbe): { slots: string[]; columns: string[] } {
  return {
    slots: probe.slots.map(slotText),
    columns: probe.columns.map(({ column, fields }) => {
      const text = fields.map(
        ({ slot, offset, size, signed }) => `${slot}[${offset}:${signed ? 'i' : 'u'}${size}]`,
      );
      return `${column}=${text.join('*')}`;
    }),
  };
}

const one = (prototype: string, arg: string, arch: Arch = 'x64', at?: 'return') =>
  summary(probeOf(prototype, [{ column: 'c', arg, ...(at === undefined ? {} : { at }) }], arch));

describe('paths', () => {
  it.each<[string, string, string, string]>([
    ['int f(int a, size_t size)', 'size', 'r1', 'c=0[0:u8]'],
    ['int f(int a)', 'a', 'r0', 'c=0[0:i4]'],
    ['int f(unsigned char a)', 'a', 'r0', 'c=0[0:u1]'],
    ['int f(short a)', 'a', 'r0', 'c=0[0:i2]'],
    ['int f(void *p)', 'p', 'r0', 'c=0[0:u8]'],
    ['int f(callback done)', 'done', 'r0', 'c=0[0:u8]'],
    ['int f(void **p)', '*p', 'r0+0:8@entry', 'c=0[0:u8]'],
    ['int f(int *p)', '*p', 'r0+0:4@entry', 'c=0[0:i4]'],
    ['int f(int *p)', 'p[3]', 'r0+12:4@entry', 'c=0[0:i4]'],
    ['int f(struct inner in)', 'in.b', 'r0', 'c=0[4:i4]'],
    ['int f(struct point p)', 'p.y', 'r0', 'c=0[2:i2]'],
    ['int f(struct box *b)', 'b->n', 'r0+8:8@entry', 'c=0[0:u8]'],
    ['int f(struct box *b)', 'b->in.b', 'r0+4:4@entry', 'c=0[0:i4]'],
    ['int f(struct box *b)', 'b->flag', 'r0+22:1@entry', 'c=0[0:u1]'],
    ['int f(struct box *b)', 'b->tag[2]', 'r0+18:1@entry', 'c=0[0:i1]'],
    ['int f(struct box *b)', 'b[1].n', 'r0+48:8@entry', 'c=0[0:u8]'],
    ['int f(struct box *b)', 'b -> next', 'r0+24:8@entry', 'c=0[0:u8]'],
    ['int f(struct box b)', 'b.n', 's1', 'c=0[0:u8]'],
    ['int f(struct box b)', 'b.in.b', 's0', 'c=0[4:i4]'],
    ['int f(struct large l)', 'l.p->b', 's2+4:4@entry', 'c=0[0:i4]'],
    ['int f(int a, int b, int c, int d, int e, int g, char h)', 'h', 's0', 'c=0[0:i1]'],
  ])('%s: %s', (prototype, path, slot, column) => {
    expect(one(prototype, path)).toEqual({ slots: [slot], columns: [column] });
  });

  it('a struct passed by reference on AArch64 is read through its address, at entry', () => {
    expect(one('int f(int a, struct large l)', 'l.h', 'arm64')).toEqual({
      slots: ['r1+8:8@entry'],
      columns: ['c=0[0:u8]'],
    });
  });

  it('plain char has the sign of the architecture', () => {
    expect(one('int f(char a)', 'a', 'x64').columns).toEqual(['c=0[0:i1]']);
    expect(one('int f(char a)', 'a', 'arm64').columns).toEqual(['c=0[0:u1]']);
  });

  it('at: return', () => {
    expect(one('int f(void **p)', '*p', 'x64', 'return').slots).toEqual(['r0+0:8@return']);
  });
});

describe('slots', () => {
  it('are shared by equal reads and by the fields of one eightbyte', () => {
    const probe = probeOf('int f(struct inner in, size_t n)', [
      { column: 'a', arg: 'in.a' },
      { column: 'b', arg: 'in.b' },
      { column: 'n', arg: 'n' },
      { column: 'square', product: ['n', 'n'] },
    ]);
    expect(summary(probe)).toEqual({
      slots: ['r0', 'r1'],
      columns: ['a=0[0:i4]', 'b=0[4:i4]', 'n=1[0:u8]', 'square=1[0:u8]*1[0:u8]'],
    });
  });

  it('are shared by what lies in the same aligned 8 bytes behind a pointer', () => {
    const probe = probeOf('int f(struct box *b)', [
      { column: 'flag', arg: 'b->flag' },
      { column: 'a', arg: 'b->in.a' },
      { column: 'b', arg: 'b->in.b' },
      { column: 'n', arg: 'b->n' },
    ]);
    expect(summary(probe)).toEqual({
      slots: ['r0+22:1@entry', 'r0+0:8@entry', 'r0+8:8@entry'],
      columns: ['flag=0[0:u1]', 'a=1[0:i4]', 'b=1[4:i4]', 'n=2[0:u8]'],
    });
  });

  it('are not shared when 8 bytes would reach past the object', () => {
    const capture = [
      { column: 'x', arg: 'p->x' },
      { column: 'z', arg: 'p->z' },
    ];
    expect(summary(probeOf('int f(struct point3 *p)', capture)).slots).toEqual([
      'r0+0:2@entry',
      'r0+4:2@entry',
    ]);
  });

  it('are not shared between entry and return', () => {
    const capture: CaptureSpec[] = [
      { column: 'a', arg: 'p->a' },
      { column: 'b', arg: 'p->b', at: 'return' },
    ];
    expect(summary(probeOf('int f(struct inner *p)', capture)).slots).toEqual([
      'r0+0:4@entry',
      'r0+4:4@return',
    ]);
  });

  it(`are at most ${MAX_SLOTS}`, () => {
    const names = Array.from({ length: MAX_SLOTS + 1 }, (_, index) => `a${index}`);
    const prototype = `int f(${names.map((name) => `int ${name}`).join(', ')})`;
    const capture = names.map((name) => ({ column: name, arg: name }));
    expect(probeOf(prototype, capture.slice(1)).slots).toHaveLength(MAX_SLOTS);
    expect(compile(prototype, capture).issues).toMatchObject([{ rule: 'too-many-slots' }]);
  });
});

describe('columns', () => {
  it('a product, and the conditions that make it NULL', () => {
    const probe = probeOf('int f(struct large *p)', [
      { column: 'bytes', product: ['p->w', 'p->h'], unless: ['p->p'] },
    ]);
    expect(probe.columns).toEqual([
      {
        column: 'bytes',
        fields: [
          { slot: 0, offset: 0, size: 8, signed: false },
          { slot: 1, offset: 0, size: 8, signed: false },
        ],
        unless: [{ slot: 2, offset: 0, size: 8, signed: false }],
      },
    ]);
  });

  it('a constant, constant factors, and sizes that go by an argument', () => {
    const { probe, issues } = compileProbe(
      'test',
      {
        prototype: 'int f(size_t n, int type)',
        capture: [
          { column: 'kind', value: 1, enum: 'direction' },
          { column: 'bytes', arg: 'n', times: 4 },
          { column: 'scaled', product: ['n', 'n'], scale: { arg: 'type', sizes: 'element' } },
          { column: 'one', value: 3, times: 2, scale: { arg: 'type', sizes: 'element' } },
        ],
      },
      0,
      TYPES,
      'x64',
      { sizes: { element: { 0: 1, 7: 4 } } },
    );
    expect(issues).toEqual([]);
    const n = { slot: 0, offset: 0, size: 8, signed: false };
    const scale = { field: { slot: 1, offset: 0, size: 4, signed: true }, factors: { 0: 1, 7: 4 } };
    expect(probe?.columns).toEqual([
      { column: 'kind', fields: [], times: 1, enum: 'direction' },
      { column: 'bytes', fields: [n], times: 4 },
      { column: 'scaled', fields: [n, n], scale },
      { column: 'one', fields: [], times: 6, scale },
    ]);
  });

  it('a product that is only known at return mixes both times on AArch64', () => {
    const probe = probeOf(
      'int f(size_t *pitch, struct large l)',
      [{ column: 'bytes', product: ['*pitch', 'l.h'], at: 'return' }],
      'arm64',
    );
    expect(summary(probe).slots).toEqual(['r0+0:8@return', 'r1+8:8@entry']);
  });
});

describe('return values', () => {
  it.each<[string, 0 | 32 | 64, boolean]>([
    ['int', 32, true],
    ['unsigned', 32, false],
    ['enum status', 32, false],
    ['long', 64, true],
    ['size_t', 64, false],
    ['void', 0, false],
    ['void *', 0, false],
    ['double', 0, false],
    ['struct inner', 0, false],
    // Neither ABI says what the upper bits of a narrow result are.
    ['bool', 0, false],
    ['short', 0, false],
  ])('%s', (type, returnBits, returnSigned) => {
    expect(probeOf(`${type} f(int a)`, [])).toMatchObject({ returnBits, returnSigned });
  });
});

describe('captures that contradict the prototype', () => {
  const rule = (
    prototype: string,
    spec: Partial<CaptureSpec>,
    arch: Arch = 'x64',
    more: Partial<ProbeSpec> = {},
  ) => {
    const { probe, issues } = compile(prototype, [{ column: 'c', ...spec }], arch, more);
    expect(probe).toBeUndefined();
    return issues.map(
      (issue) =>
        `${issue.at.slice(3).join('.')} ${issue.offset ?? '-'} ${issue.rule}: ${issue.message} (${issue.suggestion ?? ''})`,
    );
  };

  it.each<[string, string, string]>([
    ['int f(size_t size)', 'sise', 'arg 0 unknown-argument: f has no argument sise (did you mean size?)'],
    [
      'int f(size_t)',
      'size',
      'arg 0 unknown-argument: f has no argument size (the declaration names no arguments)',
    ],
    ['int f(size_t n)', '*n', 'not-a-pointer: uint64_t is not a pointer'],
    ['int f(void *p)', '*p', 'not-a-number: *p is of type void'],
    [
      'int f(struct box *b)',
      'b.n',
      'arg 1 not-a-struct: . needs a struct, this is struct box * (write -> instead of .)',
    ],
    [
      'int f(struct inner b)',
      'b->a',
      'arg 1 not-a-pointer: -> needs a pointer, this is struct inner (write . instead of ->)',
    ],
    [
      'int f(struct box *b)',
      'b->nxet',
      'arg 1 unknown-member: struct box has no member nxet (did you mean next?)',
    ],
    ['int f(struct box *b)', 'b->next->a', 'arg 7 two-dereferences'],
    ['int f(char **p)', '**p', 'two-dereferences'],
    ['int f(struct box *b)', '*b->next', 'two-dereferences'],
    ['int f(struct box *b)', 'b->tag[6]', 'arg 6 bad-index: index 6 is outside char[6]'],
    ['int f(struct box *b)', 'b->tag', 'not-a-number: b->tag is an array'],
    ['int f(struct box *b)', '*b', 'not-a-number: *b is a struct box (name one member: b->in, b->n'],
    ['int f(struct inner b)', 'b', 'not-a-number: b is a struct inner (name one member: b.a, b.b)'],
    ['int f(struct opaque *b)', 'b->a', 'incomplete-type: the members of struct opaque are not declared'],
    ['int f(double d)', 'd', 'float-value: d is a double'],
    ['int f(float *d)', '*d', 'float-value: *d is a float'],
    ['int f(__int128 d)', 'd', 'bad-type: d is 16 bytes wide'],
    ['int f(int a)', 'a + 1', 'bad-path: "a + 1" is not a path'],
    ['int f(int a)', '&a', 'bad-path: "&a" is not a path'],
  ])('%s: %s', (prototype, arg, expected) => {
    expect(rule(prototype, { arg })).toEqual([expect.stringContaining(expected)]);
  });

  it('two dereferences that only AArch64 needs', () => {
    expect(rule('int f(struct large l)', { arg: 'l.p->a' }, 'arm64')).toEqual([
      expect.stringContaining(
        'two-dereferences: a pointer inside a struct of more than 16 bytes passed by value',
      ),
    ]);
  });

  it.each<[string, Partial<CaptureSpec>, Partial<ProbeSpec>, string]>([
    ['int f(size_t n)', { arg: 'n', at: 'return' }, {}, 'only memory behind a pointer can be read at return'],
    ['int f(int *n)', { arg: '*n', at: 'return' }, { mode: 'entry' }, 'mode entry does not probe the return'],
    ['void *f(int *n)', { arg: '*n', at: 'return' }, {}, 'f returns no status'],
    ['int f(void *p)', { arg: 'p', enum: 'e' }, {}, 'enum e needs one integer argument'],
    ['int f(int a, int b)', { product: ['a', 'b'], enum: 'e' }, {}, 'enum e needs one integer argument'],
    ['int f(int a, void *b)', { product: ['a', 'b'] }, {}, 'a factor is a pointer'],
    ['int f(void *b)', { arg: 'b', times: 2 }, {}, 'a factor is a pointer'],
    ['int f(int a, void *b)', { arg: 'a', scale: { arg: 'b', sizes: 's' } }, {}, 'a size goes by an integer'],
    ['int f(int a)', { arg: 'a', times: 2, enum: 'e' }, {}, 'enum e needs one integer argument'],
    ['int f(int a)', { arg: 'a', scale: { arg: 'c', sizes: 's' } }, {}, 'f has no argument c'],
  ])('%s %j', (prototype, spec, more, expected) => {
    expect(rule(prototype, spec, 'x64', more)).toEqual([expect.stringContaining(expected)]);
  });

  it('all are reported', () => {
    const { issues } = compile('int f(int a)', [
      { column: 'x', arg: 'b' },
      { column: 'y', product: ['c', 'a', 'd'], unless: ['e'] },
    ]);
    expect(issues.map((issue) => issue.at.join('.'))).toEqual([
      'probes.0.capture.0.arg',
      'probes.0.capture.1.product.0',
      'probes.0.capture.1.product.2',
      'probes.0.capture.1.unless.0',
    ]);
  });
});

describe('compilePack', () => {
  const pack: Pack = {
    name: 'p',
    version: '1.0.0',
    description: 'd',
    layer: 'l',
    libraries: [{ soname: 'l.so' }],
    table: 't',
    enums: {},
    sizes: { element: { 0: 1, 7: 4 } },
    types: '',
    probes: [
      { prototype: 'int\n  f(int a)' },
      { prototype: 'void g(void)', op: 'h', symbols: ['g', 'g_v2'], mode: 'entry', required: true },
    ],
    tests: [],
    source: { path: 'p.yaml', text: '', sha256: '', fileSha256: '', overlays: [], disabled: {} },
  };

  it('adds stacks to every probe but those that refuse them', () => {
    const probes = [{ prototype: 'int f(int a)' }, { prototype: 'int g(int a)', stack: 'off' as const }];
    const all = withStacks(compilePack({ ...pack, probes }, 'x64'));
    expect(all.probes.map(({ name, slots }) => [name, slots.at(-1)?.from.kind])).toEqual([
      ['f', 'trace'],
      ['g', undefined],
    ]);
  });

  it('fills in the defaults', () => {
    expect(compilePack(pack, 'x64').probes).toMatchObject([
      {
        pack: 'p',
        op: 'f',
        name: 'f',
        prototype: 'int f(int a)',
        symbols: ['f'],
        mode: 'call',
        required: false,
      },
      { op: 'h', name: 'g', symbols: ['g', 'g_v2'], mode: 'entry', required: true },
    ]);
  });

  it('refuses a pack that was never checked', () => {
    expect(() => compilePack({ ...pack, probes: [{ prototype: 'int f(x_t a)' }] }, 'x64')).toThrowError(
      expect.objectContaining({
        code: 'bad-pack',
        exitCode: 8,
        message: expect.stringContaining('unknown type x_t'),
      }),
    );
  });
});
