import { type ColumnValue, type EnumTable, type Field, MAX_SLOTS } from '../packs/model.js';
import { CALL } from '../ring/record.js';
import { LatencyHistogram } from './latency-histogram.js';

/** What the writer must know of a probe to turn its records into rows. Plain data; crosses to the worker. */
export interface ProbeDecoding {
  probeId: number;
  table: string;
  op: string;
  layer: string;
  /** 0, 32 or 64; 0: returns nothing. */
  returnBits: number;
  returnSigned: boolean;
  /** Names of return codes. */
  results: EnumTable;
  /** Return codes that mean success; none: every return does. */
  ok: readonly number[];
  /** Calls a row stands for. */
  sampleWeight: number;
  /** Slot that holds the hash of the call stack; null: none is taken. */
  stackSlot: number | null;
  columns: readonly ColumnValue[];
  /** Enums the columns refer to. */
  enums: Readonly<Record<string, EnumTable>>;
}

/** A 64-bit value as two 32-bit words. */
export interface Words {
  low: number;
  high: number;
}

/** Every field a column's value depends on. */
export function fieldsOf({ fields, unless = [], scale }: ColumnValue): readonly Field[] {
  return [...fields, ...unless, ...(scale === undefined ? [] : [scale.field])];
}

/** Words of a text's room in a record; `struct call_record` of bpf/event.h. */
const TEXT_WORDS = 520 / 4;

/** Places in a record of the words of one text. */
export function textWords({ place }: { place: number }): { first: number; count: number } {
  return { first: CALL.slots + MAX_SLOTS * 2 + place * TEXT_WORDS, count: TEXT_WORDS };
}

const utf8 = new TextDecoder();

/**
 * Text of a column in a record; null when it could not be read. What is not UTF-8 is replaced, and a text that is
 * longer than the pack allows ends in an ellipsis.
 */
export function readText(
  text: NonNullable<ColumnValue['text']>,
  words: Uint32Array,
  at: number,
): string | null {
  if ((((words[at + CALL.missing] as number) >>> text.slot) & 1) !== 0) return null;
  const length = words[at + CALL.slots + text.slot * 2] as number;
  const start = words.byteOffset + (at + textWords(text).first) * 4;
  const bytes = new Uint8Array(words.buffer, start, Math.min(length, text.maxBytes));
  // The ring's memory is shared, which TextDecoder does not take.
  const copy = Uint8Array.from(bytes);
  if (length <= text.maxBytes) return utf8.decode(copy);
  // A character that was cut in two is left out.
  return `${utf8.decode(copy, { stream: true })}${ELLIPSIS}`;
}

const ELLIPSIS = '\u2026';

/** Nothing from here on fits into 64 bits. */
const LIMIT = 1n << 64n;

/** Slots a column's value depends on, as a bit mask. */
export function slotMask(column: ColumnValue): number {
  const ofText = column.text === undefined ? 0 : 1 << column.text.slot;
  return fieldsOf(column).reduce((mask, field) => mask | (1 << field.slot), ofText);
}

/** Reads one field of a record as a signed or unsigned integer. */
export function readField(field: Field, words: Uint32Array, at: number): bigint {
  const slot = at + CALL.slots + field.slot * 2;
  const raw = (BigInt(words[slot + 1] as number) << 32n) | BigInt(words[slot] as number);
  const value = raw >> BigInt(field.offset * 8);
  const bits = field.size * 8;
  return field.signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

/**
 * Value of a column in a record: the product of its fields and factors; null when one of its slots could not be
 * read, an `unless` field is not zero, no factor is known, or the product has more than 64 bits.
 */
export function readColumn(column: ColumnValue, words: Uint32Array, at: number): bigint | null {
  const missing = (words[at + CALL.missing] as number) & 0xffff;
  if ((missing & slotMask(column)) !== 0) return null;
  for (const field of column.unless ?? []) if (readField(field, words, at) !== 0n) return null;
  let product = BigInt(column.times ?? 1);
  if (column.scale !== undefined) {
    const factor = column.scale.factors[Number(readField(column.scale.field, words, at))];
    if (factor === undefined) return null;
    product *= BigInt(factor);
  }
  for (const field of column.fields) product *= readField(field, words, at);
  return product >= LIMIT || product < -LIMIT / 2n ? null : product;
}

/** Running totals of one probe, for the live summary and the accounting. */
export class ProbeTotals {
  /** Rows appended. */
  rows = 0;
  errors = 0;
  readonly latency = new LatencyHistogram();
}
