/**
 * What the kernel and the decoder would make of a call, without either a kernel or a compiler: the arguments are laid
 * out where the ABI puts them, the slots of the probe are read from there, and the columns are decoded from the record.
 */
import { readColumn, readField, readText, textWords } from '../capture/event-decoder.js';
import { locateArguments } from '../packs/abi.js';
import {
  type Arch,
  type ColumnValue,
  type CompiledProbe,
  type Condition,
  MAX_TEXTS,
  type Pack,
  type PackTest,
  type ProbeSpec,
  type Slot,
  type TestValue,
} from '../packs/model.js';
import { type Prototype, parsePrototype, parseTypes } from '../packs/prototype.js';
import { resolvePath } from '../packs/resolve.js';
import { numberOf } from '../packs/test-paths.js';
import { CALL } from '../ring/record.js';
import { holds } from '../stub/values.js';
import type { RowText } from './row.js';

/** Bytes that are kept behind every pointer. */
const BEHIND_BYTES = 1 << 16;
/** Made-up addresses of texts. */
const FIRST_TEXT = 0x7f00_0000_0000n;
const TEXT_STEP = 0x1000n;

/** The row a call becomes; null when the probe's conditions keep it out. */
export function decodeTest(
  pack: Pack,
  spec: ProbeSpec,
  probe: CompiledProbe,
  test: PackTest,
  arch: Arch,
): RowText | null {
  const { prototype } = parsePrototype(spec.prototype, parseTypes(pack.types).types);
  if (prototype === undefined) throw new Error(`cannot read ${spec.prototype}`);
  const memory = new Memory(prototype, arch, test.returns ?? 0);
  memory.write(test.with ?? {});
  const isCall = probe.mode === 'call';
  const code = codeOf(probe, memory.result);
  const isError = isCall && probe.ok.length > 0 && !probe.ok.some((good) => BigInt(good) === code);
  const words = new Uint32Array(textWords({ place: MAX_TEXTS }).first);
  fillSlots(words, probe.slots, 'entry', memory);
  const [atEntry, atReturn] = conditionsOf(probe);
  if (!atEntry.every((condition) => letsThrough(condition, words, code))) return null;
  memory.write(test.sets ?? {});
  fillSlots(words, probe.slots, 'return', isError ? null : memory, memory.result);
  // What a failed call would have handed out is not there to be looked at.
  const looked = isError ? atReturn.filter((condition) => !isOnResults(condition)) : atReturn;
  if (isCall && !looked.every((condition) => letsThrough(condition, words, code))) return null;
  return {
    op: probe.op,
    layer: pack.layer,
    status: isCall ? (isError ? 'error' : 'ok') : 'entry',
    return_code: isCall && probe.returnBits > 0 ? String(code) : null,
    error: isError ? (pack.enums[pack.result ?? '']?.[Number(code)] ?? null) : null,
    ...Object.fromEntries(probe.columns.map((column) => [column.column, textOf(column, words, pack)])),
  };
}

/** A column's value as text. One that is hashed differs from capture to capture and counts as NULL here. */
function textOf(column: ColumnValue, words: Uint32Array, pack: Pack): string | null {
  if (column.redact !== undefined) return null;
  if (column.text !== undefined) return readText(column.text, words, 0);
  const value = readColumn(column, words, 0);
  if (value === null || column.enum === undefined) return value === null ? null : String(value);
  return pack.enums[column.enum]?.[Number(value)] ?? null;
}

function codeOf({ returnBits, returnSigned }: CompiledProbe, result: bigint): bigint {
  return returnSigned ? BigInt.asIntN(returnBits, result) : BigInt.asUintN(returnBits, result);
}

/** Conditions on arguments, and those that take the return. */
function conditionsOf({ where }: CompiledProbe): [Condition[], Condition[]] {
  const isEntry = ({ subject }: Condition): boolean =>
    typeof subject === 'object' && 'field' in subject && subject.at === 'entry';
  return [where.filter(isEntry), where.filter((condition) => !isEntry(condition))];
}

function isOnResults({ subject }: Condition): boolean {
  return typeof subject === 'object' && 'field' in subject;
}

/** Conditions on the caller hold: there is none. A call that does nothing takes no time. */
function letsThrough(condition: Condition, words: Uint32Array, code: bigint): boolean {
  const { subject, is } = condition;
  if (subject === 'comm' || subject === 'pid' || subject === 'uid' || subject === 'cgroup') return true;
  const values = condition.values as readonly number[];
  const number = subject === 'duration' ? 0n : 'field' in subject ? readField(subject.field, words, 0) : code;
  return holds({ is, value: values[0] ?? 0, values }, number);
}

