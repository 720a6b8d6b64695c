import fc from 'fast-check';
import { expect, test } from 'vitest';
import { buildFilter, type Refusal } from '../../src/trust/seccomp.js';

const ALLOW = 0x7fff0000;
const refused = (errno: number): number => 0x00050000 | errno;
const ARCH = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;

/** What the kernel does with a filter: the few instructions of classic BPF it is made of (linux/filter.h). */
function run(program: Buffer, data: { arch: number; number: number; argument: number }): number {
  let accumulator = 0;
  for (let at = 0; at < program.length / 8; at++) {
    const op = program.readUInt16LE(at * 8);
    const ifTrue = program.readUInt8(at * 8 + 2);
    const ifFalse = program.readUInt8(at * 8 + 3);
    const value = program.readUInt32LE(at * 8 + 4);
    if (op === 0x20) accumulator = { 0: data.number, 4: data.arch, 16: data.argument }[value] ?? Number.NaN;
    else if (op === 0x15) at += accumulator === value ? ifTrue : ifFalse;
    else if (op === 0x45) at += (accumulator & value) === 0 ? ifFalse : ifTrue;
    else if (op === 0x35) at += accumulator >= value ? ifTrue : ifFalse;
    else if (op === 0x06) return value;
    else throw new Error(`instruction ${op}`);
  }
  throw new Error('the program ends without an answer');
}

const CALLS = { socket: 41, socketpair: 53, execve: 59, bpf: 321, mount: 165 } as const;

test('a filter refuses what it was told to and allows every other call', () => {
  const refusal = fc
    .record({
      call: fc.constantFrom(...(Object.keys(CALLS) as (keyof typeof CALLS)[])),
      errno: fc.integer({ min: 1, max: 133 }),
      unless: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }),
      when: fc.option(fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 }), {
        nil: undefined,
      }),
      bits: fc.option(fc.integer({ min: 1, max: 7 }), { nil: undefined }),
    })
    .map(({ call, errno, unless, when, bits }): Refusal => {
      if (when !== undefined) return { call, errno, when };
      if (bits !== undefined) return { call, errno, bits };
      return unless === undefined ? { call, errno } : { call, errno, unless };
    });
  fc.assert(
    fc.property(
      fc.uniqueArray(refusal, { selector: ({ call }) => call, maxLength: 5 }),
      fc.constantFrom(41, 53, 59, 321, 165, 0, 1, 57, 0x40000000 + 41),
      fc.integer({ min: 0, max: 5 }),
      fc.constantFrom(ARCH.x64, ARCH.arm64, 0x40000003),
      (refusals, number, argument, arch) => {
        const program = buildFilter('x64', refusals);
        const rule = refusals.find(({ call }) => (CALLS as Partial<Record<string, number>>)[call] === number);
        const isRefused =
          rule !== undefined &&
          (rule.when !== undefined
            ? rule.when.includes(argument)
            : rule.bits !== undefined
              ? (rule.bits & argument) !== 0
              : rule.unless === undefined || rule.unless !== argument);
        const expected =
          arch !== ARCH.x64 || number >= 0x40000000
            ? refused(1)
            : isRefused
              ? refused((rule as Refusal).errno)
              : ALLOW;
        expect(run(program, { arch, number, argument })).toBe(expected);
      },
    ),
    { numRuns: 2000 },
  );
});

test('AArch64 has numbers of its own', () => {
  const program = buildFilter('arm64', [{ call: 'socket', errno: 1, unless: 1 }]);
  expect(run(program, { arch: ARCH.arm64, number: 198, argument: 2 })).toBe(refused(1));
  expect(run(program, { arch: ARCH.arm64, number: 198, argument: 1 })).toBe(ALLOW);
  expect(run(program, { arch: ARCH.arm64, number: 41, argument: 2 })).toBe(ALLOW);
  expect(run(program, { arch: ARCH.x64, number: 41, argument: 1 })).toBe(refused(1));
});
