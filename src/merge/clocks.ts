/** What is known of the clock of one run. Nanoseconds. */
export interface RunClock {
  runId: number;
  /** Identity of the boot; null when unknown. */
  bootId: string | null;
  /** Wall clock minus monotonic clock at each anchor, in the order they were taken. */
  offsets: readonly bigint[];
  /** Largest width of the window an anchor was read in. */
  uncertainty: bigint;
}

/** How the times of a run are put on the common time line: a row of `clock_alignment`. */
export interface Alignment {
  runId: number;
  referenceRunId: number;
  method: 'same-boot' | 'wall-clock' | 'none';
  correctionNs: bigint;
  /** Null when the run has no anchors. */
  errorNs: bigint | null;
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0);
/** The largest of some values; 0 when there is none. */
export const largest = (values: readonly bigint[]): bigint => [...values].sort(compare).at(-1) ?? 0n;
const magnitude = (value: bigint): bigint => (value < 0n ? -value : value);

/**
 * Aligns runs by their anchors. Event times are the monotonic clock plus the offset of the run's first anchor; a wall clock
 * that was slewed or stepped later makes that one offset as good as any other. Runs of one boot read the same monotonic
 * clock, so that one offset for all of them, the median of all their anchors, makes their times comparable to the
 * nanosecond. The error is how far any anchor is from that offset, and the width of its window.
 */
export function alignClocks(runs: readonly RunClock[]): Alignment[] {
  const boots = new Map<string, RunClock[]>();
  for (const run of runs) {
    const boot = run.bootId ?? `run ${run.runId}`;
    boots.set(boot, [...(boots.get(boot) ?? []), run]);
  }
  return runs.map((run) => {
    const group = boots.get(run.bootId ?? `run ${run.runId}`) ?? [];
    const reference = group.find(({ offsets }) => offsets.length > 0);
    const first = run.offsets[0];
    if (first === undefined || reference === undefined) {
      return { runId: run.runId, referenceRunId: run.runId, method: 'none', correctionNs: 0n, errorNs: null };
    }
    const offsets = group.flatMap((member) => member.offsets).sort(compare);
    const median = offsets[Math.floor((offsets.length - 1) / 2)] as bigint;
    const spread = largest(offsets.map((offset) => magnitude(offset - median)));
    const uncertainty = largest(group.map((member) => member.uncertainty));
    return {
      runId: run.runId,
      referenceRunId: reference.runId,
      method: group.length > 1 ? 'same-boot' : 'wall-clock',
      correctionNs: median - first,
      errorNs: spread + uncertainty,
    };
  });
}
