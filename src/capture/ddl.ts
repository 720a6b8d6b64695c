import { MACROS, macroDdl } from './macros.js';
import {
  type CaptureSchema,
  type ColumnSpec,
  eventColumns,
  eventsView,
  inRow,
  nameAsText,
  type ViewSpec,
} from './schema.js';
import { ident, literal } from './sql-text.js';

/** An event table of one run and the names its NAME columns can hold, in ENUM order. */
export interface EventTablePlan {
  table: string;
  names: Readonly<Record<string, readonly string[]>>;
}

/** Schema (namespace) of the tables behind the event views. */
export const STORE = 'store';

/** A name column without any possible value still needs a valid ENUM; this one is never stored. */
const enumOf = (values: readonly string[]): string =>
  `ENUM (${(values.length === 0 ? ['unknown'] : values).map(literal).join(', ')})`;

/** The statement that gives something its comment. */
export function comment(kind: 'TABLE' | 'VIEW' | 'COLUMN', target: string, text: string): string {
  return `COMMENT ON ${kind} ${target} IS ${literal(text)}`;
}

/** A column's comment: what it means and its unit. */
export function describe(column: ColumnSpec): string {
  return column.unit === undefined ? column.description : `${column.description} [${column.unit}]`;
}

/** SQL of a column's value in which a name is text, as {@link nameAsText} says: ENUMs of two tables cannot be compared. */
export function textOfName(column: ColumnSpec): string {
  const { type } = nameAsText(column);
  return type === column.type ? ident(column.name) : `${ident(column.name)}::${type}`;
}

function columnDdl(column: ColumnSpec, type: string): string {
  return `${ident(column.name)} ${type}${column.nullable ? '' : ' NOT NULL'}`;
}

/**
 * Statements that create every table, view, type and comment of a capture, in order. Event tables are
 * views: hot columns in `store.<table>`, the rest once per distinct set of arguments in `store.<table>_args`
 * (docs/decisions.md, "interned arguments").
 */
export function planDdl(schema: CaptureSchema, events: readonly EventTablePlan[]): string[] {
  const statements: string[] = [`CREATE SCHEMA ${STORE}`];
  for (const [name, spec] of Object.entries(schema.tables)) {
    const columns = spec.columns.map((column) =>
      columnDdl(column, column.type === 'NAME' ? enumOf(column.values ?? []) : column.type),
    );
    statements.push(`CREATE TABLE ${ident(name)} (${columns.join(', ')})`);
    statements.push(comment('TABLE', ident(name), spec.description));
    for (const column of spec.columns) {
      statements.push(comment('COLUMN', `${ident(name)}.${ident(column.name)}`, describe(column)));
    }
  }
  for (const plan of events) statements.push(...eventTableDdl(schema, plan));
  if (schema.version >= 2) statements.push(...MACROS.map((macro) => macroDdl(macro, '')));
  return [...statements, ...planViews(schema, events)];
}

/** Statements that create the views over event tables, `events` and those of the schema, and their comments. */
export function planViews(schema: CaptureSchema, events: readonly Pick<EventTablePlan, 'table'>[]): string[] {
  const statements = events.length > 0 ? eventsViewDdl(schema, events) : [];
  const present = new Set(events.map(({ table }) => table));
  for (const [name, spec] of Object.entries(schema.views ?? {})) {
    if (spec.event_tables.every((table) => present.has(table))) statements.push(...viewDdl(name, spec));
  }
  return statements;
}

function viewDdl(name: string, spec: ViewSpec): string[] {
  const columns = spec.columns.map((column) => ident(column.name)).join(', ');
  return [
    `CREATE VIEW ${ident(name)} (${columns}) AS ${spec.sql.trim()}`,
    comment('VIEW', ident(name), spec.description),
    ...spec.columns.map((column) =>
      comment('COLUMN', `${ident(name)}.${ident(column.name)}`, describe(column)),
    ),
  ];
}

function eventTableDdl(schema: CaptureSchema, plan: EventTablePlan): string[] {
  const columns = eventColumns(schema, plan.table);
  const type = (column: ColumnSpec): string =>
    column.type === 'NAME' ? enumOf(column.values ?? plan.names[column.name] ?? []) : column.type;
  const rows = columns.filter(inRow).map((column) => columnDdl(column, type(column)));
  const args = columns.filter((column) => !inRow(column)).map((column) => columnDdl(column, type(column)));
  const data = `${STORE}.${ident(plan.table)}`;
  const dim = `${STORE}.${ident(`${plan.table}_args`)}`;
  const select = columns.map((column) => `${inRow(column) ? 'e' : 'a'}.${ident(column.name)}`).join(', ');
  return [
    `CREATE TABLE ${data} (${[...rows, 'args_id UINTEGER NOT NULL'].join(', ')})`,
    `CREATE TABLE ${dim} (args_id UINTEGER NOT NULL, ${args.join(', ')})`,
    comment('TABLE', data, `Rows behind the view ${plan.table}: what differs from call to call`),
    comment('TABLE', dim, `Distinct argument sets behind the view ${plan.table}`),
    `CREATE VIEW ${ident(plan.table)} AS SELECT ${select} FROM ${data} e LEFT JOIN ${dim} a USING (args_id)`,
    comment('VIEW', ident(plan.table), schema.event_tables[plan.table]?.description ?? ''),
    ...columns.map((column) =>
      comment('COLUMN', `${ident(plan.table)}.${ident(column.name)}`, describe(column)),
    ),
  ];
}

function eventsViewDdl(schema: CaptureSchema, events: readonly Pick<EventTablePlan, 'table'>[]): string[] {
  const view = eventsView(schema);
  const [, ...shared] = view.columns.map(({ name, type }) => ({ name, type, as: `AS ${ident(name)}` }));
  const selects = events.map(({ table }) => {
    const own = new Map(eventColumns(schema, table).map((column) => [column.name, column]));
    const values = shared.map(({ name, type, as }) => {
      const its = own.get(name);
      if (its === undefined) return `NULL::${type} ${as}`;
      // A site's table may have a column of that name and another type.
      return nameAsText(its).type === type
        ? `${textOfName(its)} ${as}`
        : `TRY_CAST(${ident(name)} AS ${type}) ${as}`;
    });
    return `SELECT ${literal(table)} AS event_table, ${values.join(', ')} FROM ${ident(table)}`;
  });
  return [
    `CREATE VIEW events AS ${selects.join(' UNION ALL ')}`,
    comment('VIEW', 'events', view.description),
    ...view.columns.map((column) => comment('COLUMN', `events.${ident(column.name)}`, describe(column))),
  ];
}
