/** What a probe sees at function entry, and what the kernel side would read from it. */

import { compileProbe } from '../../../src/packs/compile.js';
import type { Arch, Field, Slot } from '../../../src/packs/index.js';
import { parseTypes, type TypeTable } from '../../../src/packs/prototype.js';

export interface EntryState {
  registers: readonly bigint[];
  /** nth eightbyte of the stack arguments. */
  stack: (index: number) => bigint;
  /** One byte of memory. */
  memory: (address: bigint) => number;
}

const MASK = (1n << 64n) - 1n;

function word(slot: Slot, state: EntryState): bigint {
  if (!('index' in slot.from)) throw new Error('not known at entry');
  const { kind, index } = slot.from;
  const raw = kind === 'register' ? (state.registers[index] ?? 0n) : state.stack(index);
  if (slot.deref === undefined) return raw;
  let value = 0n;
  for (let byte = 0; byte < slot.deref.size; byte++) {
    const address = (raw + BigInt(slot.deref.offset + byte)) & MASK;
    value |= BigInt(state.memory(address)) << BigInt(byte * 8);
  }
  return value;
}

/** The number a field holds, as a 64-bit two's complement value. */
function fieldValue(field: Field, slots: readonly Slot[], state: EntryState): bigint {
  const slot = slots[field.slot];
  if (slot === undefined) throw new Error('no such slot');
  const value = (word(slot, state) >> BigInt(field.offset * 8)) & ((1n << BigInt(field.size * 8)) - 1n);
  return BigInt.asUintN(64, field.signed ? BigInt.asIntN(field.size * 8, value) : value);
}

/** What capturing `path` of a function would record. */
export function captured(
  prototype: string,
  types: TypeTable,
  path: string,
  arch: Arch,
  state: EntryState,
): bigint {
  const spec = { prototype, capture: [{ column: 'c', arg: path }] };
  const { probe, issues } = compileProbe('test', spec, 0, types, arch);
  const field = probe?.columns[0]?.fields[0];
  if (probe === undefined || field === undefined) {
    throw new Error(`${prototype} ${path}: ${JSON.stringify(issues)}`);
  }
  return fieldValue(field, probe.slots, state);
}

/** Types of a program; fails on any issue. */
export function typesOf(text: string): TypeTable {
  const { types, issues } = parseTypes(text);
  if (issues.length > 0) throw new Error(JSON.stringify(issues));
  return types;
}