/**
 * Reads the slots that are read at one moment, as the BPF program does. What cannot be read is marked missing.
 * `memory` null: the call failed. `result`: what the function returned, once it has.
 */
function fillSlots(
  words: Uint32Array,
  slots: readonly Slot[],
  at: 'entry' | 'return',
  memory: Memory | null,
  result?: bigint,
): void {
  slots.forEach((slot, index) => {
    const isResult = slot.from.kind === 'result';
    if ((slot.deref?.at ?? slot.text?.at ?? (isResult ? 'return' : 'entry')) !== at) return;
    const isPlainResult = isResult && slot.text === undefined;
    const value = isPlainResult ? (result ?? null) : (memory?.read(slot) ?? null);
    const text = slot.text === undefined || value === null ? null : (memory?.textAt(value) ?? null);
    if (value === null || (slot.text !== undefined && text === null)) {
      words[CALL.missing] = (words[CALL.missing] as number) | (1 << index);
      return;
    }
    const stored = slot.text === undefined || text === null ? value : putText(words, slot.text, text);
    words[CALL.slots + index * 2] = Number(BigInt.asUintN(32, stored));
    words[CALL.slots + index * 2 + 1] = Number(BigInt.asUintN(32, stored >> 32n));
  });
}

/** Puts a text where the kernel does, and returns its length: one more than allowed when there is more. */
function putText(words: Uint32Array, { place, maxBytes }: NonNullable<Slot['text']>, text: string): bigint {
  const bytes = Buffer.from(text, 'utf8');
  new Uint8Array(words.buffer, textWords({ place }).first * 4, maxBytes).set(bytes.subarray(0, maxBytes));
  return BigInt(Math.min(bytes.length, maxBytes + 1));
}

/** Argument words, and memory behind those that are pointers. Everything is zero until it is written. */
class Memory {
  /** What the function returns, as 64 bits. */
  readonly result: bigint;
  readonly #words = new Map<string, Buffer>();
  readonly #behind = new Map<string, Buffer>();
  readonly #texts = new Map<bigint, string>();
  readonly #locations: ReturnType<typeof locateArguments>;

  constructor(
    readonly prototype: Prototype,
    readonly arch: Arch,
    returns: TestValue,
  ) {
    this.#locations = locateArguments(prototype, arch);
    this.result = this.#number(returns);
  }

  /** Sets values by path. Throws for a path the pack's check has not seen. */
  write(values: Readonly<Record<string, TestValue>>): void {
    for (const [path, value] of Object.entries(values)) {
      const resolved = resolvePath(path, this.prototype, this.#locations, this.arch, 'entry');
      if ('issue' in resolved) throw new Error(`${path}: ${resolved.issue.message}`);
      const { from, deref, offset, size } = resolved.source;
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(this.#number(value));
      const [rooms, bytesThere] = deref === undefined ? [this.#words, 8] : [this.#behind, BEHIND_BYTES];
      const key = JSON.stringify(from);
      const room = rooms.get(key) ?? Buffer.alloc(bytesThere);
      rooms.set(key, room);
      bytes.copy(room, deref?.offset ?? offset, 0, size);
    }
  }

  /** The text at an address; null when there is none. */
  textAt(address: bigint): string | null {
    return this.#texts.get(address) ?? null;
  }

  /** Null when the slot is behind a pointer that a test has set and that leads nowhere. */
  read({ from, deref }: Slot): bigint | null {
    if (from.kind === 'result') return this.result;
    const key = JSON.stringify(from);
    const word = this.#words.get(key);
    if (deref === undefined) return word?.readBigUInt64LE() ?? 0n;
    const behind = this.#behind.get(key);
    if (behind === undefined) return word === undefined ? 0n : null;
    const bytes = Buffer.alloc(8);
    behind.copy(bytes, 0, deref.offset, deref.offset + deref.size);
    return bytes.readBigUInt64LE();
  }

  /** A number as 64 bits; a text becomes an address. */
  #number(value: TestValue): bigint {
    const number = numberOf(value);
    if (number !== undefined) return BigInt.asUintN(64, number);
    const address = FIRST_TEXT + BigInt(this.#texts.size) * TEXT_STEP;
    this.#texts.set(address, String(value));
    return address;
  }
}
