import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Interner } from '../../src/capture/interner.js';

/** Places by tag; equal tags must come with equal places. */
const PLACES = [[], [2], [0, 3], [1, 2, 4], [0, 1, 2, 3, 4, 5]].map((places) => Uint16Array.from(places));

const records = fc.array(
  fc.record({
    tag: fc.nat(PLACES.length - 1),
    at: fc.nat(3),
    // Few different values, so that sequences repeat and differ in one word only.
    words: fc.array(fc.constantFrom(0, 1, 0x80000000, 0xffffffff), { minLength: 9, maxLength: 9 }),
  }),
  { maxLength: 300 },
);

const keyOf = ({ tag, at, words }: { tag: number; at: number; words: number[] }): string =>
  [tag, ...[...(PLACES[tag] as Uint16Array)].map((place) => words[at + place])].join(' ');

test('equal sequences get one number, different ones different numbers, in order of appearance', () => {
  fc.assert(
    fc.property(records, (list) => {
      const interner = new Interner();
      const known = new Map<string, number>();
      for (const record of list) {
        const key = keyOf(record);
        const expected = known.get(key) ?? -1 - known.size;
        if (!known.has(key)) known.set(key, known.size);
        const places = PLACES[record.tag] as Uint16Array;
        expect(interner.intern(record.tag, Uint32Array.from(record.words), record.at, places, 0)).toBe(
          expected,
        );
      }
    }),
  );
});

test('many sequences: the table grows, and none is taken for another', () => {
  const interner = new Interner();
  const words = new Uint32Array(2);
  const places = Uint16Array.of(0, 1);
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 200_000; i++) {
      words[0] = i;
      words[1] = (i % 64) * 0x200000;
      expect(interner.intern(1, words, 0, places, 0)).toBe(round === 0 ? -1 - i : i);
    }
  }
});

test('a full table starts afresh: numbers are never used twice', () => {
  const interner = new Interner(64);
  const words = new Uint32Array(1);
  const seen = new Set<number>();
  for (let i = 0; i < 1000; i++) {
    words[0] = i;
    const answer = interner.intern(0, words, 0, Uint16Array.of(0), 0);
    expect(answer).toBeLessThan(0);
    seen.add(answer);
    // What was just added is known until the next generation.
    expect(interner.intern(0, words, 0, Uint16Array.of(0), 0)).toBe(-1 - answer);
  }
  expect(seen.size).toBe(1000);
});
