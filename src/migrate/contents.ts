import type { DuckDBConnection } from '@duckdb/node-api';
import { STORE } from '../capture/ddl.js';
import { ident } from '../capture/sql-text.js';

/** A column as the file has it. */
export interface FileColumn {
  name: string;
  /** DuckDB's name of the type; `ENUM(...)` with its values. */
  type: string;
  nullable: boolean;
  comment: string | null;
}

/** A table as the file has it. */
export interface FileTable {
  columns: readonly FileColumn[];
  comment: string | null;
  rows: number;
}

/** The tables and views of a capture file. Views are known by their columns only; nothing runs their SQL. */
export interface FileContents {
  main: ReadonlyMap<string, FileTable>;
  store: ReadonlyMap<string, FileTable>;
  views: ReadonlyMap<string, Omit<FileTable, 'rows'>>;
}

/** Reads what tables a capture has, from its catalog. `database`: its name on the connection. */
export async function readContents(connection: DuckDBConnection, database: string): Promise<FileContents> {
  const rows = async (sql: string): Promise<unknown[][]> =>
    (await connection.runAndReadAll(sql, [database])).getRows();
  const columns = new Map<string, FileColumn[]>();
  const key = (schema: unknown, table: unknown): string => `${schema}.${table}`;
  for (const [schema, table, name, type, nullable, comment] of await rows(
    `SELECT schema_name, table_name, column_name, data_type, is_nullable, comment FROM duckdb_columns()
     WHERE database_name = $1 AND NOT internal ORDER BY table_oid, column_index`,
  )) {
    const list = columns.get(key(schema, table)) ?? [];
    list.push({
      name: String(name),
      type: String(type),
      nullable: nullable === true,
      comment: comment as string | null,
    });
    columns.set(key(schema, table), list);
  }
  const tables = async (schema: string): Promise<Map<string, FileTable>> => {
    const found = new Map<string, FileTable>();
    for (const [name, comment] of await rows(
      `SELECT table_name, comment FROM duckdb_tables()
       WHERE database_name = $1 AND schema_name = '${schema}' AND NOT internal ORDER BY table_oid`,
    )) {
      const count = await connection.runAndReadAll(
        `SELECT count(*) FROM ${ident(database)}.${ident(schema)}.${ident(String(name))}`,
      );
      found.set(String(name), {
        columns: columns.get(key(schema, name)) ?? [],
        comment: comment as string | null,
        rows: Number(count.getRows()[0]?.[0]),
      });
    }
    return found;
  };
  const views = (
    await rows(
      `SELECT view_name, comment FROM duckdb_views()
       WHERE database_name = $1 AND schema_name = 'main' AND NOT internal ORDER BY view_oid`,
    )
  ).map(
    ([name, comment]) =>
      [
        String(name),
        { columns: columns.get(key('main', name)) ?? [], comment: comment as string | null },
      ] as const,
  );
  return { main: await tables('main'), store: await tables(STORE), views: new Map(views) };
}

/** Event tables of a file: those with rows, argument sets and the view over both. */
export function eventTablesOf(contents: FileContents): string[] {
  return [...contents.store.keys()].filter(
    (name) => contents.store.has(`${name}_args`) && contents.views.has(name),
  );
}
