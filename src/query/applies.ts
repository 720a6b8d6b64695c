import type { DuckDBConnection } from '@duckdb/node-api';
import { EXIT, IngeroError } from '../errors.js';
import type { NamedQuery } from './named-query.js';
import type { OpenCapture } from './open.js';

/** Why a query cannot answer on a capture, and what to do about it. */
export interface NotApplicable {
  why: string;
  next: string;
}

async function column(connection: DuckDBConnection, sql: string, values: string[] = []): Promise<unknown[]> {
  const result = await connection.runAndReadAll(sql, values);
  return result.getRows().map((row) => row[0]);
}

/** The tables and views a capture shows. */
export async function tablesOf(connection: DuckDBConnection): Promise<ReadonlySet<string>> {
  const names = await column(
    connection,
    "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main' UNION SELECT view_name FROM duckdb_views() WHERE schema_name = 'main'",
  );
  return new Set(names.map(String));
}

const record = (query: NamedQuery): string =>
  query.packs.length === 0
    ? 'Record with a probe pack that writes this table; `ingero run-query what-was-attached` says what was traced.'
    : `Record with ${query.packs.map((pack) => `--pack ${pack}`).join(' ')}; \`ingero run-query what-was-attached\` says what was traced.`;

/**
 * Whether a query can answer on a capture: its schema, the tables, whether one of the operations it reads was probed
 * (a capture without any probe, such as an imported one, is taken at its rows), and the query's own discovery SQL.
 * Undefined when it can.
 */
export async function whyNot(capture: OpenCapture, query: NamedQuery): Promise<NotApplicable | undefined> {
  const { connection, schemaVersion } = capture;
  if (schemaVersion < query.requires.schema) {
    return {
      why: `it has schema version ${schemaVersion} and the query needs ${query.requires.schema}`,
      next: `\`ingero migrate ${capture.path}\` writes it with the newer schema to a new file.`,
    };
  }
  const tables = await tablesOf(connection);
  const missing = query.requires.tables.filter((table) => !tables.has(table));
  if (missing.length > 0) return { why: `it has no table ${missing.join(', ')}`, next: record(query) };
  if (query.ops.length > 0 && tables.has('probes')) {
    const reason = await unprobed(connection, query.ops);
    if (reason !== undefined) return { why: reason, next: record(query) };
  }
  if (query.discovery === undefined) return undefined;
  const [why] = await column(connection, query.discovery);
  if (typeof why !== 'string') return undefined;
  return { why, next: `\`ingero queries show ${query.name}\` says what the query needs.` };
}

async function unprobed(connection: DuckDBConnection, globs: readonly string[]): Promise<string | undefined> {
  const matches = globs.map((_, index) => `op GLOB $${index + 1}`).join(' OR ');
  const [attached] = await column(
    connection,
    `SELECT CASE WHEN count(*) = 0 THEN true ELSE coalesce(bool_or(state IN ('attached', 'imported') AND (${matches})), false) END FROM probes`,
    [...globs],
  );
  if (attached === true) return undefined;
  const [reason] = await column(connection, `SELECT any_value(reason) FROM probes WHERE ${matches}`, [
    ...globs,
  ]);
  const because = typeof reason === 'string' ? `: ${reason}` : '';
  return `none of the functions it reads (${globs.join(', ')}) was probed${because}`;
}

/**
 * Throws IngeroError (`query-does-not-apply`, `EXIT.badCapture`) when a query cannot answer on a capture: what was
 * not recorded is a different answer from nothing having happened.
 */
export async function checkApplies(capture: OpenCapture, query: NamedQuery): Promise<void> {
  const reason = await whyNot(capture, query);
  if (reason === undefined) return;
  throw new IngeroError(`${query.name} does not apply to ${capture.path} because ${reason.why}.`, {
    code: 'query-does-not-apply',
    exitCode: EXIT.badCapture,
    next: reason.next,
  });
}
