import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { PACKAGE_ROOT } from '../paths.js';
import { shippedYaml } from '../shipped-yaml.js';
import { SCHEMA_VERSION } from './version.js';

/** `run_id` throughout a file of one run. */
export const RUN_ID = 1;

/** Where an event column's value lives: in the row, or in the table of distinct argument sets. */
export type Storage = 'row' | 'interned';

export interface ColumnSpec {
  name: string;
  /** A DuckDB type, or `NAME`: an ENUM of `values`, or of the names the packs of the run supply. */
  type: string;
  values?: readonly string[];
  nullable?: boolean;
  /** Schema version from which it may be NULL, where an earlier one said that it may not. */
  nullable_since?: number;
  unit?: string;
  description: string;
  storage?: Storage;
  /** `table.column`: the key of another table that this value is. */
  references?: string;
  /** Schema version that brought the column; 1 where it is left out. */
  since?: number;
  /** What a row of the version before gets: SQL over that row. NULL where it is left out. */
  migrate?: string;
}

export interface TableSpec {
  description: string;
  columns: readonly ColumnSpec[];
  /** Columns that together name a row. */
  key?: readonly string[];
  /** Schema version that brought the table; 1 where it is left out. */
  since?: number;
}

/** A view the schema defines. It is in a capture that has every event table it reads. */
export interface ViewSpec {
  description: string;
  since?: number;
  /** Event tables it reads. */
  event_tables: readonly string[];
  /** What its SELECT gives, in order. */
  columns: readonly ColumnSpec[];
  sql: string;
}

/** One version of the capture schema, as `schema/capture-vN.yaml` states it. */
export interface CaptureSchema {
  version: number;
  tables: Readonly<Record<string, TableSpec>>;
  /** Columns every event table begins with. */
  event_columns: readonly ColumnSpec[];
  event_tables: Readonly<Record<string, TableSpec>>;
  /** Columns of some event tables that the view `events` has besides `bytes`. */
  events_view_columns?: readonly ColumnSpec[];
  views?: Readonly<Record<string, ViewSpec>>;
}

/** Reads `schema/capture-vN.yaml`. Throws when the file is missing. */
export function readCaptureSchema(version: number = SCHEMA_VERSION): CaptureSchema {
  const known = schemas.get(version);
  if (known !== undefined) return known;
  const file = `${PACKAGE_ROOT}/schema/capture-v${version}.yaml`;
  const text = readFileSync(file, 'utf8');
  const schema = (shippedYaml(text) ?? parse(text)) as CaptureSchema;
  schemas.set(version, schema);
  return schema;
}

/** Reading one takes about 25 ms, and every pack is checked against it. */
const schemas = new Map<number, CaptureSchema>();

/** All columns of an event table in the order its view shows them. */
export function eventColumns(schema: CaptureSchema, table: string): ColumnSpec[] {
  const own = schema.event_tables[table];
  if (own === undefined) throw new Error(`no event table ${table} in schema ${schema.version}`);
  const lead = schema.event_columns.findIndex((column) => column.name === 'layer');
  return [...schema.event_columns.slice(0, lead), ...own.columns, ...schema.event_columns.slice(lead)];
}

/** The size a call moves or allocates, which tables of most layers have. */
const BYTES: ColumnSpec = {
  name: 'bytes',
  type: 'UBIGINT',
  nullable: true,
  unit: 'bytes',
  description: 'Size the call moves or allocates; NULL where it has none',
};

/** Columns of some event tables that the view over all of them shows too, NULL for the others. */
export function eventsViewColumns(schema: CaptureSchema): ColumnSpec[] {
  return [BYTES, ...(schema.events_view_columns ?? [])];
}

/** A column as views over several tables show it: a name is text there, since each table has an ENUM of its own. */
export function nameAsText(column: ColumnSpec): ColumnSpec {
  return column.type === 'NAME' ? { ...column, type: 'VARCHAR' } : column;
}

/** The view over every event table, with the columns they share. */
export function eventsView(schema: CaptureSchema): TableSpec {
  return {
    description: 'Every event of every event table, with the columns they share',
    columns: [
      { name: 'event_table', type: 'VARCHAR', description: 'Table the row comes from' },
      ...[...schema.event_columns, ...eventsViewColumns(schema)].map(nameAsText),
    ],
  };
}

/** Whether a column's value is stored in the row itself rather than with the interned argument set. */
export function inRow(column: ColumnSpec): boolean {
  return column.storage === 'row';
}
