import { describe, expect, it } from 'vitest';
import { fieldsOf, readColumn, slotMask } from '../../src/capture/event-decoder.js';
import type { ColumnValue, Field } from '../../src/packs/model.js';
import { CALL } from '../../src/ring/record.js';

const u64 = (slot: number): Field => ({ slot, offset: 0, size: 8, signed: false });
const i32 = (slot: number, offset: number): Field => ({ slot, offset, size: 4, signed: true });

/** A record with these slots; a slot that is null could not be read. */
function record(...slots: (bigint | null)[]): Uint32Array {
  const words = new Uint32Array(CALL.slots + slots.length * 2);
  for (const [index, value] of slots.entries()) {
    words[CALL.missing] = (words[CALL.missing] as number) | (value === null ? 1 << index : 0);
    words[CALL.slots + index * 2] = Number(BigInt.asUintN(32, value ?? 0n));
    words[CALL.slots + index * 2 + 1] = Number(BigInt.asUintN(32, (value ?? 0n) >> 32n));
  }
  return words;
}

const read = (value: Omit<ColumnValue, 'column'>, ...slots: (bigint | null)[]) =>
  readColumn({ column: 'c', ...value }, record(...slots), 0);

describe('the value of a column', () => {
  it('is the product of its fields', () => {
    expect(read({ fields: [u64(0), i32(1, 4)] }, 5n, 0xffff_fffe_0000_0000n)).toBe(-10n);
  });

  it('is multiplied by a constant, and a constant alone needs nothing of the record', () => {
    expect(read({ fields: [u64(0)], times: 4 }, 0x1_0000_0000n)).toBe(0x4_0000_0000n);
    expect(read({ fields: [], times: 3 }, null)).toBe(3n);
    expect(read({ fields: [], times: 0 })).toBe(0n);
  });

  it('is scaled by a size, and NULL where there is none', () => {
    const scaled = { fields: [u64(0)], scale: { field: i32(1, 0), factors: { 7: 4, [-2]: 8, 9: 0 } } };
    expect(read(scaled, 10n, 7n)).toBe(40n);
    expect(read(scaled, 10n, 0xffff_fffen)).toBe(80n);
    expect(read(scaled, 10n, 9n)).toBe(0n);
    expect(read(scaled, 10n, 8n)).toBeNull();
    expect(read({ ...scaled, fields: [], times: 3 }, null, 7n)).toBe(12n);
  });

  it('is NULL when a slot it needs could not be read, or a condition is not zero', () => {
    const value = { fields: [u64(0)], unless: [u64(1)], scale: { field: u64(2), factors: { 1: 1 } } };
    expect(read(value, 6n, 0n, 1n)).toBe(6n);
    expect(read(value, null, 0n, 1n)).toBeNull();
    expect(read(value, 6n, null, 1n)).toBeNull();
    expect(read(value, 6n, 0n, null)).toBeNull();
    expect(read(value, 6n, 3n, 1n)).toBeNull();
  });

  it('depends on fields, conditions and sizes', () => {
    const value = {
      column: 'c',
      fields: [u64(0)],
      unless: [u64(3)],
      scale: { field: u64(5), factors: { 1: 1 } },
    };
    expect(fieldsOf(value)).toEqual([u64(0), u64(3), u64(5)]);
    expect(slotMask(value)).toBe(0b101001);
  });
});
