import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { splitFunctions, storedValue } from './support/aarch64.js';
import { type GeneratedProgram, generateProgram } from './support/c-generator.js';
import { captured, type EntryState, typesOf } from './support/machine.js';
import { available } from './support/tools.js';

const clang = ['--target=aarch64-linux-gnu', '-xc', '-O1', '-S', '-w', '-o', '-', '-'];
const STACK_POINTER = 0x7fff_0000_1000n;

/** Memory whose every byte follows from its address. */
function memory(address: bigint): number {
  const low = Number(address & 0xffff_ffffn) ^ Number(address >> 32n);
  return (Math.imul(low, 0x9e37_79b1) >>> 13) & 0xff;
}

function loadWord(address: bigint): bigint {
  let value = 0n;
  for (let byte = 7; byte >= 0; byte--) value = (value << 8n) | BigInt(memory(address + BigInt(byte)));
  return value;
}

const state: EntryState = {
  // Distinct values that are no small numbers, so that sign and zero extension show.
  registers: Array.from({ length: 8 }, (_, index) => loadWord(0xabcd_0000n + BigInt(index) * 64n)),
  stack: (index) => loadWord(STACK_POINTER + BigInt(index) * 8n),
  memory,
};

/** For every leaf of every function, a function with the same parameters that stores that leaf. */
function readers({ types, functions }: GeneratedProgram): string {
  const bodies = functions.flatMap(({ name, prototype, params }) =>
    params.flatMap((param) =>
      param.leaves.map((leaf, at) => {
        const reader = `${name}_${param.name}_${at}`;
        return `${prototype.replace(`${name}(`, `${reader}(`)} { sink = (unsigned long long)(${param.name}${leaf.suffix}); }`;
      }),
    ),
  );
  return `${types}\nunsigned long long sink;\n${bodies.join('\n')}`;
}

describe.skipIf(!available('clang', ...clang.slice(0, -4), '/dev/null', '-o', '-'))(
  'AArch64 argument locations',
  () => {
    it('are those Clang uses, for every integer in 120 random prototypes', () => {
      const program = generateProgram(64_064, 120);
      const assembly = execFileSync('clang', clang, {
        input: readers(program),
        encoding: 'utf8',
        maxBuffer: 64 * 1024 * 1024,
      });
      const bodies = splitFunctions(assembly);
      const types = typesOf(program.types);
      let compared = 0;
      for (const { name, prototype, params } of program.functions) {
        for (const param of params) {
          for (const [at, leaf] of param.leaves.entries()) {
            const body = bodies.get(`${name}_${param.name}_${at}`) ?? [];
            const expected = storedValue(body, state, STACK_POINTER);
            const read = captured(prototype, types, param.name + leaf.suffix, 'arm64', state);
            const about = `${param.name}${leaf.suffix} of ${prototype}\n${body.join('\n')}\n${program.types}`;
            expect(read.toString(16), about).toBe(expected.toString(16));
            compared++;
          }
        }
      }
      expect(compared).toBeGreaterThan(600);
    });
  },
);
