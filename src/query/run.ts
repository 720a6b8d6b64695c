import { EXIT, IngeroError } from '../errors.js';
import type { Budget } from './budget.js';
import { execute, type QueryResult } from './execute.js';
import type { NamedQuery } from './header.js';
import type { OpenCapture } from './open.js';
import { bindParams, type ParamValues } from './params.js';

/**
 * Checks that a capture has what a query reads. Throws IngeroError (`query-does-not-apply`,
 * `EXIT.badCapture`): a table that was not recorded is a different answer from one without rows.
 */
export async function checkApplies(capture: OpenCapture, query: NamedQuery): Promise<void> {
  const fail = (why: string, next: string): never => {
    throw new IngeroError(`${query.name} does not apply to ${capture.path} because ${why}.`, {
      code: 'query-does-not-apply',
      exitCode: EXIT.badCapture,
      next,
    });
  };
  if (capture.schemaVersion < query.requires.schema) {
    fail(
      `it has schema version ${capture.schemaVersion} and the query needs ${query.requires.schema}`,
      '`ingero migrate` brings a capture to a newer schema in a new file.',
    );
  }
  const present = await capture.connection.runAndReadAll(
    "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'",
  );
  const tables = new Set(present.getRows().map((row) => String(row[0])));
  const missing = query.requires.tables.filter((table) => !tables.has(table));
  if (missing.length > 0) {
    fail(
      `it has no table ${missing.join(', ')}`,
      'Record with a probe pack that writes this table; `ingero run-query what-was-attached` says what was traced.',
    );
  }
}

/**
 * Starts a named query on a capture. The result's columns carry the units and descriptions of its header.
 *
 * Throws IngeroError as {@link checkApplies} and {@link execute}.
 */
export async function runNamed(
  capture: OpenCapture,
  query: NamedQuery,
  values: ParamValues,
  budget: Budget,
): Promise<QueryResult> {
  await checkApplies(capture, query);
  const result = await execute(capture, query.sql, budget, (statement) => bindParams(statement, values));
  const documented = new Map(query.columns.map((column) => [column.name, column]));
  return {
    ...result,
    columns: result.columns.map((column) => {
      const doc = documented.get(column.name);
      if (doc === undefined) return column;
      return { ...column, description: doc.doc, ...(doc.unit === undefined ? {} : { unit: doc.unit }) };
    }),
  };
}
