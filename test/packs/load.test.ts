import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  formatProblems,
  loadBuiltinPacks,
  loadPackFile,
  MAX_PACK_BYTES,
  parsePack,
} from '../../src/packs/index.js';

const GOOD = `schema: 1
name: site
version: 1.0.0
description: A site's own library
layer: site
libraries:
  - soname: libsite.so.*
table: cuda_events
enums:
  direction: { 0: h2d, 1: d2h }
  status: { 0: OK, -1: FAILED }
result: status
types: |
  typedef struct { size_t bytes; int device; } request;
probes:
  - prototype: int site_copy(const request *r, unsigned direction)
    capture:
      - { arg: r->bytes, column: bytes }
      - { arg: r->device, column: device }
      - { arg: direction, column: kind, enum: direction }
  - prototype: int site_alloc(void **out, size_t n)
    symbols: [site_alloc, site_alloc_v2]
    required: true
    capture:
      - { arg: '*out', at: return, column: ptr }
`;

/** Line, the word the caret is under, rule and message of every problem of a text. */
function problemsOf(text: string): string[] {
  const { pack, problems } = parsePack(text, 'x.yaml');
  expect(pack === undefined).toBe(problems.length > 0);
  return problems.map(({ line, column, rule, message, snippet }) => {
    const word = /^[^\s,)\]}]*/.exec(snippet.slice(column - 1))?.[0];
    return `${line} ${word} ${rule}: ${message}`;
  });
}

/** Problems of the good pack with one piece replaced. */
function changed(from: string, to: string): string[] {
  expect(GOOD).toContain(from);
  return problemsOf(GOOD.replace(from, to));
}

