import { IngeroError } from '../errors.js';
import type { Budget } from '../query/budget.js';
import type { NamedQuery } from '../query/named-query.js';
import type { OpenCapture } from '../query/open.js';
import { resolveParams } from '../query/params.js';
import { runNamed } from '../query/run.js';
import { limitRows, toJsonResult } from '../query/write.js';
import { DETECTION_PREFIX, type Finding, rankFindings, toFinding, type Unranked } from './finding.js';

/** Findings of one detection that are looked at: a program with a thousand processes is told of the worst. */
const MOST_FINDINGS = 20;

/** Failures of one detection that leave the others their answer: it does not apply, or does not fit into memory. */
const SKIPPED_FOR = ['query-does-not-apply', 'sql-out-of-memory'];

/** What `ingero explain --json` prints. */
export interface Explanation {
  findings: Finding[];
  /** Detections that looked and found nothing. */
  clean: string[];
  /** Detections that could not look, and why. */
  skipped: { detection: string; reason: string }[];
  /** What limits the answer: lost calls, a recording that was cut off. */
  caveats: string[];
}

/** The detections of a library of named queries. */
export function detections(library: ReadonlyMap<string, NamedQuery>): NamedQuery[] {
  return [...library.values()].filter(({ name }) => name.startsWith(DETECTION_PREFIX));
}

/**
 * Runs every detection on a capture and ranks what they find. `files` is how the reader named the capture, or the captures.
 * Throws IngeroError as a query does; a detection that does not apply, or needs more memory than there is, is skipped with its reason.
 */
export async function explain(
  capture: OpenCapture,
  files: readonly string[],
  library: ReadonlyMap<string, NamedQuery>,
  budget: Budget,
): Promise<Explanation> {
  const found: Unranked[] = [];
  const clean: string[] = [];
  const skipped: Explanation['skipped'] = [];
  for (const query of detections(library)) {
    try {
      const result = await runNamed(capture, query, resolveParams(query, []), budget);
      const { rows } = await toJsonResult(limitRows(result, MOST_FINDINGS));
      if (rows.length === 0) clean.push(query.name);
      for (const row of rows) found.push(toFinding(query, row, files));
    } catch (error) {
      if (!(error instanceof IngeroError) || !SKIPPED_FOR.includes(error.code)) throw error;
      skipped.push({ detection: query.name, reason: error.message });
    }
  }
  return { findings: rankFindings(found), clean, skipped, caveats: await caveats(capture) };
}

async function caveats(capture: OpenCapture): Promise<string[]> {
  const said: string[] = [];
  const end = await capture.connection.runAndReadAll(
    "SELECT count(*) FILTER (end_reason = 'cut-off'), count(*) FILTER (NOT coalesce(accounting_balanced, true)) FROM capture",
  );
  const [cutOff, unbalanced] = (end.getRows()[0] ?? []).map(Number);
  if (capture.asOfNs !== undefined)
    said.push('The trace is still running: calls that have not returned are not seen.');
  else if (cutOff !== 0)
    said.push('The recorder was cut off: its last moments and calls in flight are missing.');
  if (unbalanced !== 0)
    said.push('The account of the recording does not add up: `ingero run-query what-was-lost` says where.');
  const lost = await capture.connection.runAndReadAll(
    `SELECT sum(lost_ring_full + lost_too_deep + lost_no_memory + lost_not_written)::DOUBLE, sum(hits - filtered)::DOUBLE, sum(sampled)::DOUBLE
     FROM probe_accounting`,
  );
  const [missing = 0, hits = 0, sampled = 0] = (lost.getRows()[0] ?? []).map(Number);
  if (missing > 0) {
    said.push(
      `${missing} of ${hits} calls were lost (${((100 * missing) / hits).toFixed(2)} %): what is counted here is less than what happened.`,
    );
  }
  if (sampled > 0)
    said.push(`${sampled} calls were left out by sampling: findings are about the calls recorded.`);
  return said;
}
