import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyHistogram } from '../../src/capture/latency-histogram.js';

const add = (histogram: LatencyHistogram, ns: bigint): void =>
  histogram.add(Number(BigInt.asUintN(32, ns)), Number(ns >> 32n));

test('an empty histogram has no quantiles', () => {
  expect(new LatencyHistogram().quantile(0.5)).toBeNull();
});

test('a quantile is right to within a sixteenth, for calls of a nanosecond and of a year', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, 1n << 55n), (ns) => {
      const histogram = new LatencyHistogram();
      add(histogram, ns);
      const found = histogram.quantile(0.5) as number;
      expect(Math.abs(found - Number(ns))).toBeLessThanOrEqual(Number(ns) / 16);
    }),
    {
      examples: [
        [0n],
        [1n],
        [7n],
        [8n],
        [15n],
        [(1n << 32n) - 1n],
        [1n << 32n],
        [(1n << 35n) - 1n],
        [1n << 35n],
      ],
    },
  );
});

test('quantiles of many durations', () => {
  const histogram = new LatencyHistogram();
  for (let i = 1; i <= 1000; i++) add(histogram, BigInt(i) * 1_000_000n);
  for (const q of [0.01, 0.5, 0.9, 0.99, 1]) {
    const exact = q * 1e9;
    expect(Math.abs((histogram.quantile(q) as number) - exact)).toBeLessThan(exact / 8);
  }
});
