import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { PACKAGE_ROOT } from '../paths.js';
import { SCHEMA_VERSION } from './version.js';

/** Where an event column's value lives: in the row, or in the table of distinct argument sets. */
export type Storage = 'row' | 'interned';

export interface ColumnSpec {
  name: string;
  /** A DuckDB type, or `NAME`: an ENUM of `values`, or of the names the packs of the run supply. */
  type: string;
  values?: readonly string[];
  nullable?: boolean;
  unit?: string;
  description: string;
  storage?: Storage;
}

export interface TableSpec {
  description: string;
  columns: readonly ColumnSpec[];
}

/** One version of the capture schema, as `schema/capture-vN.yaml` states it. */
export interface CaptureSchema {
  version: number;
  tables: Readonly<Record<string, TableSpec>>;
  /** Columns every event table begins with. */
  event_columns: readonly ColumnSpec[];
  event_tables: Readonly<Record<string, TableSpec>>;
}

/** Reads `schema/capture-vN.yaml`. Throws when the file is missing. */
export function readCaptureSchema(version: number = SCHEMA_VERSION): CaptureSchema {
  return parse(readFileSync(`${PACKAGE_ROOT}/schema/capture-v${version}.yaml`, 'utf8')) as CaptureSchema;
}

/** All columns of an event table in the order its view shows them. */
export function eventColumns(schema: CaptureSchema, table: string): ColumnSpec[] {
  const own = schema.event_tables[table];
  if (own === undefined) throw new Error(`no event table ${table} in schema ${schema.version}`);
  const lead = schema.event_columns.findIndex((column) => column.name === 'layer');
  return [...schema.event_columns.slice(0, lead), ...own.columns, ...schema.event_columns.slice(lead)];
}

/** Whether a column's value is stored in the row itself rather than with the interned argument set. */
export function inRow(column: ColumnSpec): boolean {
  return column.storage === 'row';
}
