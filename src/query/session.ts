import type { IngeroError } from '../errors.js';
import type { Budget } from './budget.js';
import { type Caveat, caveatText } from './caveats.js';
import type { QueryResult } from './execute.js';
import type { ResultFlags } from './flags.js';
import type { OpenCapture } from './open.js';
import { showProgress } from './progress.js';
import { watchTimes } from './shown-times.js';
import { withCapture } from './with-capture.js';
import { type JsonResult, limitRows, toJsonResult, writeResult } from './write.js';

/** Rows `--json` holds in memory unless --max-rows says otherwise. */
export const JSON_ROWS = 100_000;

export interface Session {
  /** One capture, or several that are asked as one. */
  files: readonly string[];
  flags: ResultFlags;
  /** Return the `--json` shape instead of writing. */
  json: boolean;
  /** Readable units in tables. */
  humanUnits: boolean;
  start(capture: OpenCapture, budget: Budget): Promise<QueryResult>;
  /** What a reader of the result has to know of the capture; said after it. */
  caveats?(capture: OpenCapture): Promise<Caveat[]>;
  /** Says something to the user beside the result. */
  note(text: string): void;
  /** Reports the error the process ends with when DuckDB cannot be stopped. */
  report(error: IngeroError): void;
}

/**
 * Opens a capture, runs one query on it and writes the result, or returns it for `--json`.
 * Throws IngeroError as opening, running and writing do.
 */
export async function runSession(session: Session): Promise<JsonResult | undefined> {
  const { flags } = session;
  return withCapture(session.files, flags, session.report, async (capture, budget) => {
    const endProgress = showProgress(capture.connection);
    try {
      const maxRows = flags['max-rows'] ?? (session.json ? JSON_ROWS : 0);
      const limited = limitRows(await session.start(capture, budget), maxRows);
      // A result nothing is said about is not looked at.
      const { result, shown } =
        session.caveats === undefined ? { result: limited, shown: () => undefined } : watchTimes(limited);
      const notes = async (): Promise<string[]> =>
        ((await session.caveats?.(capture)) ?? []).map((caveat) => caveatText(caveat, shown()));
      if (session.json) {
        const json = { ...(await toJsonResult(result)), ...liveField(capture) };
        return session.caveats === undefined ? json : { ...json, notes: await notes() };
      }
      endProgress();
      const { format, output } = flags;
      const count = await writeResult(result, { format, output, humanUnits: session.humanUnits });
      if (result.truncated) session.note(`Stopped after ${maxRows} rows (--max-rows); there are more.`);
      else if (output !== undefined) session.note(`${count} rows written to ${output}.`);
      for (const note of liveNote(capture)) session.note(note);
      for (const note of await notes()) session.note(`Note: ${note}`);
      return undefined;
    } finally {
      endProgress();
    }
  });
}

/** Says beside a result that the capture is still being recorded; nothing when it is not. */
export function liveNote({ asOfNs }: OpenCapture): string[] {
  return asOfNs === undefined ? [] : [`Live, as of ${isoTime(asOfNs)}; the trace goes on.`];
}

/** Says in a `--json` result that the capture is still being recorded. */
export function liveField({ asOfNs }: OpenCapture): Pick<JsonResult, 'live_as_of'> {
  return asOfNs === undefined ? {} : { live_as_of: isoTime(asOfNs) };
}

/** ISO 8601 in UTC, to the millisecond. */
function isoTime(ns: bigint): string {
  return new Date(Number(ns / 1_000_000n)).toISOString();
}
