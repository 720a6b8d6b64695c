import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { compilePack, formatProblems, loadBuiltinPacks, parsePack } from '../../src/packs/index.js';

const schema = readCaptureSchema();
const cuda = loadBuiltinPacks().find((pack) => pack.name === 'cuda-runtime')?.source.text ?? '';

/** A pack with a bit of everything, small enough to be read thousands of times. */
const SEED = `name: site
version: 1.0.0
description: "x"
layer: site
libraries:
  - soname: libsite.so.*
table: cuda_events
enums: { direction: { 0: h2d, 1: d2h }, status: { 0: OK, -1: FAILED } }
result: status
types: |
  typedef struct { size_t bytes; int device; char tag[3]; } request;
  union u { double d; long l; };
probes:
  - prototype: int site_copy(const request *r, unsigned direction, union u x, request by_value)
    symbols: &s [site_copy, site_copy_v2]
    capture:
      - { arg: 'r->bytes', column: bytes }
      - { product: [by_value.bytes, direction], unless: [x.l], column: flags }
      - { arg: direction, column: kind, enum: direction }
  - prototype: void *site_other(long l)
    op: other
    symbols: [_Z10site_otherl, { demangled: 'site::*::other(*', at_most: 4 }]
    mode: entry
    enabled: false
    when: [{ of: version, is: ge, value: '2.22' }, { symbol: site_new, is: absent }]
  - prototype: int site_alloc(void **out)
    required: true
    capture:
      - { arg: '*out', at: return, column: ptr }
tests:
  - { call: site_alloc, sets: { '*out': '0x7000' }, row: { ptr: 28672, error: null } }
  - { call: site_copy, with: { 'r->bytes': 3, direction: 1 }, returns: -1, recorded: false }
`;

/** Pieces that mean something to one of the parsers. */
const PIECES = [
  ...[
    '{',
    '}',
    '[',
    ']',
    '(',
    ')',
    ',',
    ';',
    ':',
    '*',
    '&',
    '->',
    '.',
    '...',
    '::',
    '#',
    '|',
    '>',
    '?',
    '%',
    '@',
  ],
  ...[
    "'",
    '"',
    '\\',
    '\n',
    '\t',
    '\r',
    ' ',
    '- ',
    '  ',
    '---',
    '...\n',
    '<<: ',
    '!!js ',
    '&a ',
    '*a ',
    '~',
    '\0',
  ],
  ...[
    '\ud800',
    '\u202e',
    '\ufeff',
    'é',
    '💥',
    '0x',
    '-1',
    '1e999',
    '99999999999999999999',
    '.inf',
    'null',
    'true',
  ],
  ...[
    'struct ',
    'union ',
    'enum ',
    'typedef ',
    'void',
    'const ',
    'unsigned ',
    'long ',
    'float ',
    '__int128 ',
  ],
  ...[
    '__proto__',
    'constructor',
    'toString',
    'types: |\n',
    'probes:\n',
    'capture: ',
    'schema: 9\n',
    '/*',
    '*/',
    '//',
  ],
];

interface Edit {
  at: number;
  remove: number;
  insert: string;
  copyFrom: number;
}

const edit: fc.Arbitrary<Edit> = fc.record({
  at: fc.nat(10_000),
  remove: fc.oneof(fc.constant(0), fc.nat(3), fc.nat(60)),
  insert: fc.oneof(fc.constantFrom(...PIECES), fc.constant(''), fc.string({ maxLength: 4 })),
  // Moving a part of the text elsewhere makes files that are almost right.
  copyFrom: fc.oneof(fc.constant(-1), fc.nat(10_000)),
});

function mutate(text: string, edits: readonly Edit[]): string {
  let result = text;
  for (const { at, remove, insert, copyFrom } of edits) {
    const position = at % (result.length + 1);
    const copied =
      copyFrom < 0 ? '' : result.slice(copyFrom % result.length, (copyFrom % result.length) + 40);
    result = result.slice(0, position) + insert + copied + result.slice(position + remove);
  }
  return result;
}

/** A text is either a pack both architectures can be compiled for, or has problems at places that exist. */
function checkText(text: string): 'pack' | 'problems' {
  const { pack, problems } = parsePack(text, 'fuzz.yaml', schema);
  if (pack !== undefined) {
    expect(problems).toEqual([]);
    compilePack(pack, 'x64');
    compilePack(pack, 'arm64');
    return 'pack';
  }
  expect(problems.length).toBeGreaterThan(0);
  const lines = text.split(/\n/).length;
  for (const { line, column, rule, message } of problems) {
    expect(line).toBeGreaterThanOrEqual(1);
    expect(line).toBeLessThanOrEqual(lines);
    expect(column).toBeGreaterThanOrEqual(1);
    expect(rule).toMatch(/^[a-z0-9-]+$/);
    expect(message).not.toBe('');
  }
  expect(formatProblems(problems)).toContain('fuzz.yaml:');
  return 'problems';
}

describe('mutated packs', () => {
  it('never crash the reader and the compilers: 4000 changes to a small pack', () => {
    const outcomes = { pack: 0, problems: 0 };
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 5 }), (edits) => {
        outcomes[checkText(mutate(SEED, edits))]++;
      }),
      { numRuns: 4000, seed: 42 },
    );
    // Both kinds must be met, or the mutations are of no use.
    expect(outcomes.pack).toBeGreaterThan(20);
    expect(outcomes.problems).toBeGreaterThan(1000);
  }, 120_000);

  it('never crash the reader: 25 changes to the cuda-runtime pack', () => {
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        checkText(mutate(cuda, edits));
      }),
      { numRuns: 25, seed: 7 },
    );
  });

  it('never crash the reader: truncated anywhere', () => {
    for (let end = 0; end < SEED.length; end += 7) checkText(SEED.slice(0, end));
  });
});

describe('values of the wrong kind', () => {
  const value = fc.anything({
    maxDepth: 2,
    withBigInt: false,
    withDate: false,
    withMap: false,
    withSet: false,
    withTypedArray: false,
    values: [
      fc.boolean(),
      fc.integer(),
      fc.string(),
      fc.constant(null),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    ],
  });
  const keys = [
    ...[
      'schema',
      'name',
      'version',
      'description',
      'layer',
      'libraries',
      'table',
      'enums',
      'types',
      'result',
      'probes',
    ],
    ...[
      'prototype',
      'op',
      'symbols',
      'required',
      'mode',
      'capture',
      'arg',
      'product',
      'unless',
      'at',
      'enum',
      'column',
      'enabled',
      'when',
      'tests',
      'with',
      'sets',
      'row',
      'call',
      'at_most',
    ],
  ];

  it('are problems under every key', () => {
    fc.assert(
      fc.property(fc.constantFrom(...keys), value, (key, wrong) => {
        const json = JSON.stringify(wrong) ?? 'null';
        const lines = SEED.split('\n');
        const at = lines.findIndex((line) =>
          line
            .trimStart()
            .replace(/^- (\{ )?/, '')
            .startsWith(`${key}:`),
        );
        const line = at < 0 ? undefined : lines[at];
        if (line === undefined) lines.unshift(`${key}: ${json}`);
        else
          lines[at] =
            line.replace(new RegExp(`${key}:.*`), `${key}: ${json}`) + (line.includes('- {') ? ' }' : '');
        checkText(lines.join('\n'));
      }),
      { numRuns: 600, seed: 3 },
    );
  });
});
