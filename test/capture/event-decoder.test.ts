import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readColumn, readField, slotMask } from '../../src/capture/event-decoder.js';
import type { ColumnValue, Field } from '../../src/packs/model.js';
import { CALL } from '../../src/ring/record.js';

/** A record with these slots, which starts at word `at` of the ring. */
function record(slots: readonly bigint[], at = 0, missing = 0): Uint32Array {
  const words = new Uint32Array(at + CALL.slots + slots.length * 2);
  words[at + CALL.missing] = missing | (slots.length << 16);
  slots.forEach((slot, index) => {
    words[at + CALL.slots + index * 2] = Number(BigInt.asUintN(32, slot));
    words[at + CALL.slots + index * 2 + 1] = Number(slot >> 32n);
  });
  return words;
}

const field = (slot: number, size: Field['size'] = 8, offset = 0, signed = false): Field => ({
  slot,
  offset,
  size,
  signed,
});
const slots = fc.array(fc.bigInt(0n, (1n << 64n) - 1n), { minLength: 12, maxLength: 12 });

test('a field is read with its width, place and sign', () => {
  const sized = fc.constantFrom<Field['size']>(1, 2, 4, 8);
  fc.assert(
    fc.property(
      slots,
      fc.nat(11),
      sized,
      fc.boolean(),
      fc.nat(7),
      fc.nat(50),
      (values, slot, size, signed, raw, at) => {
        const offset = Math.min(raw, 8 - size);
        const bytes = Buffer.alloc(8);
        bytes.writeBigUInt64LE(values[slot] as bigint);
        const padded = Buffer.alloc(8);
        bytes.copy(padded, 0, offset, offset + size);
        const unsigned = padded.readBigUInt64LE();
        const expected = signed ? BigInt.asIntN(size * 8, unsigned) : unsigned;
        expect(readField(field(slot, size, offset, signed), record(values, at), at)).toBe(expected);
      },
    ),
  );
});

test('a column is the product of its fields', () => {
  fc.assert(
    fc.property(slots, (values) => {
      const column: ColumnValue = { column: 'bytes', fields: [field(0, 4), field(3, 4), field(5, 2)] };
      const [a, , , b, , c] = values as [bigint, bigint, bigint, bigint, bigint, bigint];
      const product = BigInt.asUintN(32, a) * BigInt.asUintN(32, b) * BigInt.asUintN(16, c);
      expect(readColumn(column, record(values), 0)).toBe(product < 1n << 64n ? product : null);
    }),
  );
});

test('a product no 64-bit column can hold is unknown, not its low bits', () => {
  const column: ColumnValue = { column: 'bytes', fields: [field(0), field(1)] };
  const huge = (1n << 64n) - 1n;
  expect(readColumn(column, record([huge, 1n]), 0)).toBe(huge);
  expect(readColumn(column, record([huge, 2n]), 0)).toBeNull();
  const signed: ColumnValue = { column: 'n', fields: [field(0, 8, 0, true), field(1)] };
  expect(readColumn(signed, record([-2n, 1n << 62n]), 0)).toBe(-(1n << 63n));
  expect(readColumn(signed, record([-4n, 1n << 62n]), 0)).toBeNull();
});

test('a column is NULL when one of its slots is missing, or a condition does not hold', () => {
  const column: ColumnValue = { column: 'bytes', fields: [field(1), field(2)], unless: [field(4)] };
  expect(slotMask(column)).toBe(0b10110);
  expect(readColumn(column, record([9n, 2n, 3n, 9n, 0n]), 0)).toBe(6n);
  expect(readColumn(column, record([9n, 2n, 3n, 9n, 1n]), 0)).toBeNull();
  for (const slot of [1, 2, 4]) {
    expect(readColumn(column, record([9n, 2n, 3n, 9n, 0n], 0, 1 << slot), 0)).toBeNull();
  }
  // Other slots may be missing.
  expect(readColumn(column, record([9n, 2n, 3n, 9n, 0n], 0, 0b01001), 0)).toBe(6n);
});
