/** Sub-buckets per power of two: a quantile is right to within 1/16. */
const SUB_BITS = 3;
const SUB = 1 << SUB_BITS;
const BUCKETS = 64 * SUB;

/** Counts durations in log-linear buckets, for the live summary; the capture itself keeps every duration. */
export class LatencyHistogram {
  readonly #buckets = new Float64Array(BUCKETS);

  /** Adds a duration of `high * 2^32 + low` ns. */
  add(low: number, high: number): void {
    const exponent = high === 0 ? 31 - Math.clz32(low | 1) : 63 - Math.clz32(high);
    const shift = exponent - SUB_BITS;
    const leading =
      shift >= 32
        ? high >>> (shift - 32)
        : high === 0
          ? low >>> shift
          : (high << (32 - shift)) | (low >>> shift);
    const bucket = shift < 0 ? low : (shift + 1) * SUB + (leading & (SUB - 1));
    this.#buckets[bucket] = (this.#buckets[bucket] as number) + 1;
  }

  /** Duration in ns below which the share `q` (0..1) of the calls lies; null when there are none. */
  quantile(q: number): number | null {
    let total = 0;
    for (const count of this.#buckets) total += count;
    if (total === 0) return null;
    let left = q * total;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      left -= this.#buckets[bucket] as number;
      if (left <= 0) return middleOf(bucket);
    }
    return middleOf(BUCKETS - 1);
  }
}

function middleOf(bucket: number): number {
  if (bucket < SUB) return bucket;
  const width = 2 ** (Math.floor(bucket / SUB) - 1);
  return (SUB + (bucket % SUB)) * width + width / 2;
}
