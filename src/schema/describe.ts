import { type CaptureSchema, type ColumnSpec, eventColumns, eventsView } from '../capture/schema.js';

/** A column as the documentation and `ingero schema --json` show it. */
export interface ColumnDoc {
  name: string;
  /** DuckDB type; ENUM for one of names. */
  type: string;
  /** Names an ENUM can hold; null where they come from the packs of the run, and for other types. */
  values: readonly string[] | null;
  nullable: boolean;
  unit: string | null;
  description: string;
  /** `table.column` this value is a key of. */
  references: string | null;
  /** Schema version that brought it. */
  since: number;
  /** SQL over the row of the version before that gives the value of a migrated row; null: NULL, or not new. */
  migrated_as: string | null;
}

export interface TableDoc {
  name: string;
  /** table: one row per thing; events: one row per call; view: computed from other tables. */
  kind: 'table' | 'events' | 'view';
  description: string;
  since: number;
  /** Columns that together name a row; empty where none do. */
  key: readonly string[];
  columns: readonly ColumnDoc[];
}

/** Everything a capture of one schema version can have. The `--json` shape of `ingero schema`. */
export interface SchemaDoc {
  schema_version: number;
  tables: readonly TableDoc[];
}

/** Describes a schema version. Pure. */
export function describeSchema(schema: CaptureSchema): SchemaDoc {
  const table = (
    kind: TableDoc['kind'],
    name: string,
    spec: { description: string; since?: number; key?: readonly string[] },
    columns: readonly ColumnSpec[],
  ): TableDoc => ({
    name,
    kind,
    description: spec.description,
    since: spec.since ?? 1,
    key: spec.key ?? [],
    columns: columns.map((column) => describeColumn(column, spec.since ?? 1)),
  });
  const events = eventsView(schema);
  return {
    schema_version: schema.version,
    tables: [
      ...Object.entries(schema.tables).map(([name, spec]) => table('table', name, spec, spec.columns)),
      ...Object.entries(schema.event_tables).map(([name, spec]) =>
        table('events', name, { ...spec, key: ['call_id'] }, eventColumns(schema, name)),
      ),
      table('view', 'events', events, events.columns),
      ...Object.entries(schema.views ?? {}).map(([name, spec]) => table('view', name, spec, spec.columns)),
    ],
  };
}

function describeColumn(column: ColumnSpec, tableSince: number): ColumnDoc {
  return {
    name: column.name,
    type: column.type === 'NAME' ? 'ENUM' : column.type,
    values: column.values ?? null,
    nullable: column.nullable ?? false,
    unit: column.unit ?? null,
    description: column.description,
    references: column.references ?? null,
    since: column.since ?? tableSince,
    migrated_as: column.migrate ?? null,
  };
}
