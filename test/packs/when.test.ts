import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePack } from '../../src/packs/index.js';
import type { WhenSpec } from '../../src/packs/model.js';
import { compareVersions, unmetCondition, versionAmong } from '../../src/packs/when.js';

const facts = (version: string | null, ...symbols: string[]) => ({
  version,
  defines: (symbol: string) => symbols.includes(symbol),
});
const version = (is: WhenSpec['is'], value: string): WhenSpec[] => [{ of: 'version', is, value }];

describe('conditions on a library', () => {
  it.each<[WhenSpec['is'], string, string, boolean]>([
    ['ge', '2.22', '2.22.3', true],
    ['ge', '2.22', '2.21.9', false],
    ['gt', '2.22', '2.22.3', false],
    ['gt', '2.22', '2.23', true],
    ['le', '2.22', '2.22.3', true],
    ['lt', '2.22', '2.9', true],
    ['lt', '2.22.3', '2.22.10', false],
    ['eq', '12', '12.4.127', true],
    ['ne', '12', '12.4.127', false],
  ])('version %s %s of %s: %s', (is, wanted, have, holds) => {
    expect(unmetCondition(version(is, wanted), facts(have)) === null).toBe(holds);
  });

  it('say why one does not hold', () => {
    expect(unmetCondition(version('ge', '2.22'), facts('2.18.3'))).toBe(
      'when: version ge 2.22, and this library is 2.18.3',
    );
    expect(unmetCondition(version('ge', '2.22'), facts(null))).toBe(
      'when: version ge 2.22, and the version of this library is not known',
    );
    expect(unmetCondition([{ symbol: 'f', is: 'present' }], facts('1'))).toBe(
      'when: symbol f present, and this library does not have it',
    );
    expect(unmetCondition([{ symbol: 'f', is: 'absent' }], facts('1', 'f'))).toBe(
      'when: symbol f absent, and this library has it',
    );
  });

  it('do not guess what a short version leaves open', () => {
    expect(unmetCondition(version('ge', '2.22'), facts('2'))).toBe(
      'when: version ge 2.22, and of the version of this library only 2 is known',
    );
    expect(unmetCondition(version('lt', '3.1'), facts('2'))).toBe(null);
    expect(unmetCondition(version('ge', '2'), facts('2'))).toBe(null);
  });

  it('all have to hold', () => {
    const both: WhenSpec[] = [...version('ge', '2'), { symbol: 'f', is: 'present' }];
    expect(unmetCondition(both, facts('2.1', 'f'))).toBe(null);
    expect(unmetCondition(both, facts('2.1'))).toContain('symbol f');
    expect(unmetCondition(both, facts('1.9', 'f'))).toContain('version ge 2');
    expect(unmetCondition([], facts(null))).toBe(null);
  });
});

describe('versions', () => {
  const numbers = fc.array(fc.nat(40), { minLength: 1, maxLength: 4 });
  it('compare like their numbers, as far as asked', () => {
    fc.assert(
      fc.property(numbers, numbers, (have, wanted) => {
        const order = compareVersions(have.join('.'), wanted.join('.'));
        const common = wanted.slice(0, have.length).findIndex((number, index) => number !== have[index]);
        const expected =
          common >= 0
            ? Math.sign((have[common] ?? 0) - (wanted[common] ?? 0))
            : have.length < wanted.length
              ? undefined
              : 0;
        expect(order === undefined ? undefined : Math.sign(order)).toBe(expected);
      }),
    );
  });

  it('are the highest of those that fit a pattern', () => {
    const names = ['GLIBC_2.2.5', 'GLIBC_2.34', 'GLIBC_2.4', 'GLIBC_PRIVATE', 'GCC_9'];
    expect(versionAmong(names, 'GLIBC_*')).toBe('2.34');
    expect(versionAmong(names, 'GCC_*')).toBe('9');
    expect(versionAmong(names, 'CXX_*')).toBe(null);
    expect(versionAmong(['v1.2-x', 'v1.10-x', 'v3'], 'v*-x')).toBe('1.10');
  });
});

describe('when: in a pack', () => {
  const pack = (when: string): string => `name: p
version: 1.0.0
description: x
layer: site
libraries: [{ soname: libp.so.*, version: 'P_*' }]
table: cuda_events
when: [{ symbol: base, is: present }]
probes:
  - prototype: int f(int a)
    when: [${when}]
`;
  const rules = (when: string): string[] =>
    parsePack(pack(when), 'p.yaml').problems.map(({ line, rule, message }) => `${line} ${rule}: ${message}`);

  it('is read for the pack and for a probe', () => {
    const { pack: parsed, problems } = parsePack(pack("{ of: version, is: ge, value: '2.22' }"), 'p.yaml');
    expect(problems).toEqual([]);
    expect(parsed?.when).toEqual([{ symbol: 'base', is: 'present' }]);
    expect(parsed?.probes[0]?.when).toEqual([{ of: 'version', is: 'ge', value: '2.22' }]);
    expect(parsed?.libraries).toEqual([{ soname: 'libp.so.*', version: 'P_*' }]);
  });

  it.each([
    ['{ symbol: g, is: ge }', '10 bad-when: a symbol is not ge'],
    ["{ symbol: g, is: present, value: '1' }", '10 bad-when: a symbol has no value'],
    ["{ of: version, is: present, value: '1' }", '10 bad-when: a version is not present'],
    ['{ of: version, is: ge }', '10 bad-when: ge needs value'],
    ['{ of: version, is: ge, value: 2.22 }', '10 wrong-type: value must be of type string'],
    ["{ of: version, is: ge, value: '2.x' }", '10 wrong-value: "2.x" is not a valid value'],
    ["{ is: ge, value: '2' }", '10 one-value: give one of of and symbol'],
    ["{ of: soname, is: ge, value: '2' }", '10 wrong-value: of must be one of version'],
  ])('%s: %s', (when, problem) => {
    expect(rules(when)).toContain(problem);
  });
});
