import { renameSync, statSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FunctionNames } from '../../src/capture/function-names.js';
import { ElfFile } from '../../src/discovery/elf.js';
import type { CodeRange } from '../../src/discovery/maps.js';
import { compile, scratch, shared } from '../discovery/build.js';

const folder = scratch();
/** With the symbols a C++ compiler gives, as g++ need not be here. */
const SOURCE = `
  __attribute__((noinline)) static int hidden(int a) { return a * 3; }
  int shown(int a) __asm__("_Z5showni");
  int shown(int a) { return hidden(a) + 1; }
  int push(int a) __asm__("_ZN4site5QueueIiE4pushEi");
  int push(int a) { return a; }
`;
const ID = '0123456789abcdef'.padEnd(40, '0');

function library(name: string, ...flags: string[]): string {
  return compile(`${folder}/${name}`, SOURCE, ...shared(name), ...flags);
}

/** The file as a process may map it. */
function mapped(path: string): CodeRange {
  return { start: 0n, end: 1n << 20n, fileOffset: 0n, inode: statSync(path).ino, path };
}

function offsetOf(path: string, symbol: string): bigint {
  const elf = ElfFile.open(path);
  const address = elf.findSymbols(new Set([symbol])).get(symbol)?.address;
  if (address === undefined) throw new Error(`no ${symbol}`);
  const offset = elf.fileOffset(address);
  elf.close();
  return BigInt(offset);
}

describe('names of functions', () => {
  const path = library('libnamed.so', '-Wl,--build-id=0x0123456789abcdef');
  const shown = offsetOf(path, '_Z5showni');

  test('are those of C++, with the way into the function', () => {
    const names = new FunctionNames();
    const name = { build_id: ID, function: 'shown(int)', function_offset: 2n };
    expect(names.at(process.pid, mapped(path), ID, shown + 2n, false)).toEqual(name);
    expect(names.at(process.pid, mapped(path), ID, shown + 2n, true)).toEqual(name);
    const push = offsetOf(path, '_ZN4site5QueueIiE4pushEi');
    expect(names.at(process.pid, mapped(path), ID, push, false)).toMatchObject({
      function: 'site::Queue<int>::push(int)',
    });
  });

  test('of a caller are those of the call, not of what begins behind it', () => {
    const at = (isCaller: boolean) => new FunctionNames().at(process.pid, mapped(path), ID, shown, isCaller);
    expect(at(false)?.function).toBe('shown(int)');
    expect(at(true)?.function).not.toBe('shown(int)');
  });

  test('go by the inode where the kernel knows no build-id, and tell that of the file', () => {
    const there = { ...mapped(path), inode: 1 };
    expect(new FunctionNames().at(process.pid, mapped(path), null, shown, false)).toMatchObject({
      build_id: ID,
      function: 'shown(int)',
    });
    expect(new FunctionNames().at(process.pid, there, null, shown, false)).toBeNull();
    expect(new FunctionNames().at(process.pid, there, ID, shown, false)?.function).toBe('shown(int)');
  });

  test('are never those of another file at the path', () => {
    expect(new FunctionNames().at(process.pid, mapped(path), 'f'.repeat(40), shown, false)).toBeNull();
    const replaced = library('libreplaced.so', '-Wl,--build-id=0x0123456789abcdef');
    const names = new FunctionNames();
    const code = mapped(replaced);
    expect(names.at(process.pid, code, ID, shown, false)?.function).toBe('shown(int)');
    renameSync(library('libother.so', '-Wl,--build-id=0xffff'), replaced);
    // What was read stays what was mapped.
    expect(names.at(process.pid, code, ID, shown + 1n, false)?.function).toBe('shown(int)');
    expect(new FunctionNames().at(process.pid, code, ID, shown, false)).toBeNull();
  });

  test('there are none for what is no library, is gone, or has no path', () => {
    const text = `${folder}/text`;
    writeFileSync(text, 'not code');
    for (const code of [
      mapped(text),
      { ...mapped(path), path: `${path} (deleted)` },
      { ...mapped(path), path: null },
    ]) {
      expect(new FunctionNames().at(process.pid, code, null, shown, false)).toBeNull();
    }
  });
});
