import { EXIT, IngeroError } from '../errors.js';
import { execute } from './execute.js';
import { bindFreeParams, type FreeParams } from './free-params.js';
import { JSON_ROWS, liveField, liveNote, type Session } from './session.js';
import { withCapture } from './with-capture.js';
import { type JsonResult, limitRows, toJsonResult, writeResult } from './write.js';

/** What `--json` prints for several statements. */
export interface JsonResults {
  results: JsonResult[];
  live_as_of?: string;
}

/**
 * Runs statements one after the other on one opening of a capture, and writes each result, or returns them for
 * `--json`. The first error ends the script. Throws IngeroError as a single query does, and `one-result` where
 * several results have no room.
 */
export async function runScript(
  session: Omit<Session, 'start'>,
  statements: readonly string[],
  params: FreeParams,
): Promise<JsonResults | undefined> {
  const { flags, json } = session;
  const { format, output } = flags;
  if (output !== undefined || format === 'parquet') {
    throw new IngeroError(`${statements.length} statements have ${statements.length} results.`, {
      code: 'one-result',
      exitCode: EXIT.usage,
      expected: 'one statement where --output or --format parquet names a file',
      next: 'Run them one at a time.',
    });
  }
  return withCapture(session.files, flags, session.report, async (capture, budget) => {
    const results: JsonResult[] = [];
    const maxRows = flags['max-rows'] ?? (json ? JSON_ROWS : 0);
    for (const [index, sql] of statements.entries()) {
      const bound = await execute(capture, sql, budget, (statement) => bindFreeParams(statement, params));
      const result = limitRows(bound, maxRows);
      if (json) {
        results.push(await toJsonResult(result));
        continue;
      }
      if (index > 0 && (format === 'table' || format === 'markdown')) process.stdout.write('\n');
      await writeResult(result, { format, output, humanUnits: session.humanUnits });
      if (result.truncated) session.note(`Stopped after ${maxRows} rows (--max-rows); there are more.`);
    }
    if (json) return { results, ...liveField(capture) };
    for (const note of liveNote(capture)) session.note(note);
    return undefined;
  });
}
