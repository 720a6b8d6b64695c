import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { demangle } from '../../src/demangle/itanium.js';
import { DemangledPattern, matchesGlob } from '../../src/demangle/pattern.js';
import { unpackGpuCapture } from '../support/gpu-captures.js';
import { query } from '../trace/support/capture.js';

const LIBRARY = execFileSync('gcc', ['-print-file-name=libstdc++.so.6'], { encoding: 'utf8' }).trim();

/** Symbols of C++ functions a library exports. */
function functionsOf(path: string): string[] {
  const lines = execFileSync('nm', ['-D', '--defined-only', path], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  }).split('\n');
  const names = lines.flatMap((line) => /^\S+ [TWi] (_Z[^@]*)/.exec(line)?.[1] ?? []);
  return [...new Set(names)];
}

function filt(symbols: readonly string[]): string[] {
  return execFileSync('c++filt', { input: symbols.join('\n'), encoding: 'utf8', maxBuffer: 1 << 28 })
    .trim()
    .split('\n');
}

describe('C++ names', () => {
  const symbols = functionsOf(LIBRARY);
  const theirs = filt(symbols);

  it('of libstdc++ are those of c++filt, or none', () => {
    const ours = symbols.map(demangle);
    const wrong = symbols.filter((_, index) => ours[index] !== null && ours[index] !== theirs[index]);
    expect(wrong).toEqual([]);
    expect(symbols.length).toBeGreaterThan(3000);
    const isFunction = (symbol: string): boolean => !/^_Z(T|GTt)/.test(symbol);
    const unread = symbols.filter((symbol, index) => isFunction(symbol) && ours[index] === null);
    expect(unread.length / symbols.length).toBeLessThan(0.01);
  });

  it('of the kernels PyTorch registers are those of c++filt, or none', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'ingero-kernels-'));
    const rows = await query(
      unpackGpuCapture('train', dir),
      "SELECT DISTINCT kernel_name FROM cuda_events WHERE kernel_name NOT LIKE '%…' ORDER BY kernel_name",
    );
    rmSync(dir, { recursive: true });
    const kernels = rows.map(({ kernel_name }) => String(kernel_name));
    expect(kernels.length).toBeGreaterThan(20_000);
    const expected = filt(kernels);
    const ours = kernels.map(demangle);
    expect(kernels.filter((_, index) => ours[index] !== null && ours[index] !== expected[index])).toEqual([]);
    expect(ours.filter((name) => name === null).length / kernels.length).toBeLessThan(0.04);
  });

  it.each([
    ['_Z1fv', 'f()'],
    [
      '_ZN3c1027reportMemoryUsageToProfilerEPvlmmNS_6DeviceE',
      'c10::reportMemoryUsageToProfiler(void*, long, unsigned long, unsigned long, c10::Device)',
    ],
    ['_ZN12_GLOBAL__N_11fEi', '(anonymous namespace)::f(int)'],
    ['_Z1fPFivE', 'f(int (*)())'],
    ['_Z1fRA4_Kc', 'f(char const (&) [4])'],
    ['_ZNK1A1gEv', 'A::g() const'],
    ['_ZNO1A1hEv', 'A::h() &&'],
    ['_Z3maxIiET_S0_S0_', 'int max<int>(int, int)'],
    ['_ZN1AC2ERKS_', 'A::A(A const&)'],
    ['_ZN1AD0Ev', 'A::~A()'],
    ['_ZNK1AcvbEv', 'A::operator bool() const'],
    ['_ZN3arrILi3ELb1EE3getEv', 'arr<3, true>::get()'],
    ['_Z1fIJifEEvDpT_', 'void f<int, float>(int, float)'],
    ['_Z1fIJifEEvDpRKT_', 'void f<int, float>(int const&, float const&)'],
    ['_Z1fIJEEvDpT_', 'void f<>()'],
    ['_Z1fIiJfcEEvT_DpT0_', 'void f<int, float, char>(int, float, char)'],
    ['_Z1gIZ3fooIiEvvEUlvE_EvT_', 'void g<foo<int>()::{lambda()#1}>(foo<int>()::{lambda()#1})'],
    // T_ within the scope is foo's, and g's where it is named again.
    ['_Z1gIZ3fooIiEvT_EUlvE_EvS1_', 'void g<foo<int>(int)::{lambda()#1}>(foo<int>(int)::{lambda()#1})'],
  ])('%s is %s', (symbol, name) => {
    expect(filt([symbol])).toEqual([name]);
    expect(demangle(symbol)).toBe(name);
  });

  it.each([
    'main',
    '',
    '_Z',
    '_ZN',
    '_Z1fv.cold',
    '_Z1fi.part.0',
    '_Z1fi.isra.0',
    '_ZTV1A',
    '_Z99999f',
    `_Z${'P'.repeat(3000)}i`,
  ])('%.20s is none', (symbol) => expect(demangle(symbol)).toBe(null));

  it('of changed symbols are those of c++filt, or none, and take no time', () => {
    const pieces = [
      'S_',
      'S0_',
      'St',
      'N',
      'E',
      'I',
      'K',
      'P',
      'R',
      'T_',
      'J',
      'L',
      'i',
      '1a',
      'C1',
      'D0',
      'Ss',
      'F',
      'A2_',
      'cv',
      'pl',
      'Ul',
      'B3abc',
      '9',
      '_',
    ];
    const changed: string[] = [];
    const edit = fc.tuple(fc.nat(5000), fc.nat(200), fc.nat(4), fc.constantFrom(...pieces));
    fc.assert(
      fc.property(edit, ([which, at, remove, piece]) => {
        const symbol = symbols[which % symbols.length] as string;
        const place = 2 + (at % (symbol.length - 1));
        const text = symbol.slice(0, place) + piece + symbol.slice(place + remove);
        const before = performance.now();
        const name = demangle(text);
        expect(performance.now() - before).toBeLessThan(1000);
        if (name !== null) changed.push(text);
      }),
      { numRuns: 10_000, seed: 5 },
    );
    const wrong = filt(changed).filter((name, index) => name !== demangle(changed[index] as string));
    // Symbols no compiler makes are read by c++filt in ways of its own.
    expect(wrong.length / changed.length).toBeLessThan(0.05);
    expect(changed.length).toBeGreaterThan(300);
  });
});

describe('patterns', () => {
  it('find by the name, and never pieces of functions', () => {
    const all = [
      '_ZN1a1b3fooEi',
      '_ZN1a1c3fooEv',
      '_ZN1a1b3fooEi.cold',
      '_ZN1a3barEv',
      'foo',
      '_ZTVN1a3fooE',
    ];
    expect(new DemangledPattern('a::*::foo(*').matches(all)).toEqual({
      symbols: ['_ZN1a1b3fooEi', '_ZN1a1c3fooEv'],
      unread: 0,
    });
    expect(new DemangledPattern('a::foo(*').matches(['_ZN1a3fooEM1aFvvE'])).toEqual({
      symbols: [],
      unread: 1,
    });
  });

  it('match like a regular expression would', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 });
    fc.assert(
      fc.property(letters, letters, (pattern, text) => {
        const regex = new RegExp(`^${pattern.replaceAll('*', '.*')}$`);
        expect(matchesGlob(pattern, text)).toBe(regex.test(text));
      }),
    );
    expect(matchesGlob('*a'.repeat(200), 'a'.repeat(4000).concat('b'))).toBe(false);
  });
});
