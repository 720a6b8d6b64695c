import type { Arch } from '../packs/model.js';
import type { CostClass } from './model.js';

/** Where in a function's first bytes a probe is put, and what a hit there costs the kernel. */
export interface ProbeChoice {
  /** Bytes of the prologue before the probe. */
  skip: number;
  cost: CostClass;
}

/** Bytes `chooseProbeSite` looks at: the longest skippable instruction and the longest one after it. */
export const PROLOGUE_BYTES = 16;

/**
 * Chooses where in a function to put its entry probe. A breakpoint on an instruction the kernel emulates costs
 * one trap; any other is copied out of line and single-stepped, which costs a second one (measured: 0.8 us
 * against 9.5 us). Instructions that touch neither an argument register, the stack pointer nor memory may be
 * passed over to reach an emulated one: the probe then sees the same arguments, and a return probe the same
 * return address. Anything not on the list stays at offset 0.
 *
 * Facts: `branch_setup_xol_ops` and `push_setup_xol_ops` of arch/x86/kernel/uprobes.c and
 * `arm_probe_decode_insn` of arch/arm64/kernel/probes/decode-insn.c. Where kernels differ the dearer class
 * is named: multi-byte `nop` (0f 1f) is emulated on x86 since 6.16 and single-stepped before.
 */
export function chooseProbeSite(bytes: Uint8Array, arch: Arch): ProbeChoice {
  return arch === 'x64' ? chooseX64(bytes) : chooseArm64(bytes);
}

interface Instruction {
  length: number;
  kind: 'push' | 'nop' | 'jump' | 'branch' | 'call';
  /** Of jumps and branches: distance from the end of the instruction. */
  displacement?: number;
}

function chooseX64(bytes: Uint8Array): ProbeChoice {
  if (emulatedX64(bytes, 0) !== null) return { skip: 0, cost: 'emulated' };
  const first = skippableX64(bytes);
  if (first !== null) {
    const next = emulatedX64(bytes, first.length);
    if (next !== null && first.before.includes(next.kind) && !landsAtEntry(next, first.length)) {
      return { skip: first.length, cost: 'emulated' };
    }
  }
  return { skip: 0, cost: 'single-step' };
}

/** Instructions that may be passed over, and what has to follow for that to be worth it and safe. */
function skippableX64(bytes: Uint8Array): { length: number; before: readonly Instruction['kind'][] } | null {
  // endbr64
  if (startsWith(bytes, [0xf3, 0x0f, 0x1e, 0xfa]))
    return { length: 4, before: ['push', 'nop', 'jump', 'branch'] };
  // cmpl $imm32, disp32(%rip): changes the flags only, which the jcc after it reads from the saved registers
  if (startsWith(bytes, [0x81, 0x3d])) return { length: 10, before: ['branch'] };
  // mov disp32(%rip), %rax and movabs $imm64, %rax: rax carries no argument (only the vector count of varargs)
  if (startsWith(bytes, [0x48, 0x8b, 0x05])) return { length: 7, before: ['push', 'nop', 'jump'] };
  if (startsWith(bytes, [0x48, 0xb8])) return { length: 10, before: ['push', 'nop', 'jump'] };
  return null;
}

function startsWith(bytes: Uint8Array, prefix: readonly number[]): boolean {
  return prefix.every((byte, i) => bytes[i] === byte);
}

/** The instruction at `at` if every kernel we run on emulates it under a uprobe, else null. */
function emulatedX64(bytes: Uint8Array, at: number): Instruction | null {
  const op = bytes[at];
  const second = bytes[at + 1];
  if (op === undefined) return null;
  if (op >= 0x50 && op <= 0x57) return { length: 1, kind: 'push' };
  if (op === 0x41 && second !== undefined && second >= 0x50 && second <= 0x57)
    return { length: 2, kind: 'push' };
  if (op === 0x90) return { length: 1, kind: 'nop' };
  if (op === 0xeb) return jump(bytes, at, 1, 1, 'jump');
  if (op === 0xe9) return jump(bytes, at, 1, 4, 'jump');
  if (op === 0xe8) return jump(bytes, at, 1, 4, 'call');
  if (op >= 0x70 && op <= 0x7f) return jump(bytes, at, 1, 1, 'branch');
  if (op === 0x0f && second !== undefined && second >= 0x80 && second <= 0x8f)
    return jump(bytes, at, 2, 4, 'branch');
  return null;
}

