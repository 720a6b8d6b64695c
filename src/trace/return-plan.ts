/** Whether a trace puts probes on the returns of functions. Pure. */
import type { ConfinedProcess } from '../discovery/confined.js';
import { visible } from '../query/visible.js';
import type { FilteredReturns } from '../trust/return-probes.js';

/** `auto`: wherever they cannot hurt a process behind a seccomp filter. */
export const RETURN_PROBES = ['auto', 'always', 'never'] as const;
export type ReturnProbes = (typeof RETURN_PROBES)[number];

export interface ReturnPlan {
  placed: boolean;
  /** For the capture. */
  detail: string;
  /** Whether the kernel shows them to filters: processes behind one are looked for then. */
  endangers: boolean;
}

/**
 * A probe is on a file, for every process that maps it now or later, whoever is traced. So where filters see return
 * probes none is put anywhere: which processes will be behind a filter is not known.
 */
export function planReturns(asked: ReturnProbes, { seen, known }: FilteredReturns): ReturnPlan {
  const why = `seccomp filters see return probes on this kernel (${known}) and may kill processes they confine`;
  if (asked === 'never')
    return { placed: false, detail: 'left out: --return-probes never', endangers: false };
  if (!seen) return { placed: true, detail: 'placed', endangers: false };
  return asked === 'always'
    ? { placed: true, detail: `placed by --return-probes always, although ${why}`, endangers: true }
    : { placed: false, detail: `left out: ${why}`, endangers: true };
}

/** What became of return probes, as `trace --json` tells it. */
export interface ReturnsSummary {
  placed: boolean;
  detail: string;
  /** Whether the kernel shows them to seccomp filters. */
  seen_by_filters: boolean;
  /** Where it does: processes behind a filter that mapped a library when the trace began. */
  confined: readonly ConfinedProcess[];
}

export function summarizeReturns(plan: ReturnPlan, confined: readonly ConfinedProcess[]): ReturnsSummary {
  const { placed, detail, endangers } = plan;
  return { placed, detail, seen_by_filters: endangers, confined };
}

/** What a person is told at the end; nothing where all is as usual. */
export function describeReturns({ placed, detail, seen_by_filters, confined }: ReturnsSummary): string[] {
  if (placed && !seen_by_filters) return [];
  if (placed) return [`Return probes were ${detail}.`, ...describeConfined(confined)];
  const lines = [`Calls have no duration, result or error. Return probes were ${detail}.`];
  if (!seen_by_filters) return lines;
  lines.push('A newer kernel mends it (docs/seal.md); --return-probes always puts them all the same.');
  return [...lines, ...describeConfined(confined)];
}

function describeConfined(confined: readonly ConfinedProcess[]): string[] {
  return confined.map(({ pid, comm, library }) =>
    visible(`Behind a filter: ${comm} (${pid}), which maps ${library}.`),
  );
}
