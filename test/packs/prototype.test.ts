import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CType, sizeOf, spell } from '../../src/packs/ctype.js';
import { parsePrototype, parseTypes, standardTypes } from '../../src/packs/prototype.js';

/** Parameter types of a declaration, spelled with fixed-width names. */
function paramsOf(text: string, types = ''): string[] {
  const parsed = parsePrototype(text, parseTypes(types).types);
  expect(parsed.issues).toEqual([]);
  return parsed.prototype?.params.map((param) => `${spell(param.type)} ${param.name ?? '?'}`) ?? [];
}

function issueOf(text: string, types = ''): string {
  const { types: table, issues: typeIssues } = parseTypes(types);
  const { issues } = parsePrototype(text, table);
  return [...typeIssues, ...issues]
    .map((issue) => `${issue.offset} ${issue.rule}: ${issue.message} (${issue.suggestion ?? ''})`)
    .join('; ');
}

describe('integer types', () => {
  it.each([
    ['char c', 'char c'],
    ['signed char c', 'int8_t c'],
    ['unsigned char c', 'uint8_t c'],
    ['short s', 'int16_t s'],
    ['short unsigned int s', 'uint16_t s'],
    ['int i', 'int32_t i'],
    ['signed i', 'int32_t i'],
    ['unsigned u', 'uint32_t u'],
    ['int unsigned u', 'uint32_t u'],
    ['long l', 'int64_t l'],
    ['long int signed l', 'int64_t l'],
    ['unsigned long l', 'uint64_t l'],
    ['long long l', 'int64_t l'],
    ['long unsigned int long l', 'uint64_t l'],
    ['size_t n', 'uint64_t n'],
    ['ssize_t n', 'int64_t n'],
    ['uintptr_t n', 'uint64_t n'],
    ['int8_t n', 'int8_t n'],
    ['uint16_t n', 'uint16_t n'],
    ['bool b', 'uint8_t b'],
    ['_Bool b', 'uint8_t b'],
    ['enum anything e', 'uint32_t e'],
    ['__int128 w', 'int128_t w'],
    ['double d', 'double d'],
    ['long double d', 'long double d'],
  ])('%s', (written, read) => {
    expect(paramsOf(`int f(${written})`)).toEqual([read]);
  });
});

describe('declarators', () => {
  it.each([
    ['const void *const volatile *restrict p', 'void * * p'],
    ['char const *argv[]', 'char * * argv'],
    ['int matrix[4][8]', 'int32_t[8] * matrix'],
    ['struct opaque *p', 'struct opaque * p'],
    ['void **', 'void * * ?'],
    ['size_t n __dv(0)', 'uint64_t n'],
    ['int n = (1, 2)', 'int32_t n'],
    ['/* how many */ int n // really', 'int32_t n'],
  ])('%s', (written, read) => {
    expect(paramsOf(`int f(${written}\n)`)).toEqual([read]);
  });

  it('no parameters, with and without void, decorations and semicolon', () => {
    for (const text of ['void f(void)', 'void f()', 'extern __host__ void CUDARTAPI f(void);']) {
      expect(paramsOf(text)).toEqual([]);
    }
  });

  it('results', () => {
    const { prototype } = parsePrototype('const char *name(int)', standardTypes());
    expect(spell(prototype?.returns as CType)).toBe('char *');
  });
});

describe('types', () => {
  it('lays out structs, unions, arrays and unnamed members as C does', () => {
    const { types, issues } = parseTypes(`
      typedef struct { char a; short b; int c; char d; } Small;
      struct Outer { char tag; Small small[2]; union { double x; char y[9]; }; void (*call)(int, ...); };
      typedef union { char c; int i; } Either;
      struct Flexible { int n; char data[]; };
    `);
    expect(issues).toEqual([]);
    expect(
      [...types.names].filter(([name]) => /^[A-Z]/.test(name)).map(([name, type]) => [name, sizeOf(type)]),
    ).toEqual([
      ['Small', 12],
      ['Outer', 56],
      ['Either', 4],
      ['Flexible', 4],
    ]);
  });

  it('a tag is a name, a typedef may be made before its struct', () => {
    const types =
      'typedef struct node node_t; struct node { node_t *next; int v; }; typedef struct node node;';
    expect(paramsOf('int f(node a, node_t *b, struct node c)', types)).toEqual([
      'struct node a',
      'struct node * b',
      'struct node c',
    ]);
  });

  it('enums are unsigned unless an enumerator is negative', () => {
    expect(paramsOf('int f(enum a x, b y)', 'enum a { P = 1, Q }; typedef enum { R = -1 } b;')).toEqual([
      'uint32_t x',
      'int32_t y',
    ]);
  });
});