function jump(
  bytes: Uint8Array,
  at: number,
  opcode: number,
  size: 1 | 4,
  kind: 'jump' | 'branch' | 'call',
): Instruction | null {
  const start = at + opcode;
  if (start + size > bytes.length) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const displacement = size === 1 ? view.getInt8(start) : view.getInt32(start, true);
  return { length: opcode + size, kind, displacement };
}

/** A branch back into the prologue makes a loop: past its head the probe would fire once a turn. */
function landsAtEntry(instruction: Instruction, at: number): boolean {
  if (instruction.displacement === undefined) return false;
  const target = at + instruction.length + instruction.displacement;
  return target >= 0 && target <= at;
}

const BTI_C = 0xd503245f;

function chooseArm64(bytes: Uint8Array): ProbeChoice {
  if (bytes.byteLength < 4) return { skip: 0, cost: 'single-step' };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const first = view.getUint32(0, true);
  if (simulatedArm64(first)) return { skip: 0, cost: 'emulated' };
  // `bti c` does nothing but mark a branch target. `paciasp` is not passed over: it signs the return address,
  // and a return probe has to replace that address before it is signed.
  if (first === BTI_C && bytes.byteLength >= 8) {
    const next = view.getUint32(4, true);
    if (simulatedArm64(next) && !isArm64Call(next) && !arm64LandsAtEntry(next))
      return { skip: 4, cost: 'emulated' };
  }
  return { skip: 0, cost: 'single-step' };
}

/** Whether the kernel simulates the instruction. `nop` is left out: single-stepped before Linux 6.13. */
function simulatedArm64(instruction: number): boolean {
  const is = (mask: number, value: number) => (instruction & mask) >>> 0 === value;
  return (
    is(0x7c000000, 0x14000000) || // b, bl
    is(0xff000010, 0x54000000) || // b.cond
    is(0x7e000000, 0x34000000) || // cbz, cbnz
    is(0x7e000000, 0x36000000) || // tbz, tbnz
    is(0xffdffc1f, 0xd61f0000) || // br, blr
    is(0xfffffc1f, 0xd65f0000) || // ret
    is(0x1f000000, 0x10000000) || // adr, adrp
    is(0xbf000000, 0x18000000) || // ldr (literal)
    is(0xff000000, 0x98000000) // ldrsw (literal)
  );
}

/** bl and blr write the return address: passing over anything before them gains nothing worth that. */
function isArm64Call(instruction: number): boolean {
  return (instruction & 0xfc000000) >>> 0 === 0x94000000 || (instruction & 0xfffffc1f) >>> 0 === 0xd63f0000;
}

/** Whether a branch at byte 4 goes back to byte 0 or 4 (distances are in instructions of 4 bytes). */
function arm64LandsAtEntry(instruction: number): boolean {
  const distance = arm64BranchDistance(instruction);
  return distance === 0 || distance === -1;
}

function arm64BranchDistance(instruction: number): number | null {
  // Shifting left drops the opcode, the arithmetic shift right extends the sign.
  if ((instruction & 0x7c000000) >>> 0 === 0x14000000) return (instruction << 6) >> 6;
  if ((instruction & 0xff000010) >>> 0 === 0x54000000) return (instruction << 8) >> 13;
  if ((instruction & 0x7e000000) >>> 0 === 0x34000000) return (instruction << 8) >> 13;
  if ((instruction & 0x7e000000) >>> 0 === 0x36000000) return (instruction << 13) >> 18;
  return null;
}
