import type { ColumnSpec } from '../capture/schema.js';
import { ident } from '../capture/sql-text.js';

/**
 * A column as SQL in types every reader of Parquet has: Spark and Trino read no unsigned 64-bit integers, not all readers
 * know nanoseconds. A time becomes microseconds under its own name and, exactly, nanoseconds since 1970 under NAME_ns.
 */
export function exportedColumns({ name, type }: ColumnSpec): string[] {
  const column = ident(name);
  const as = (expression: string, alias = name): string => `${expression} AS ${ident(alias)}`;
  switch (type) {
    case 'TIMESTAMP_NS':
      return [as(`t.${column}::TIMESTAMP`), as(`epoch_ns(t.${column})`, `${name}_ns`)];
    case 'UBIGINT':
      return [as(`t.${column}::DECIMAL(20, 0)`)];
    case 'UINTEGER':
      return [as(`t.${column}::BIGINT`)];
    case 'UUID':
      return [as(`t.${column}::VARCHAR`)];
    default:
      return [as(`t.${column}`)];
  }
}
