import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CHUNK_ROWS } from '../../src/capture/chunk-appender.js';
import { ColumnBuffer, columnWidth } from '../../src/capture/column-buffer.js';

test("the width of a column is that of its DuckDB type, an ENUM's depends on its names", () => {
  expect(
    ['BOOLEAN', 'UTINYINT', 'SMALLINT', 'INTEGER', 'UBIGINT', 'TIMESTAMP_NS'].map((type) =>
      columnWidth(type, undefined),
    ),
  ).toEqual([1, 1, 2, 4, 8, 8]);
  const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`);
  expect([0, 1, 255, 256, 65_535, 65_536].map((count) => columnWidth('NAME', names(count)))).toEqual([
    1, 1, 1, 2, 2, 4,
  ]);
  expect(() => columnWidth('VARCHAR', undefined)).toThrow('VARCHAR');
});

test('values come back as they were set, and what was not set is NULL', () => {
  const row = fc.record({ row: fc.nat(CHUNK_ROWS - 1), value: fc.bigInt(0n, (1n << 64n) - 1n) });
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 4, 8), fc.array(row, { maxLength: 100 }), (width, rows) => {
      const buffer = new ColumnBuffer(width, true);
      const expected = new Map<number, bigint>();
      for (const { row: at, value } of rows) {
        buffer.set64(at, Number(BigInt.asUintN(32, value)), Number(value >> 32n));
        expected.set(at, BigInt.asUintN(width * 8, value));
      }
      const data = Buffer.from(buffer.data);
      const valid = Buffer.from(buffer.validity as ArrayBuffer);
      for (let at = 0; at < CHUNK_ROWS; at++) {
        const isSet = ((valid[at >> 3] as number) >> (at & 7)) & 1;
        expect(isSet).toBe(expected.has(at) ? 1 : 0);
        if (!isSet) continue;
        const low = data.readUIntLE(at * width, Math.min(width, 4));
        const high = width === 8 ? data.readUInt32LE(at * width + 4) : 0;
        expect((BigInt(high) << 32n) | BigInt(low)).toBe(expected.get(at));
      }
      buffer.clear();
      expect(Buffer.from(buffer.validity as ArrayBuffer).every((byte) => byte === 0)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test('a small value in a wide column has no old high word', () => {
  const buffer = new ColumnBuffer(8, false);
  buffer.set64(3, 1, 0xffffffff);
  buffer.set(3, 2);
  expect(new BigUint64Array(buffer.data)[3]).toBe(2n);
  expect(buffer.validity).toBeNull();
});
