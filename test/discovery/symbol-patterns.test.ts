import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ElfFile } from '../../src/discovery/index.js';
import { compilePack, parsePack } from '../../src/packs/index.js';
import type { Arch } from '../../src/packs/model.js';
import { LibraryTracer } from '../../src/trace/libraries.js';

const SOURCE = `namespace site {
struct Pool { void *allocate(unsigned long n); void release(void *p); template <class T> T *make(int n); };
void *Pool::allocate(unsigned long n) { return (void *)n; }
void Pool::release(void *p) { asm volatile(""); }
template <class T> T *Pool::make(int n) { return (T *)(long)n; }
template int *Pool::make<int>(int); template double *Pool::make<double>(int);
static __attribute__((noinline, used)) void hidden(int) { asm volatile(""); }
void many1(int) { asm volatile(""); } void many2(int) { asm volatile("nop"); } void many3(int) { asm volatile("nop;nop"); }
}`;
const PACK = `name: cpp
version: 1.0.0
description: C++ functions by their names
layer: site
libraries: [{ soname: libcpp.so.* }]
table: cuda_events
probes:
  - { prototype: 'void any(void *self)', symbols: [{ demangled: 'site::Pool::*' }], mode: entry }
  - { prototype: 'void make(void *self, int n)', symbols: [{ demangled: '*site::Pool::make<*' }], mode: entry }
  - { prototype: 'void many(int n)', symbols: [{ demangled: 'site::many*', at_most: 2 }], mode: entry }
  - { prototype: 'void hidden(int n)', symbols: [{ demangled: 'site::hidden(int)' }], mode: entry }
  - { prototype: 'void none(int n)', symbols: [{ demangled: 'site::nowhere(*' }], mode: entry }
  - { prototype: 'void allocate(void *self, size_t n)', symbols: [_ZN4site4Pool8allocateEm], mode: entry }
`;

const dir = mkdtempSync(join(tmpdir(), 'ingero-patterns-'));
const library = join(dir, 'libcpp.so.1');
afterAll(() => rmSync(dir, { recursive: true, force: true }));
beforeAll(() => {
  writeFileSync(join(dir, 'lib.cc'), SOURCE);
  execFileSync('g++', ['-O1', '-shared', '-fPIC', '-o', library, join(dir, 'lib.cc')]);
});

function plan(text = PACK) {
  const { pack, problems } = parsePack(text, 'cpp.yaml');
  if (pack === undefined) throw new Error(JSON.stringify(problems));
  const elf = ElfFile.open(library);
  const { dev, inode, sizeBytes, buildId, soname } = elf;
  elf.close();
  const file = {
    path: library,
    openPath: library,
    dev,
    inode,
    sizeBytes,
    buildId,
    soname,
    version: '1',
    foundBy: 'given',
  };
  return new LibraryTracer().plan(compilePack(pack, process.arch as Arch), file).plan;
}

describe('patterns on C++ names', () => {
  it('stand for all functions that have such a name; what is left out is a row with the reason', () => {
    const { probes, skipped } = plan();
    expect(probes.map(({ compiled, site }) => [compiled.op, site.symbol])).toEqual([
      ['allocate', '_ZN4site4Pool8allocateEm'],
      ['any', '_ZN4site4Pool7releaseEPv'],
      ['make', '_ZN4site4Pool4makeIdEEPT_i'],
      ['make', '_ZN4site4Pool4makeIiEEPT_i'],
      ['hidden', '_ZN4siteL6hiddenEi'],
    ]);
    expect(
      skipped.map(({ compiled, symbol, reason, isError }) => [compiled.op, symbol, reason, isError]),
    ).toEqual([
      ['any', '_ZN4site4Pool8allocateEm', 'it is probed already, as allocate', undefined],
      [
        'many',
        'demangled site::many*',
        '3 functions have such a name, and at most 2 are probed: narrow the pattern, or raise at_most',
        true,
      ],
      ['none', 'demangled site::nowhere(*', `no function of ${library} has such a name`, false],
    ]);
  });

  it('are refused with a return probe, and when they say too little', () => {
    const rules = (from: string, to: string): string[] =>
      parsePack(PACK.replace(from, to), 'cpp.yaml').problems.map(({ line, rule }) => `${line} ${rule}`);
    expect(rules("'site::Pool::*' }], mode: entry", "'site::Pool::*' }]")).toEqual(['8 cpp-return-probe']);
    expect(rules("'site::Pool::*'", "'**::*'")).toEqual(['8 wrong-value']);
    expect(rules('at_most: 2', 'at_most: 1000')).toEqual(['10 wrong-value']);
    expect(rules('at_most: 2', 'atmost: 2')).toEqual(['10 unknown-key']);
    expect(rules("{ demangled: 'site::Pool::*' }", '{}')).toEqual(['8 missing-key']);
    expect(rules("{ demangled: 'site::Pool::*' }", '7')).toEqual(['8 wrong-type']);
  });
});
