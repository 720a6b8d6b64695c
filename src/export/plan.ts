import { type CaptureSchema, type ColumnSpec, eventColumns } from '../capture/schema.js';
import { ident, literal } from '../capture/sql-text.js';
import { exportedColumns } from './types.js';

/** Host of a run that does not know its own. */
const NO_HOST = 'unknown';

/** One table of an export: its name and the statement that writes it, partitioned, into a folder. */
export interface TableExport {
  table: string;
  /** Writes the rows of the runs `from` to `to` into a folder that does not exist yet. */
  copy(folder: string, from: number, to: number): string;
}

/**
 * Plans the export of the views over one capture (src/query/union.ts): every table by host, date and capture. Rows get
 * `capture_id`, since keys count from the start in every capture. Pure.
 */
export function planExport(schema: CaptureSchema, events: readonly string[]): TableExport[] {
  const catalog = Object.entries(schema.tables).map(([table, { columns }]) =>
    tableExport(table, columns, runOf(schema, table, columns), 'c.started_at'),
  );
  const rows = events.map((table) =>
    tableExport(table, eventColumns(schema, table), 't.run_id', 't.start_time'),
  );
  return [...catalog, ...rows];
}

/** SQL for the run a row belongs to. A table without runs hangs on one that has, or on the file: its first run. */
function runOf(schema: CaptureSchema, table: string, columns: readonly ColumnSpec[]): string {
  if (columns.some(({ name }) => name === 'run_id')) return 't.run_id';
  for (const { name, references } of columns) {
    const [owner = '', key = ''] = references?.split('.') ?? [];
    if (owner !== table && schema.tables[owner]?.columns.some((column) => column.name === 'run_id')) {
      return `(SELECT any_value(o.run_id) FROM main.${ident(owner)} o WHERE o.${ident(key)} = t.${ident(name)})`;
    }
  }
  return '(SELECT min(run_id) FROM main.capture)';
}

function tableExport(table: string, columns: readonly ColumnSpec[], run: string, date: string): TableExport {
  const values = columns.filter(({ name }) => name !== 'capture_id').flatMap(exportedColumns);
  return {
    table,
    copy: (folder, from, to) =>
      `COPY (SELECT c.capture_id::VARCHAR AS capture_id, ${values.join(', ')},
              coalesce(c.hostname, ${literal(NO_HOST)}) AS host, strftime(coalesce(${date}, c.started_at)::TIMESTAMP, '%Y-%m-%d') AS date,
              c.capture_id::VARCHAR AS capture
       FROM main.${ident(table)} t JOIN main.capture c ON c.run_id = ${run}
       WHERE c.run_id BETWEEN ${from} AND ${to})
       TO ${literal(folder)} (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (host, date, capture))`,
  };
}
