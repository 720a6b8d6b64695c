import type { DuckDBConnection } from '@duckdb/node-api';
import { MACROS } from '../capture/macros.js';

const KEYWORDS =
  'SELECT FROM WHERE GROUP BY ORDER LIMIT JOIN LEFT USING HAVING WITH AS DISTINCT COUNT SUM MIN MAX AVG FILTER OVER PARTITION DESCRIBE SUMMARIZE EXPLAIN BETWEEN LIKE'.split(
    ' ',
  );

/** What the prompt can complete. */
export interface Vocabulary {
  tables: readonly string[];
  /** Tables, columns, macros and keywords. */
  words: readonly string[];
  /** Named queries. */
  queries: readonly string[];
}

/** Reads the names of a capture. */
export async function readVocabulary(
  connection: DuckDBConnection,
  queries: readonly string[],
): Promise<Vocabulary> {
  const rows = (
    await connection.runAndReadAll(
      "SELECT DISTINCT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal ORDER BY ALL",
    )
  ).getRows();
  const tables = [...new Set(rows.map(([table]) => String(table)))];
  const columns = [...new Set(rows.map(([, column]) => String(column)))];
  const macros = MACROS.map(({ signature }) => signature.slice(0, signature.indexOf('(') + 1));
  return { tables, queries, words: [...new Set([...tables, ...columns, ...macros, ...KEYWORDS])] };
}

/** Completions of the word at the end of a line, and that word, as node:readline wants them. */
export function complete(
  line: string,
  { tables, words, queries }: Vocabulary,
  commands: readonly string[],
): [string[], string] {
  const dot = /^\s*(\.\w*)$/.exec(line)?.[1];
  if (dot !== undefined) return [commands.filter((command) => command.startsWith(dot)), dot];
  const argument = /^\s*\.(\w+)\s+(\S*)$/.exec(line);
  const word = argument?.[2] ?? /\w*$/.exec(line)?.[0] ?? '';
  const candidates = argument === null ? words : argument[1] === 'run' ? queries : tables;
  if (word === '' && argument === null) return [[], ''];
  const low = word.toLowerCase();
  return [candidates.filter((candidate) => candidate.toLowerCase().startsWith(low)), word];
}
