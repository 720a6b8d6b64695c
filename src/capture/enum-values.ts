import type { DuckDBConnection } from '@duckdb/node-api';

/** The values of an ENUM type, in its order; none for another type. `type` is as duckdb_columns() says it. */
export async function enumValues(connection: DuckDBConnection, type: string): Promise<string[]> {
  if (!type.startsWith('ENUM')) return [];
  const result = await connection.runAndReadAll(`SELECT unnest(enum_range(NULL::${type}))::VARCHAR`);
  return result.getRows().map(([value]) => String(value));
}
