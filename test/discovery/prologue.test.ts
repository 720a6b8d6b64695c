import { describe, expect, test } from 'vitest';
import { chooseProbeSite } from '../../src/discovery/prologue.js';

const bytes = (hex: string) => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const words = (...instructions: number[]) => new Uint8Array(Uint32Array.from(instructions).buffer);

describe('x86-64', () => {
  test.each([
    // Prologues read from real libraries.
    ['push %rbp (cudart 12, 13)', '55 48 89 e5 41 57', 0, 'emulated'],
    ['push %r15 (cudart 11.8)', '41 57 41 56', 0, 'emulated'],
    [
      'cmpl $imm, disp(%rip); je (libcuda thunk)',
      '81 3d 11 22 33 44 00 ba 1c 32 74 06 ff 25 01 02',
      10,
      'emulated',
    ],
    ['endbr64; push %r12 (Debian NCCL)', 'f3 0f 1e fa 41 54 55', 4, 'emulated'],
    ['mov disp(%rip), %rax; push %r14 (libc10 2.14)', '48 8b 05 10 20 30 00 41 56', 7, 'emulated'],
    ['movabs $imm, %rax; push (ncclCommInitRankConfig)', '48 b8 01 02 03 04 05 06 07 08 55', 10, 'emulated'],
    ['endbr64; jmp rel32', 'f3 0f 1e fa e9 00 01 00 00', 4, 'emulated'],
    ['jmp rel32 to a function before it', 'e9 00 f0 ff ff', 0, 'emulated'],
    ['nop', '90 55', 0, 'emulated'],
    ['call rel32', 'e8 00 00 00 00', 0, 'emulated'],
    ['je rel32', '0f 84 00 01 00 00', 0, 'emulated'],
    // Nothing that may be skipped, or nothing cheaper behind it.
    ['sub $8, %rsp', '48 83 ec 08', 0, 'single-step'],
    ['mov %rsp, %rbp', '48 89 e5', 0, 'single-step'],
    ['endbr64; sub', 'f3 0f 1e fa 48 83 ec 08', 0, 'single-step'],
    ['endbr64; call: its return address is on the stack', 'f3 0f 1e fa e8 00 00 00 00', 0, 'single-step'],
    [
      'cmpl; push: the flags may be needed, nothing is gained',
      '81 3d 11 22 33 44 00 ba 1c 32 55',
      0,
      'single-step',
    ],
    ['mov to a register that carries an argument', '48 8b 3d 10 20 30 00 55', 0, 'single-step'],
    ['movabs to rdi', '48 bf 01 02 03 04 05 06 07 08 55', 0, 'single-step'],
    [
      'mov disp(%rip), %rax; je reads flags set before the call',
      '48 8b 05 10 20 30 00 74 10',
      0,
      'single-step',
    ],
    ['multi-byte nop: single-stepped before Linux 6.16', '0f 1f 44 00 00', 0, 'single-step'],
    ['push with another prefix', '66 50', 0, 'single-step'],
    ['pushq imm', '68 00 00 00 00', 0, 'single-step'],
    ['jmp *table', 'ff 25 00 00 00 00', 0, 'single-step'],
    // A loop over the prologue would fire once a turn.
    ['endbr64; jmp to itself', 'f3 0f 1e fa eb fe', 0, 'single-step'],
    ['cmpl; je back to the cmpl', '81 3d 11 22 33 44 00 ba 1c 32 74 f4', 0, 'single-step'],
  ])('%s', (_name, hex, skip, cost) => {
    expect(chooseProbeSite(bytes(hex), 'x64')).toEqual({ skip, cost });
  });

  test('cut off anywhere: no site behind the end', () => {
    for (const hex of [
      '81 3d 11 22 33 44 00 ba 1c 32 74 06',
      'f3 0f 1e fa 41 54',
      'f3 0f 1e fa e9 00 01 00 00',
      '',
    ]) {
      const whole = bytes(hex);
      for (let length = 0; length < whole.length; length++) {
        const { skip, cost } = chooseProbeSite(whole.subarray(0, length), 'x64');
        expect([skip, cost]).toEqual([0, 'single-step']);
      }
    }
  });

  test('reads from where a view begins, not from its buffer', () => {
    expect(chooseProbeSite(bytes('00 00 f3 0f 1e fa eb 10').subarray(2), 'x64').skip).toBe(4);
  });
});

describe('AArch64', () => {
  const BTI_C = 0xd503245f;
  const PACIASP = 0xd503233f;
  const STP = 0xa9bf7bfd; // stp x29, x30, [sp, #-16]!
  const ADRP = 0x90000010; // adrp x16, ...
  const B = 0x14000100;
  test.each([
    ['b', [B], 0, 'emulated'],
    ['adrp', [ADRP], 0, 'emulated'],
    ['adr', [0x10000000], 0, 'emulated'],
    ['cbz', [0xb4000040], 0, 'emulated'],
    ['tbnz', [0x37000040], 0, 'emulated'],
    ['b.eq', [0x54000040], 0, 'emulated'],
    ['ldr literal', [0x58000040], 0, 'emulated'],
    ['ret', [0xd65f03c0], 0, 'emulated'],
    ['stp', [STP], 0, 'single-step'],
    ['nop: single-stepped before Linux 6.13', [0xd503201f], 0, 'single-step'],
    ['bti c; adrp', [BTI_C, ADRP], 4, 'emulated'],
    ['bti c; b', [BTI_C, B], 4, 'emulated'],
    ['bti c; stp', [BTI_C, STP], 0, 'single-step'],
    ['bti c; bl', [BTI_C, 0x94000010], 0, 'single-step'],
    ['bti c; b to itself', [BTI_C, 0x14000000], 0, 'single-step'],
    ['bti c; cbz back to the entry', [BTI_C, 0xb4ffffe0], 0, 'single-step'],
    ['bti c; tbz back to the entry', [BTI_C, 0x3607ffe0], 0, 'single-step'],
    ['paciasp signs the return address: never passed over', [PACIASP, B], 0, 'single-step'],
    ['ldr with an offset', [0xf9400000], 0, 'single-step'],
    ['cut off', [], 0, 'single-step'],
  ])('%s', (_name, instructions, skip, cost) => {
    expect(chooseProbeSite(words(...instructions), 'arm64')).toEqual({ skip, cost });
  });
});
