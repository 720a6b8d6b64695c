import { checkApplies } from './applies.js';
import type { Budget } from './budget.js';
import { execute, type QueryResult } from './execute.js';
import type { NamedQuery } from './named-query.js';
import type { OpenCapture } from './open.js';
import { bindParams, type ParamValues } from './params.js';

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

/** The plan DuckDB makes for a named query on a capture, as text. Throws as {@link runNamed}. */
export async function explainNamed(
  capture: OpenCapture,
  query: NamedQuery,
  values: ParamValues,
  budget: Budget,
): Promise<string> {
  await checkApplies(capture, query);
  const result = await execute(capture, `EXPLAIN ${query.sql}`, budget, (statement) =>
    bindParams(statement, values),
  );
  const plans: string[] = [];
  for await (const chunk of result.chunks()) plans.push(...chunk.getRows().map((row) => String(row[1])));
  return plans.join('\n');
}