describe('a good pack', () => {
  it('is read whole', () => {
    const { pack, problems } = parsePack(GOOD, 'probes/site.yaml');
    expect(problems).toEqual([]);
    expect(pack).toMatchObject({
      name: 'site',
      version: '1.0.0',
      layer: 'site',
      libraries: [{ soname: 'libsite.so.*' }],
      table: 'cuda_events',
      enums: { direction: { 0: 'h2d', 1: 'd2h' }, status: { 0: 'OK', [-1]: 'FAILED' } },
      result: 'status',
      source: { path: 'probes/site.yaml', text: GOOD },
    });
    expect(pack?.probes[1]).toEqual({
      prototype: 'int site_alloc(void **out, size_t n)',
      symbols: ['site_alloc', 'site_alloc_v2'],
      required: true,
      capture: [{ arg: '*out', at: 'return', column: 'ptr' }],
    });
    expect(pack?.source.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it('may leave out enums, types and result', () => {
    const text = GOOD.replace(/^enums:[\s\S]*?^probes:/m, 'probes:')
      .replaceAll('request', 'void')
      .replaceAll(/^ +- \{ arg: (r->|dir).*\n/gm, '')
      .replace('    capture:\n  - proto', '  - proto');
    const { pack, problems } = parsePack(text, 'x.yaml');
    expect(problems).toEqual([]);
    expect(pack).toMatchObject({ enums: {}, types: '' });
    expect(pack).not.toHaveProperty('result');
  });

  it('may use anchors', () => {
    const text = GOOD.replace('    symbols:', '    mode: &m call\n    symbols:').replace(
      '    capture:\n      - { arg: r',
      '    capture: &c\n      - { arg: r',
    );
    expect(problemsOf(text)).toEqual([]);
  });
});

describe('each rule', () => {
  it.each<[string, string, string, string[]]>([
    [
      'unknown key',
      'layer: site',
      'layer: site\nlibrarys: []',
      ['6 librarys: unknown-key: unknown key librarys'],
    ],
    ['missing key', 'layer: site\n', '', ['1 schema: missing-key: the pack has no layer']],
    [
      'number for text',
      'version: 1.0.0',
      'version: 1.0',
      ['3 1.0 wrong-type: version must be of type string'],
    ],
    ['bad version', 'version: 1.0.0', 'version: one', ['3 one wrong-value: "one" is not a valid version']],
    ['bad choice', 'at: return', 'at: retrun', ['25 retrun wrong-value: at must be one of entry, return']],
    [
      'bad column name',
      'column: bytes',
      'column: "a b"',
      [
        '18 "a wrong-value: "a b" is not a valid column',
        '18 "a unknown-column: table cuda_events has no column a b',
      ],
    ],
    ['bad enum key', '0: h2d', 'zero: h2d', ['10 zero: wrong-value: "zero" cannot be a key of direction']],
    ['bad enum name', '0: OK', '0: "O\'K"', [`11 "O'K" wrong-value: "O'K" is not a valid name`]],
    [
      'arg and product',
      'arg: r->bytes,',
      'arg: r->bytes, product: [r->bytes, r->device],',
      ['18 { one-value: give one of arg, of, product and value'],
    ],
    ['neither', 'arg: r->bytes, ', '', ['18 { one-value: give one of arg, of, product and value']],
    [
      'unknown table',
      'table: cuda_events',
      'table: cuda_event',
      ['8 cuda_event unknown-table: there is no event table cuda_event'],
    ],
    ['unknown result', 'result: status', 'result: stats', ['12 stats unknown-enum: there is no enum stats']],
    [
      'result without 0',
      '0: OK, ',
      '',
      ['12 status result-without-success: enum status does not name 0, success'],
    ],
    [
      'duplicate op',
      '    required: true',
      '    op: site_copy',
      ['23 site_copy duplicate-op: two probes are named site_copy'],
    ],
    [
      'duplicate symbol',
      '[site_alloc, site_alloc_v2]',
      '[site_alloc, site_copy]',
      ['22 site_copy duplicate-symbol: symbol site_copy is probed twice'],
    ],
    [
      'C++ return probe',
      '[site_alloc, site_alloc_v2]',
      '[_ZN4site5allocEv]',
      [
        '22 _ZN4site5allocEv cpp-return-probe: _ZN4site5allocEv is a C++ function: a return probe kills the process when it throws',
      ],
    ],
    [
      'duplicate column',
      'direction, column: kind, enum: direction',
      'direction, column: bytes',
      ['20 bytes duplicate-column: column bytes is captured twice'],
    ],
    [
      'unknown column',
      'column: bytes',
      'column: byte',
      ['18 byte unknown-column: table cuda_events has no column byte'],
    ],
    [
      'own column',
      'column: bytes',
      'column: start_time',
      ['18 start_time unknown-column: column start_time is filled by ingero itself'],
    ],
    [
      'unknown enum',
      'enum: direction }',
      'enum: directions }',
      ['20 directions unknown-enum: there is no enum directions'],
    ],
    [
      'unknown sizes',
      'arg: r->bytes,',
      'arg: r->bytes, scale: { arg: direction, sizes: elements },',
      ['18 elements unknown-sizes: there are no sizes elements'],
    ],
    [
      'a size that is none',
      'result: status',
      'sizes: { element: { 0: -1 } }\nresult: status',
      ['12 -1 wrong-value: size must be >= 0'],
    ],
    [
      'a constant without a name',
      'arg: direction,',
      'value: 2,',
      ['20 2 unknown-enum: enum direction does not name 2'],
    ],
    [
      'a constant that does not fit',
      'arg: r->device,',
      'value: 4294967295,',
      ['19 4294967295 column-type: column device (INTEGER) cannot hold every unsigned 32-bit value'],
    ],
    [
      'a negative constant',
      'arg: r->bytes,',
      'value: -1,',
      ['18 -1 column-type: column bytes (UBIGINT) cannot hold every signed 8-bit value'],
    ],
    [
      'enum for numbers',
      'column: device }',
      'column: device, enum: direction }',
      ['19 direction column-type: column device holds numbers (INTEGER), not names'],
    ],
    [
      'no enum for names',
      ', enum: direction }',
      ' }',
      ['20 kind column-type: column kind holds names: the capture needs an enum'],
    ],
    [
      'strange name',
      '1: d2h }',
      '1: up }',
      ['20 direction column-type: enum direction has the name up, which column kind cannot hold'],
    ],
    [
      'value too wide',
      'arg: r->device, column: device',
      'arg: r->bytes, column: device',
      ['19 r->bytes column-type: column device (INTEGER) cannot hold every unsigned 64-bit value'],
    ],
    [
      'sign',
      'arg: r->bytes, column: bytes',
      'product: [r->bytes, r->device], column: bytes',
      ['18 [r->bytes column-type: column bytes (UBIGINT) cannot hold every signed 32-bit value'],
    ],
    [
      'unknown argument',
      'arg: direction',
      'arg: dirction',
      ['20 dirction unknown-argument: site_copy has no argument dirction'],
    ],
    ['unknown member', 'r->device', 'r->dev', ['19 ->dev unknown-member: request has no member dev']],
    [
      'prototype',
      'unsigned direction)',
      'unsinged direction)',
      ['16 unsinged unknown-type: unknown type unsinged'],
    ],
    ['types', 'int device;', 'itn device;', ['14 itn unknown-type: unknown type itn']],
    [
      'duplicate key',
      'layer: site',
      'layer: site\nlayer: other',
      ['6 layer: duplicate-key: key layer is given twice'],
    ],
    ['unquoted pointer', "'*out'", '*out', ['25 *out yaml-syntax: *out is a YAML alias without an anchor']],
  ])('%s', (_, from, to, expected) => {
    expect(changed(from, to)).toEqual(expected);
  });

  it('a literal *p in a pack with at: return but mode: entry', () => {
    expect(changed('    required: true', '    mode: entry')).toEqual([
      '25 return bad-at-return: mode entry does not probe the return',
    ]);
  });

  it('256 probes are accepted, 257 are not', () => {
    const probes = Array.from({ length: 257 }, (_, index) => `  - prototype: int f${index}(void)\n`);
    expect(problemsOf(GOOD + probes.slice(0, 254).join(''))).toEqual([]);
    expect(problemsOf(GOOD + probes.slice(0, 255).join(''))).toEqual([
      '16 - too-long: probes must NOT have more than 256 items',
    ]);
  });
});

describe('all problems are reported together', () => {
  const BAD = GOOD.replace('layer: site\n', 'layer: site\nlayers: 2\n')
    .replace('column: bytes', 'column: bites')
    .replace('arg: direction', 'arg: dir')
    .replace('site_alloc_v2]', 'site-alloc]')
    .replace('size_t n)', 'sise_t n)');

  it('in the order of the lines', () => {
    expect(problemsOf(BAD)).toEqual([
      '6 layers: unknown-key: unknown key layers',
      '19 bites unknown-column: table cuda_events has no column bites',
      '21 dir unknown-argument: site_copy has no argument dir',
      '22 sise_t unknown-type: unknown type sise_t',
      '23 site-alloc wrong-value: "site-alloc" is not a valid symbol',
    ]);
  });

  it('and printed like a compiler prints them', () => {
    expect(formatProblems(parsePack(BAD, 'probes/site.yaml').problems.slice(1, 4))).toBe(
      [
        'probes/site.yaml:19:34: error: table cuda_events has no column bites [unknown-column]',
        '    19 |       - { arg: r->bytes, column: bites }',
        `${'       | '.padEnd(9 + 33)}^`,
        '       = did you mean bytes?',
        '',
        'probes/site.yaml:21:16: error: site_copy has no argument dir [unknown-argument]',
        '    21 |       - { arg: dir, column: kind, enum: direction }',
        `${'       | '.padEnd(9 + 15)}^`,
        '       = one of: r, direction',
        '',
        'probes/site.yaml:22:43: error: unknown type sise_t [unknown-type]',
        '    22 |   - prototype: int site_alloc(void **out, sise_t n)',
        `${'       | '.padEnd(9 + 42)}^`,
        '       = did you mean size_t?',
      ].join('\n'),
    );
  });
});

describe('places inside C text', () => {
  it.each([
    ['plain', 'prototype: int f(sise_t n)', 18],
    ['single quotes', "prototype: 'int f(sise_t n)'", 19],
    ['double quotes', 'prototype: "int f(sise_t n)"', 19],
  ])('%s scalar', (_, text, column) => {
    const { problems } = parsePack(`${GOOD}  - ${text}\n`, 'x.yaml');
    expect(problems).toMatchObject([{ line: 26, column: column + 4, rule: 'unknown-type' }]);
  });

  it('block scalar', () => {
    const { problems } = parsePack(
      `${GOOD}  - prototype: |\n      int f(int a,\n            sise_t n)\n`,
      'x.yaml',
    );
    expect(problems).toMatchObject([{ line: 28, column: 13, snippet: '            sise_t n)' }]);
  });

  it('a scalar that is not verbatim: its beginning', () => {
    const { problems } = parsePack(`${GOOD}  - prototype: int f(int a,\n      sise_t n)\n`, 'x.yaml');
    expect(problems).toMatchObject([{ line: 26, column: 16 }]);
  });
});

describe('a later grammar', () => {
  it('is the only problem, whatever else is in the file', () => {
    const text = GOOD.replace('schema: 1', 'schema: 2').replace('layer: site', 'strata: [site');
    expect(problemsOf(text)).toEqual([
      '1 2 newer-grammar: this file needs grammar version 2; this ingero reads version 1',
    ]);
  });

  it.each([['0'], ['-1'], ['1.5'], ['"1"'], ['[]']])('schema: %s', (version) => {
    expect(changed('schema: 1', `schema: ${version}`)).toHaveLength(1);
  });
});

describe('hostile files', () => {
  it.each<[string, string, string]>([
    ['empty', '', 'wrong-type: the pack must be of type object'],
    ['a scalar', 'hello', 'wrong-type: the pack must be of type object'],
    ['a list', '- a', 'wrong-type: the pack must be of type object'],
    ['two documents', `${GOOD}---\n${GOOD}`, 'yaml-syntax'],
    ['NUL', `${GOOD}# \0`, 'not-text: the file contains a NUL byte'],
    ['too large', `${GOOD}# ${'x'.repeat(MAX_PACK_BYTES)}`, 'too-large'],
    ['unknown tag', GOOD.replace('site', '!!python/object:os.system site'), 'yaml-syntax: Unresolved tag'],
    ['unclosed', GOOD.replace('}', ''), 'yaml-syntax'],
    ['deep flow nesting', `a: ${'['.repeat(200_000)}`, 'too-complex'],
    ['deep block nesting', `a: ${'- '.repeat(200_000)}b`, ''],
    ['deep maps', Array.from({ length: 1200 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'), ''],
    ['many keys', Array.from({ length: 60_000 }, (_, index) => `key${index}: 1`).join('\n'), 'unknown-key'],
    ['many aliases', `a: &a [1]\nb: [${'*a, '.repeat(100_000)}1]`, 'too-complex: Excessive alias count'],
    [
      'billion laughs',
      Array.from(
        { length: 12 },
        (_, n) => `k${n}: &k${n} [${n === 0 ? '1' : `*k${n - 1}, `.repeat(9)}]`,
      ).join('\n'),
      'too-complex',
    ],
    ['self-reference', 'a: &a [*a]', ''],
    ['prototype key', `${GOOD}__proto__: { polluted: 1 }\n`, 'unknown-key: unknown key __proto__'],
    ['merge key', `${GOOD}<<: { name: other }\n`, 'unknown-key: unknown key <<'],
    ['complex keys', `${GOOD}? [a, {b: c}]\n: 1\n`, 'unknown-key'],
    ['null keys', `${GOOD}? \n: 1\n`, 'unknown-key'],
  ])('%s', (_, text, expected) => {
    const started = performance.now();
    const problems = problemsOf(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.join('\n')).toContain(expected);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('names of Object.prototype are no enums, tables or members', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      expect(changed('enum: direction }', `enum: ${name} }`)).toHaveLength(1);
      expect(changed('table: cuda_events', `table: ${name}`)).toHaveLength(1);
      expect(changed('arg: direction', `arg: ${name}`)).toHaveLength(1);
      expect(changed('size_t n)', `${name} n)`)).toHaveLength(1);
    }
  });

  it('nothing from the file moves the cursor of a terminal', () => {
    const text =
      changed('column: bytes', 'column: "\\e[31m\\u202ebytes"').join('') +
      formatProblems(parsePack(GOOD.replace('bytes', '\u001b[2J'), '\u0007x').problems);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u202e]/);
  });

  it('a long line is shown around its column', () => {
    const text = GOOD.replace('arg: direction', `arg: ${'d'.repeat(200)}`).replace(
      'column: bytes',
      `"${'k'.repeat(3000)}": 1, column: bytes`,
    );
    for (const line of formatProblems(parsePack(text, 'x.yaml').problems).split('\n')) {
      expect(line.length).toBeLessThan(3500);
    }
  });
});

describe('files', () => {
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ingero-packs-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const write = (name: string, content: string | Uint8Array): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };

  it('a pack is loaded', () => {
    expect(loadPackFile(write('good.yml', GOOD)).name).toBe('site');
  });

  it.each<[string, () => string, string]>([
    ['missing', () => join(folder, 'none.yaml'), 'unreadable'],
    ['a folder', () => folder, 'not a regular file'],
    ['a device', () => '/dev/zero', 'not a regular file'],
    ['no text', () => write('latin1.txt', Uint8Array.of(0x61, 0xff)), 'not UTF-8'],
    ['huge', () => write('huge.txt', 'x'.repeat(MAX_PACK_BYTES + 1)), 'too-large'],
    ['wrong', () => write('wrong.txt', GOOD.replace('site_alloc,', 'site alloc,')), '22:15'],
  ])('%s', (_, path, message) => {
    expect(() => loadPackFile(path())).toThrowError(
      expect.objectContaining({ code: 'bad-pack', exitCode: 8, message: expect.stringContaining(message) }),
    );
  });

  it('a folder that is missing', () => {
    expect(() => loadBuiltinPacks(join(folder, 'none'))).toThrowError(
      expect.objectContaining({ code: 'bad-pack', message: expect.stringContaining('ENOENT') }),
    );
  });

  it('a folder of packs reports the problems of all of them', () => {
    write('a.yaml', GOOD);
    write('b.yaml', GOOD.replaceAll('cuda_events', 'events_cuda'));
    write('c.yaml', GOOD);
    write('notes.md', 'no pack');
    const load = () => loadBuiltinPacks(folder);
    expect(load).toThrowError(/2 problems in .*b\.yaml, .*c\.yaml/);
    expect(load).toThrowError(/unknown-table[\s\S]*pack site is already defined in .*a\.yaml/);
  });
});
