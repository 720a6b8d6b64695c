import { Budget } from './budget.js';
import type { QueryResult } from './execute.js';
import type { ResultFlags } from './flags.js';
import { type OpenCapture, openCapture } from './open.js';
import { type JsonResult, limitRows, toJsonResult, writeResult } from './write.js';

/** Rows `--json` holds in memory unless --max-rows says otherwise. */
const JSON_ROWS = 100_000;

export interface Session {
  file: string;
  flags: ResultFlags;
  /** Return the `--json` shape instead of writing. */
  json: boolean;
  /** Readable units in tables. */
  humanUnits: boolean;
  start(capture: OpenCapture, budget: Budget): Promise<QueryResult>;
  /** Says something to the user beside the result. */
  note(text: string): void;
}

/**
 * Opens a capture, runs one query on it and writes the result, or returns it for `--json`.
 * Throws IngeroError as opening, running and writing do.
 */
export async function runSession(session: Session): Promise<JsonResult | undefined> {
  const { flags } = session;
  const capture = await openCapture(session.file, { memoryLimit: flags['memory-limit'] });
  const budget = new Budget(capture.connection, flags.timeout);
  try {
    const maxRows = flags['max-rows'] ?? (session.json ? JSON_ROWS : 0);
    const result = limitRows(await session.start(capture, budget), maxRows);
    if (session.json) return await toJsonResult(result);
    const { format, output } = flags;
    const count = await writeResult(result, { format, output, humanUnits: session.humanUnits });
    if (result.truncated) session.note(`Stopped after ${maxRows} rows (--max-rows); there are more.`);
    else if (output !== undefined) session.note(`${count} rows written to ${output}.`);
    return undefined;
  } finally {
    budget.dispose();
    capture.close();
  }
}
