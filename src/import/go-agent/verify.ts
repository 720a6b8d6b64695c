import type { CaptureFile } from '../../capture/capture-file.js';
import { ident } from '../../capture/sql-text.js';
import { EXIT, IngeroError } from '../../errors.js';
import type { AccountLine } from './account.js';
import type { Gathered } from './gather.js';
import type { EventPlan } from './probe-plan.js';

/**
 * Compares what is in the new file with what was read from the old one: the events of every operation and session,
 * and the rows of every other table. Throws `migrate-mismatch` with the first difference.
 */
export async function verify(
  file: CaptureFile,
  plan: EventPlan,
  lines: readonly AccountLine[],
  { stacks }: Gathered,
): Promise<void> {
  const perProbe = await file.rowsPerProbe(plan.tables.map(({ table }) => table));
  for (const { decoding, facts, run, operation } of plan.probes) {
    const found = perProbe.get(decoding.probeId) ?? 0;
    if (found !== facts.events) throw mismatch(`${operation.name} of run ${run.id}`, facts.events, found);
  }
  // A stack is a row in each run that uses it, with or without frames in the old file.
  const expected = new Map<string, number>([['stacks', stacks.all.length]]);
  for (const { source_table, into_table, converted } of lines) {
    // Names become part of rows that other tables bring.
    if (
      into_table === null ||
      into_table === 'stacks' ||
      source_table === 'events' ||
      source_table === 'process_names'
    ) {
      continue;
    }
    expected.set(into_table, (expected.get(into_table) ?? 0) + converted);
  }
  for (const [table, rows] of expected) {
    const result = await file.connection.runAndReadAll(`SELECT count(*)::INTEGER FROM ${ident(table)}`);
    const found = Number(result.getRows()[0]?.[0]);
    if (found !== rows) throw mismatch(table, rows, found);
  }
}

function mismatch(what: string, expected: number, found: number): IngeroError {
  return new IngeroError(
    `The new file does not hold what was read: ${found} rows of ${what} instead of ${expected}.`,
    {
      code: 'migrate-mismatch',
      exitCode: EXIT.internal,
      next: 'The original is unchanged. Report this; it is a defect in ingero.',
    },
  );
}
