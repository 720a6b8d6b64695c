import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { planDdl } from '../capture/ddl.js';
import { MACROS } from '../capture/macros.js';
import { readCaptureSchema } from '../capture/schema.js';
import type { HeaderProblem } from './header.js';
import type { NamedQuery } from './named-query.js';
import { bindParams, resolveParams } from './params.js';
import { parseFailure } from './sql-error.js';
import { prepareReading } from './statement.js';

/**
 * Opens a capture without rows, in memory, that has every table of the newest schema. Close both after use.
 */
export async function openModelCapture(): Promise<{ connection: DuckDBConnection; close(): void }> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1', enable_external_access: 'false' });
  const connection = await instance.connect();
  const schema = readCaptureSchema();
  const tables = Object.keys(schema.event_tables).map((table) => ({ table, names: {} }));
  for (const statement of planDdl(schema, tables)) await connection.run(statement);
  await connection.run('SET errors_as_json = true');
  return {
    connection,
    close() {
      connection.closeSync();
      instance.closeSync();
    },
  };
}

/** Units a column whose name ends like this has to have. */
const SUFFIXES: readonly (readonly [RegExp, string])[] = [
  [/_ns$/, 'ns'],
  [/_ms$/, 'ms'],
  [/_pct$/, '%'],
  [/_bytes$|^bytes$/, 'bytes'],
  [/gb_per_s$/, 'GB/s'],
];

const NOT_NUMBERS = /^(VARCHAR|BOOLEAN|UUID|ENUM|STRUCT)|\[\]$/;

/** Columns of a query's result. Its parameters have their defaults: without values they have no types. */
async function describeResult(
  connection: DuckDBConnection,
  query: NamedQuery,
): Promise<{ name: string; type: string }[]> {
  const statement = await prepareReading(connection, `DESCRIBE ${query.sql}`);
  bindParams(statement, resolveParams(query, []));
  const described = await statement.runAndReadAll();
  return described.getRows().map(([name, type]) => ({ name: String(name), type: String(type) }));
}

/**
 * Compares what the header of a query says with its SQL, on a capture that has the tables it reads: the result's
 * columns, their names and order, the tables, and that units suit names and types. Returns every difference.
 */
export async function checkSql(
  connection: DuckDBConnection,
  query: NamedQuery,
  file: string,
): Promise<HeaderProblem[]> {
  const problems: HeaderProblem[] = [];
  const problem = (message: string): void => {
    problems.push({ file, line: 1, message });
  };
  try {
    const columns = await describeResult(connection, query);
    const documented = query.columns.map((column) => column.name);
    const found = columns.map((column) => column.name);
    for (const name of found.filter((candidate) => !documented.includes(candidate))) {
      problem(`the result has a column ${name} without an @column`);
    }
    for (const name of documented.filter((candidate) => !found.includes(candidate))) {
      problem(`@column ${name}: the result has no such column`);
    }
    if (problems.length === 0 && found.join() !== documented.join()) {
      problem(`the columns of the result are in another order: ${found.join(', ')}`);
    }
    for (const { name, type } of columns) {
      const unit = query.columns.find((column) => column.name === name)?.unit;
      const expected = SUFFIXES.find(([suffix]) => suffix.test(name))?.[1];
      if (expected !== undefined && unit !== expected) problem(`@column ${name}: its unit is ${expected}`);
      if ((unit === 'UTC') !== (type === 'TIMESTAMP_NS'))
        problem(`@column ${name}: ${type} and unit ${unit ?? '-'} do not suit`);
      if (unit === 'symbol' && type !== 'VARCHAR') problem(`@column ${name}: unit symbol needs a text`);
      if (unit !== undefined && unit !== 'symbol' && NOT_NUMBERS.test(type))
        problem(`@column ${name}: unit ${unit} needs a number`);
    }
    if (query.discovery !== undefined) {
      const discovery = await prepareReading(connection, query.discovery);
      if (discovery.columnCount !== 1) problem('@discovery: one column is expected');
    }
    problems.push(...(await checkTables(connection, query, file)));
  } catch (cause) {
    problem(`the SQL fails: ${parseFailure(cause).message}`);
  }
  return problems;
}

/** Tables and views a macro of captures reads. */
function readBy(name: string): readonly string[] {
  return MACROS.find(({ signature }) => signature.startsWith(`${name}(`))?.reads ?? [];
}

/** Tables and views a statement names, or has macros read, without its common table expressions. */
async function tablesIn(connection: DuckDBConnection, sql: string): Promise<Set<string>> {
  const result = await connection.runAndReadAll('SELECT json_serialize_sql($1::VARCHAR)', [sql]);
  const named = new Set<string>();
  const own = new Set<string>();
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    const {
      type,
      table_name: table,
      function_name: called,
      cte_map: ctes,
    } = node as {
      type?: unknown;
      table_name?: unknown;
      function_name?: unknown;
      cte_map?: { map?: { key: string }[] };
    };
    if (type === 'BASE_TABLE' && typeof table === 'string') named.add(table);
    if (type === 'FUNCTION' && typeof called === 'string') for (const its of readBy(called)) named.add(its);
    for (const { key } of ctes?.map ?? []) own.add(key);
    for (const child of Object.values(node)) walk(child);
  };
  walk(JSON.parse(String(result.getRows()[0]?.[0])));
  return new Set([...named].filter((name) => !own.has(name)));
}

async function checkTables(
  connection: DuckDBConnection,
  query: NamedQuery,
  file: string,
): Promise<HeaderProblem[]> {
  const read = await tablesIn(connection, query.sql);
  if (query.discovery !== undefined) {
    for (const table of await tablesIn(connection, query.discovery)) read.add(table);
  }
  const declared = new Set(query.requires.tables);
  return [
    ...[...read]
      .filter((table) => !declared.has(table))
      .map((table) => `the SQL reads ${table}, which @requires does not name`),
    ...[...declared]
      .filter((table) => !read.has(table))
      .map((table) => `@requires names ${table}, which the SQL does not read`),
  ].map((message) => ({ file, line: 1, message }));
}
