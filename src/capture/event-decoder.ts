import type { ColumnValue, EnumTable, Field } from '../packs/model.js';
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
  /** Names of return codes, 0 meaning success; null: returning at all is success. */
  results: EnumTable | null;
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

/** Nothing from here on fits into 64 bits. */
const LIMIT = 1n << 64n;

/** Slots a column's value depends on, as a bit mask. */
export function slotMask(column: ColumnValue): number {
  return fieldsOf(column).reduce((mask, field) => mask | (1 << field.slot), 0);
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
