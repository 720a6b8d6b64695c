import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ElfFile } from '../../src/discovery/elf.js';
import { ElfError } from '../../src/discovery/elf-error.js';
import { locate } from '../../src/discovery/probe-sites.js';
import { compile, scratch, shared } from './build.js';

const folder = scratch();
const MUTATIONS = 500;

/** A small fixed generator: a failing mutation can be made again from its number. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 0x100000000;
  };
}

/** Uses everything the reader offers; ElfError is the one acceptable failure. */
function exercise(path: string): void {
  let elf: ElfFile | null = null;
  try {
    elf = ElfFile.open(path);
    const file = elf;
    const names = ['alpha', 'beta', 'third', 'local', 'alpha.cold'];
    const uses: (() => unknown)[] = [
      () => file.buildId,
      () => file.soname,
      () => file.needed,
      () => file.runpath,
      () => file.interpreter,
      () => file.hasSection('.text'),
      () => file.lookup(new Set(names)),
      () => locate(file, names),
      () => file.recover(new Set(['cudaMalloc', 'cudaFree'])),
    ];
    for (const use of uses) attempt(use);
  } catch (error) {
    expect(error).toBeInstanceOf(ElfError);
  } finally {
    elf?.close();
  }
}

function attempt(use: () => unknown): void {
  try {
    use();
  } catch (error) {
    expect(error).toBeInstanceOf(ElfError);
  }
}

test(`${MUTATIONS} damaged files: a typed error or a result, never a crash, never much memory`, () => {
  const source =
    'static int local(int a) { return a; } int alpha(int a) { return local(a); } int beta(int a) { return a + 2; } int third(void) { return 3; } const char *table[] = {"cudaMalloc"}; const char *name(int n) { return n ? "cudaFree" : table[0]; }';
  const whole = readFileSync(
    compile(`${folder}/libfuzz.so`, source, ...shared('libfuzz.so.1', '-Wl,-rpath,$ORIGIN')),
  );
  const sections = Number(whole.readBigUInt64LE(40));
  // Damage goes where structure is: headers, dynamic section, symbol tables and section headers.
  const ranges: [number, number][] = [
    [0, 64],
    [64, 64 + 56 * whole.readUInt16LE(56)],
    [0x200, 0x800],
    [Math.max(0, sections - 2048), sections],
    [sections, whole.length],
    [0, whole.length],
  ];
  const path = `${folder}/damaged.so`;
  const before = process.memoryUsage().rss;
  for (let i = 0; i < MUTATIONS; i++) {
    const next = random(i + 1);
    let bytes = Buffer.from(whole);
    const [from, to] = ranges[i % ranges.length] ?? [0, whole.length];
    const changes = 1 + Math.floor(next() * 8);
    for (let n = 0; n < changes; n++) {
      const at = Math.min(whole.length - 8, from + Math.floor(next() * (to - from)));
      const kind = next();
      if (kind < 0.5) bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(next() * 8));
      else if (kind < 0.7) bytes.writeBigUInt64LE(0xffffffffffffffffn, at);
      else if (kind < 0.85) bytes.writeUInt32LE(Math.floor(next() * 0xffffffff), at);
      else bytes.fill(0, at, at + 8);
    }
    if (i % 5 === 0) bytes = bytes.subarray(0, Math.floor(next() * bytes.length));
    writeFileSync(path, bytes);
    exercise(path);
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
});

test('every truncation of the headers', () => {
  const whole = readFileSync('/bin/true');
  const path = `${folder}/short`;
  for (let length = 0; length < 400; length++) {
    writeFileSync(path, whole.subarray(0, length));
    exercise(path);
  }
});

test('tables made to repeat one name endlessly are refused', () => {
  const path = compile(`${folder}/libmany.so`, 'int fn(void) { return 1; }', ...shared('libmany.so'));
  const whole = readFileSync(path);
  const table = Number(whole.readBigUInt64LE(40));
  const header = (i: number) => table + i * 64;
  const count = whole.readUInt16LE(60);
  const symtab =
    Array.from({ length: count }, (_, i) => i).find((i) => whole.readUInt32LE(header(i) + 4) === 2) ?? 0;
  const strings = Buffer.from('fn\0'.repeat(200_000));
  whole.writeBigUInt64LE(BigInt(whole.length), header(whole.readUInt32LE(header(symtab) + 40)) + 24);
  whole.writeBigUInt64LE(BigInt(strings.length), header(whole.readUInt32LE(header(symtab) + 40)) + 32);
  writeFileSync(path, Buffer.concat([whole, strings]));
  const elf = ElfFile.open(path);
  expect(() => elf.findSymbols(new Set(['fn']))).toThrow(/endlessly/);
  elf.close();
});
