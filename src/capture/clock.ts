import koffi from 'koffi';

koffi.struct('timespec', { tv_sec: 'int64_t', tv_nsec: 'int64_t' });
const clockGettime = koffi
  .load(null)
  .func('int clock_gettime(int clock, _Out_ timespec *now)') as unknown as (
  clock: number,
  now: { tv_sec?: number | bigint; tv_nsec?: number | bigint },
) => number;

const CLOCK_REALTIME = 0;
const CLOCK_MONOTONIC = 1;
const NS = 1_000_000_000n;
/** Readings taken per anchor; the one with the narrowest window counts. */
const ATTEMPTS = 8;

/** One reading of both clocks. */
export interface ClockAnchor {
  monotonicNs: bigint;
  wallNs: bigint;
  /** Width of the window in which the wall clock was read. */
  uncertaintyNs: bigint;
}

/** Reads CLOCK_MONOTONIC (the clock of bpf_ktime_get_ns, bpf-helpers(7)) and CLOCK_REALTIME together. */
export function readClockAnchor(): ClockAnchor {
  let best: ClockAnchor | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const before = now(CLOCK_MONOTONIC);
    const wallNs = now(CLOCK_REALTIME);
    const uncertaintyNs = now(CLOCK_MONOTONIC) - before;
    if (best === undefined || uncertaintyNs < best.uncertaintyNs) {
      best = { monotonicNs: before + uncertaintyNs / 2n, wallNs, uncertaintyNs };
    }
  }
  return best as ClockAnchor;
}

/** CLOCK_REALTIME in ns since 1970 UTC. */
export function wallClockNs(): bigint {
  return now(CLOCK_REALTIME);
}

/** CLOCK_MONOTONIC in ns, the clock of event times. */
export function monotonicNs(): bigint {
  return now(CLOCK_MONOTONIC);
}

function now(clock: number): bigint {
  const time: { tv_sec?: number | bigint; tv_nsec?: number | bigint } = {};
  clockGettime(clock, time);
  return BigInt(time.tv_sec ?? 0) * NS + BigInt(time.tv_nsec ?? 0);
}
