import { describe, expect, it } from 'vitest';
import { mismatches } from '../../src/pack-tests/row.js';
import { parsePack } from '../../src/packs/index.js';
import { numberOf } from '../../src/packs/test-paths.js';

const pack = (test: string): string => `name: p
version: 1.0.0
description: x
layer: site
libraries: [{ soname: libp.so }]
table: cuda_events
types: "struct pair { int a, b; };"
probes:
  - prototype: int f(size_t n, struct pair *p, int *out)
    capture: [{ arg: n, column: bytes }]
  - prototype: struct pair g(void)
    op: other
    mode: entry
tests:
  - ${test}
`;
const problems = (test: string): string[] =>
  parsePack(pack(test), 'p.yaml').problems.map(
    ({ line, rule, message, suggestion }) =>
      `${line} ${rule}: ${message}${suggestion ? ` (${suggestion})` : ''}`,
  );

describe('tests: in a pack', () => {
  it('are read', () => {
    const { pack: parsed, problems: found } = parsePack(
      pack(
        `{ call: f, with: { n: 3, p->b: -1 }, sets: { '*out': '0xff' }, row: { bytes: 3, status: ok, error: null } }`,
      ),
      'p.yaml',
    );
    expect(found).toEqual([]);
    expect(parsed?.tests).toEqual([
      {
        call: 'f',
        with: { n: 3, 'p->b': -1 },
        sets: { '*out': '0xff' },
        row: { bytes: 3, status: 'ok', error: null },
      },
    ]);
  });

  it.each([
    ['{ call: fx, row: {} }', '15 unknown-op: no probe is named fx (did you mean f?)'],
    ['{ call: g, row: {} }', '15 unknown-op: no probe is named g (did you mean f?)'],
    ['{ call: f }', '15 one-value: give one of row and recorded'],
    ['{ call: f, row: {}, recorded: false }', '15 one-value: give one of row and recorded'],
    ['{ call: f, recorded: true }', '15 wrong-value: recorded must be equal to constant'],
    ['{ call: f, with: { m: 1 }, row: {} }', '15 unknown-argument: f has no argument m (did you mean n?)'],
    ['{ call: f, with: { p->c: 1 }, row: {} }', '15 unknown-member: '],
    [
      '{ call: f, sets: { n: 1 }, row: {} }',
      '15 bad-test: n is not behind a pointer: the function cannot set it',
    ],
    ['{ call: other, returns: 1, row: {} }', '15 bad-test: g returns no number'],
    ['{ call: f, with: { n: 1.5 }, row: {} }', '15 wrong-type: n must be of type integer,string'],
    [
      '{ call: f, row: { byte: 1 } }',
      '15 unknown-column: table cuda_events has no column byte (did you mean bytes?)',
    ],
    ['{ call: f, version: x, row: {} }', '15 wrong-value: "x" is not a valid version'],
  ])('%s: %s', (test, problem) => {
    expect(problems(test).some((line) => line.startsWith(problem))).toBe(true);
  });
});

describe('values of tests', () => {
  it('are numbers however they are written', () => {
    expect(['0x10', '-3', '18446744073709551615', 7].map(numberOf)).toEqual([16n, -3n, 2n ** 64n - 1n, 7n]);
    expect(['', 'x', '0x', '1e3', '--1'].map(numberOf)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('are compared with what a row holds', () => {
    const row = { bytes: '4096', kind: 'h2d', ptr: null };
    expect(mismatches({ bytes: '0x1000', kind: 'h2d', ptr: null }, row)).toEqual([]);
    expect(mismatches({ bytes: 1, kind: null, ptr: 0, gone: null }, row)).toEqual([
      { column: 'bytes', expected: '1', recorded: '4096' },
      { column: 'kind', expected: null, recorded: 'h2d' },
      { column: 'ptr', expected: '0', recorded: null },
    ]);
  });
});