describe('what cannot be read is said', () => {
  it.each([
    ['int f(const char *format, ...)', '26 variadic: variadic function'],
    [
      'int f(void (*done)(int))',
      '6 function-pointer: parameter done is a function pointer written out (typedef',
    ],
    ['int f(sise_t n)', '6 unknown-type: unknown type sise_t (did you mean size_t?)'],
    ['foo_t f(bar_t n)', '0 unknown-type: unknown type foo_t'],
    [
      'int f(struct big b)',
      '6 incomplete-type: struct big is passed by value but its members are not declared',
    ],
    ['int f(int a, int a)', '13 duplicate-parameter: two parameters are named a'],
    ['f(int a)', '0 c-syntax: f has no return type'],
    ['int f', '4 c-syntax: not a function declaration'],
    ['int f(int a', '11 c-syntax: expected ")", found the end of the text'],
    ['int f(int a) { return 0; }', '13 c-syntax: unexpected "{" after the declaration'],
    [
      'int f(int &a)',
      '10 c-syntax: C++ reference in a C declaration (a reference is passed as a pointer: write *)',
    ],
    ['void c10::f(int a)', '8 c-syntax: C++ name in a C declaration'],
    ['int f(float long a)', '6 unknown-type: no such type: float long'],
    ['int f(__attribute__((x)) int a)', '6 unsupported-attribute: __attribute__ is not supported'],
    ['int f(int a @)', '12 c-syntax: unexpected character "@"'],
    ['', '0 c-syntax: expected a type'],
  ])('%s', (text, expected) => {
    expect(issueOf(text)).toContain(expected);
  });

  it('all unknown types of one declaration', () => {
    expect(issueOf('aa_t f(bb_t x, cc_t *y)').match(/unknown type \w+/g)).toEqual([
      'unknown type aa_t',
      'unknown type bb_t',
      'unknown type cc_t',
    ]);
  });

  it.each([
    ['struct s { int a : 3; };', 'unsupported-bitfield'],
    ['struct s { int a; int a; };', 'duplicate-member'],
    ['struct s { int a; }; struct s { int a; };', 'duplicate-type'],
    ['struct s { struct s inner; };', 'incomplete-type'],
    ['struct s { void nothing; };', 'incomplete-type'],
    ['struct s { };', 'has no members'],
    ['struct s { int a[N]; };', 'array length is not a number'],
    ['struct s { char a[4000000000]; };', 'too large'],
    ['int counter;', 'counter is not a type'],
    ['#define X 1', 'preprocessor line'],
    ['enum e { A', 'enum without }'],
    [`typedef int ${'*'.repeat(100)}p;`, 'nested too deeply'],
    [`typedef int ${'('.repeat(100)}p;`, 'nested too deeply'],
    [`struct a { ${'struct { '.repeat(100)}`, 'nested too deeply'],
  ])('%s', (types, expected) => {
    expect(issueOf('void f(void)', types)).toContain(expected);
  });

  it('a broken declaration is reported once, not again where its names are used', () => {
    const issues = issueOf(
      'int f(thing a, other_t b)',
      'typedef struct { int a : 1; } thing; typedef int other_t;',
    );
    expect(issues).toBe(
      '23 unsupported-bitfield: bit-fields are not supported (declare the whole integer as one member)',
    );
  });
});

describe('properties', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,6}$/).map((word) => `v_${word}`);
  const base = fc.constantFrom('int', 'unsigned long', 'char', 'size_t', 'double', 'struct s', 'enum e');

  it('white space and comments between tokens change nothing', () => {
    const gap = fc.constantFrom(' ', '\n', '\t', ' /* x */ ', ' // y\n');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(base, fc.nat(3), name), { maxLength: 6 }),
        gap,
        gap,
        (params, one, two) => {
          const unique = params.map(([type, stars, word], index) => [
            type,
            '*'.repeat(stars + 1),
            `${word}${index}`,
          ]);
          const plain = `int f(${unique.map((words) => words.join(' ')).join(', ') || 'void'})`;
          const spaced = `int${one}f${two}(${unique.map((words) => words.join(two)).join(`${one},${two}`) || 'void'}${one})`;
          const types = standardTypes();
          expect(parsePrototype(spaced, types).prototype).toEqual(parsePrototype(plain, types).prototype);
        },
      ),
    );
  });

  it('the order of the words of an integer type changes nothing', () => {
    const words = fc.constantFrom<string[]>(
      ['unsigned', 'long', 'long', 'int'],
      ['signed', 'short', 'int'],
      ['unsigned', 'char', 'const'],
    );
    fc.assert(
      fc.property(
        words.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
        ),
        ([list, shuffled]) => {
          expect(paramsOf(`int f(${shuffled.join(' ')} x)`)).toEqual(paramsOf(`int f(${list.join(' ')} x)`));
        },
      ),
    );
  });

  it('never throws, and explains every refusal', () => {
    const word = fc.constantFrom(
      ...['int', 'struct', 'enum', 'union', 'typedef', 'void', '*', '(', ')', '[', ']', '{', '}', ',', ';'],
      ...['...', 'x', 'y', '3', ':', '=', 'const', '::', '&', '__dv', '#', '@'],
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        const text = words.join(' ');
        parseTypes(text);
        const { prototype, issues } = parsePrototype(text, standardTypes());
        expect(prototype === undefined).toBe(issues.length > 0);
      }),
      { numRuns: 2000, seed: 1 },
    );
  });
});
