import { EXIT } from '../errors.js';
import { visible } from '../query/visible.js';
import { USUAL_LIMIT_PERCENT } from './overhead-watch.js';
import { describeReturns, type ReturnsSummary, summarizeReturns } from './return-plan.js';
import type { TraceOutcome } from './session.js';

/** What `trace --json` prints; its shape is stable. */
export interface TraceSummary {
  capture: string;
  end_reason: string;
  end_detail: string | null;
  rows: number;
  libraries: number;
  probes: { attached: number; failed: number };
  attach_method: string;
  return_probes: ReturnsSummary;
  accounting: {
    hits: number;
    rows: number;
    filtered: number;
    sampled: number;
    lost: number;
    balanced: boolean;
  };
  /** Most that recording took of a core from the busiest thread, percent; predicted from the calls counted. */
  overhead_percent: number;
  /** Largest share of a ring buffer that was waiting, 0 to 1. */
  ring_high_water: number;
  /** Why the file could not be completed; null when it was. */
  failure: string | null;
  command_status: number | null;
}

export function summarize(outcome: TraceOutcome): TraceSummary {
  const { result } = outcome;
  const total = (name: 'hits' | 'rows' | 'filtered' | 'sampled' | 'lost'): number =>
    Number(result.accounting.reduce((sum, row) => sum + row[name], 0n));
  return {
    capture: outcome.capture,
    end_reason: outcome.endReason,
    end_detail: outcome.endDetail,
    rows: result.rows,
    libraries: outcome.libraries,
    probes: outcome.probes,
    attach_method: outcome.attachMethod,
    return_probes: summarizeReturns(outcome.returns, outcome.confined),
    accounting: {
      hits: total('hits'),
      rows: total('rows'),
      filtered: total('filtered'),
      sampled: total('sampled'),
      lost: total('lost'),
      balanced: result.balanced,
    },
    overhead_percent: outcome.overheadPercent,
    ring_high_water: result.ringHighWater,
    failure: result.failure,
    command_status: outcome.commandStatus,
  };
}

/** The lines `trace` ends with. */
export function describeOutcome(summary: TraceSummary): string[] {
  const { accounting, probes } = summary;
  const number = (value: number): string => value.toLocaleString('en');
  const ended =
    summary.end_detail === null ? summary.end_reason : `${summary.end_reason} (${summary.end_detail})`;
  const lines = [
    `${summary.capture}: ${number(summary.rows)} rows; ended: ${ended}`,
    `${number(accounting.hits)} hits = ${number(accounting.rows)} rows + ${number(accounting.filtered)} filtered + ${accounting.sampled === 0 ? '' : `${number(accounting.sampled)} sampled + `}${number(accounting.lost)} lost${accounting.balanced ? '' : ' - DOES NOT ADD UP'}`,
  ];
  if (probes.attached === 0) lines.push('No probe was attached: run-query what-was-attached says why.');
  if (probes.failed > 0)
    lines.push(`${probes.failed} probes could not be attached: run-query what-was-attached says why.`);
  lines.push(...describeReturns(summary.return_probes));
  if (summary.overhead_percent > USUAL_LIMIT_PERCENT) {
    lines.push(
      `Recording took up to ${summary.overhead_percent.toFixed(1)} % of a core from the busiest thread; --max-overhead limits it.`,
    );
  }
  if (summary.failure !== null) lines.push(`The file could not be completed: ${summary.failure}`);
  return lines.map(visible);
}

/** Exit code of a trace that has ended (docs/exit-codes.md). */
export function exitCodeOf(summary: TraceSummary, commandRefused: boolean): number {
  if (summary.failure !== null || summary.end_reason === 'disk-full') return EXIT.output;
  if (summary.end_reason === 'failed') return commandRefused ? EXIT.targetMissing : EXIT.internal;
  if (!summary.accounting.balanced) return EXIT.accounting;
  if (summary.probes.attached === 0) return EXIT.targetMissing;
  return EXIT.ok;
}
