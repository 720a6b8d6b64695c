import { type DuckDBConnection, type DuckDBPreparedStatement, StatementType } from '@duckdb/node-api';
import { refused } from './sql-error.js';

/** What a reading statement can begin with. DuckDB turns some others (PRAGMA, PIVOT) into a SELECT itself. */
const READING = new Set([
  'SELECT',
  'WITH',
  'FROM',
  'VALUES',
  'TABLE',
  'DESCRIBE',
  'DESC',
  'SHOW',
  'SUMMARIZE',
  'PIVOT',
  'UNPIVOT',
]);

const ALLOWED: ReadonlySet<StatementType> = new Set([StatementType.SELECT, StatementType.EXPLAIN]);

const skip = /^(?:\s|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/|\(|;)*/;

/** First keyword of a statement, upper case, past comments and parentheses; for EXPLAIN that of the explained one. */
export function leadingKeyword(sql: string): string {
  const text = sql.replace(skip, '');
  const word = /^[A-Za-z_]+/.exec(text)?.[0] ?? '';
  if (word.toUpperCase() !== 'EXPLAIN') return word.toUpperCase();
  const inner = text
    .slice(word.length)
    .replace(/^\s*(?:\((?:\s*(?:ANALYZE|FORMAT\s+\w+)\s*,?)*\)|ANALYZE\b)/i, '');
  return leadingKeyword(inner);
}

/**
 * Prepares the one reading statement in `sql`. Everything else is refused before it runs: several
 * statements, and any type but SELECT and EXPLAIN.
 *
 * Throws IngeroError with `EXIT.sql` for what is refused, and DuckDB's error for what it cannot prepare.
 */
export async function prepareReading(
  connection: DuckDBConnection,
  sql: string,
): Promise<DuckDBPreparedStatement> {
  const keyword = leadingKeyword(sql);
  if (keyword === '' && sql.replace(skip, '') === '') throw refused('there is no SQL statement.');
  const statements = await connection.extractStatements(sql);
  if (!READING.has(keyword)) throw refused(`${keyword} statements are not allowed on a capture.`);
  if (statements.count !== 1) {
    throw refused(
      keyword === 'PIVOT' || /\bpivot\b/i.test(sql)
        ? 'PIVOT runs as several statements unless its values are listed with IN (...).'
        : `${statements.count} statements were given; run them one at a time.`,
    );
  }
  const statement = await statements.prepare(0);
  if (!ALLOWED.has(statement.statementType)) {
    throw refused(`${StatementType[statement.statementType]} statements are not allowed on a capture.`);
  }
  return statement;
}
