import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type GeneratedProgram, generateProgram } from './support/c-generator.js';
import { captured, type EntryState, typesOf } from './support/machine.js';
import { available } from './support/tools.js';

const STACK_WORDS = 160;

/** All functions are one address: it copies the argument registers and the caller's stack, and returns. */
function stub(names: readonly string[]): string {
  return `
    .bss
    .globl dump
    dump: .skip ${(6 + STACK_WORDS) * 8}
    .text
    ${names.map((name) => `.globl ${name}\n${name}:`).join('\n')}
    lea dump(%rip), %rax
    mov %rdi, (%rax); mov %rsi, 8(%rax); mov %rdx, 16(%rax)
    mov %rcx, 24(%rax); mov %r8, 32(%rax); mov %r9, 40(%rax)
    xor %r10, %r10
    1: mov 8(%rsp,%r10,8), %r11
    mov %r11, 48(%rax,%r10,8)
    inc %r10
    cmp $${STACK_WORDS}, %r10
    jne 1b
    mov %rdi, %rax
    ret
    .section .note.GNU-stack,"",@progbits
  `;
}

/** Calls every function with patterned arguments; prints the dump and the true value of every leaf. */
function caller({ types, functions }: GeneratedProgram): string {
  const bodies = functions.map(({ name, params }) => {
    const fill = params.map(
      (param, at) => `${param.declaration}; fill(&${param.name}, sizeof ${param.name}, ${at});`,
    );
    const leaves = params.flatMap((param) =>
      param.leaves.map((leaf) => `leaf((unsigned long long)(${param.name}${leaf.suffix}));`),
    );
    return `static void call_${name}(void) {
      ${fill.join('\n')}
      ${name}(${params.map((param) => param.name).join(', ')});
      show();
      ${leaves.join('\n')}
      puts("");
    }`;
  });
  return `#include <stdio.h>
    ${types}
    extern unsigned long long dump[];
    ${functions.map(({ prototype }) => `extern ${prototype};`).join('\n')}
    static void fill(void *p, unsigned long n, int seed) {
      unsigned char *b = p;
      for (unsigned long i = 0; i < n; i++) b[i] = (unsigned char)(seed * 37 + i * 11 + 131);
    }
    static void leaf(unsigned long long v) { printf(" %llx", v); }
    static void show(void) { for (int i = 0; i < ${6 + STACK_WORDS}; i++) printf("%llx,", dump[i]); }
    ${bodies.join('\n')}
    int main(void) { ${functions.map(({ name }) => `call_${name}();`).join(' ')} return 0; }`;
}

describe.skipIf(process.arch !== 'x64' || !available('gcc', '--version'))('x86-64 argument locations', () => {
  const program = generateProgram(20_240_607, 160);
  let folder = '';
  let lines: string[] = [];

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ingero-abi-'));
    const file = (name: string) => join(folder, name);
    writeFileSync(file('stub.s'), stub(program.functions.map(({ name }) => name)));
    writeFileSync(file('main.c'), caller(program));
    // -Wno-psabi: GCC notes old changes of layouts that do not occur in libraries of interest.
    execFileSync('gcc', ['-O0', '-w', '-Wno-psabi', '-o', file('main'), file('main.c'), file('stub.s')]);
    lines = execFileSync(file('main'), { encoding: 'utf8' }).trimEnd().split('\n');
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('are those GCC uses, for every integer in 160 random prototypes', () => {
    const types = typesOf(program.types);
    let compared = 0;
    for (const [index, { prototype, params }] of program.functions.entries()) {
      const [dump = '', ...values] = (lines[index] ?? '').split(' ');
      const words = dump
        .split(',')
        .filter(Boolean)
        .map((hex) => BigInt(`0x${hex}`));
      const state: EntryState = {
        registers: words.slice(0, 6),
        stack: (at) => words[6 + at] ?? 0n,
        memory: () => {
          throw new Error('nothing is passed by reference on x86-64');
        },
      };
      const paths = params.flatMap((param) => param.leaves.map((leaf) => param.name + leaf.suffix));
      expect(values).toHaveLength(paths.length);
      for (const [at, path] of paths.entries()) {
        const read = captured(prototype, types, path, 'x64', state);
        expect(read.toString(16), `${path} of ${prototype}\n${program.types}`).toBe(values[at]);
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(1000);
  });
});
