import fc from 'fast-check';
import { expect, test } from 'vitest';
import { durationFlag, LONGEST_MS, parseDuration } from '../src/duration.js';
import { EXIT, IngeroError } from '../src/errors.js';

/** What a unit is worth, in milliseconds (SI brochure, table 8, for m, h and d). */
const WORTH = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

const part = fc.record({
  // Thousandths, written with as many decimals as they need.
  thousandths: fc.nat(9_999_999),
  unit: fc.constantFrom(...(Object.keys(WORTH) as (keyof typeof WORTH)[])),
});
const text = (parts: readonly { thousandths: number; unit: string }[]): string =>
  parts.map(({ thousandths, unit }) => `${thousandths / 1000}${unit}`).join('');

test('a duration is the sum of its parts, from more than nothing to the longest a timer can be', () => {
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const ms = parts.reduce((sum, { thousandths, unit }) => sum + (thousandths * WORTH[unit]) / 1000, 0);
      const parsed = parseDuration(text(parts));
      if (ms === 0 || ms > LONGEST_MS + 1) expect(parsed).toBeUndefined();
      else if (ms <= LONGEST_MS - 1) expect(parsed).toBeCloseTo(ms, 3);
    }),
    { examples: [[[{ thousandths: 0, unit: 's' }]], [[{ thousandths: 30_000, unit: 'd' }]]] },
  );
});

test('nothing else is one: a letter more, or any text without this grammar', () => {
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 3 }),
      fc.constantFrom(' ', '-', 'x', '1', '.', 'M', 'µs'),
      fc.boolean(),
      (parts, more, before) => {
        // A digit before the first part only makes its number another one.
        fc.pre(!(before && more === '1' && parts.length > 0));
        expect(parseDuration(before ? more + text(parts) : text(parts) + more)).toBeUndefined();
      },
    ),
  );
  fc.assert(
    fc.property(fc.string(), (any) => {
      if (!/^(?:\d+(?:\.\d+)?(?:ms|[smhd]))+$/.test(any)) expect(parseDuration(any)).toBeUndefined();
    }),
    { examples: [[''], ['5'], ['s'], ['1e3s'], ['5s\n'], ['Infinitys']] },
  );
});

test.each([
  ['1h30m', 5_400_000],
  ['250ms', 250],
  ['1.5s', 1500],
  ['24d', 2_073_600_000],
  ['25d', undefined],
])('%s is %s ms', (written, ms) => {
  expect(parseDuration(written)).toBe(ms);
});

test('one on the command line that is none says what would be, and what else can be done', () => {
  let thrown: unknown;
  try {
    durationFlag('soon', 'Leave it out.');
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(IngeroError);
  expect(thrown).toMatchObject({ code: 'bad-duration', exitCode: EXIT.usage, next: 'Leave it out.' });
});
