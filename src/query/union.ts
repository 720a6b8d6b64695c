import { comment, describe, planViews } from '../capture/ddl.js';
import { type CaptureSchema, type ColumnSpec, eventColumns, nameAsText } from '../capture/schema.js';
import { ident } from '../capture/sql-text.js';
import { type AttachedCapture, qualified, type StoredColumn, splitTables } from '../capture/workspace.js';
import { type Key, keyOf, shifted } from '../merge/keys.js';

/** A column of a row of one input: as it is stored, or what a migration would fill in, with its key renumbered. */
function value(
  table: string,
  column: ColumnSpec,
  stored: readonly StoredColumn[],
  offsets: ReadonlyMap<Key, bigint>,
): string {
  const { type } = nameAsText(column);
  const isThere = stored.some(({ name }) => name === column.name);
  const text = `(${isThere ? ident(column.name) : (column.migrate ?? 'NULL')})::${type}`;
  const key = keyOf(table, column);
  return `${key === undefined ? text : shifted(text, type, offsets.get(key) ?? 0n)} AS ${ident(column.name)}`;
}

/** A view's statement: the rows of all inputs, or none with the columns there would be. */
function unionView(
  name: string,
  columns: readonly ColumnSpec[],
  selects: readonly string[],
  about: string,
): string[] {
  const none = columns.map((column) => `NULL::${nameAsText(column).type} AS ${ident(column.name)}`);
  const body = selects.length === 0 ? `SELECT ${none.join(', ')} WHERE false` : selects.join(' UNION ALL ');
  return [
    `CREATE VIEW ${ident(name)} AS ${body}`,
    comment('VIEW', ident(name), about),
    ...columns.map((column) => comment('COLUMN', `${ident(name)}.${ident(column.name)}`, describe(column))),
  ];
}

/**
 * Statements that make one capture of several attached ones: a view per table with the rows of all, in which each is a
 * run and keys are unique, as in a merged file. Names (ENUM columns) are VARCHAR, because every capture has its own. Only
 * stored tables of the inputs are read, never their views. Pure.
 */
export function planUnion(
  schema: CaptureSchema,
  inputs: readonly AttachedCapture[],
  offsets: readonly ReadonlyMap<Key, bigint>[],
): string[] {
  const parts = inputs.map((input, index) => ({
    alias: input.alias,
    offsets: offsets[index] ?? new Map<Key, bigint>(),
    ...splitTables(input.tables),
  }));
  const statements = Object.entries(schema.tables).flatMap(([name, spec]) => {
    const selects = parts.flatMap((part) => {
      const table = part.catalog.find((candidate) => candidate.name === name);
      if (table === undefined) return [];
      const values = spec.columns.map((column) => value(name, column, table.columns, part.offsets));
      return [`SELECT ${values.join(', ')} FROM ${qualified(part.alias, table)}`];
    });
    return unionView(name, spec.columns, selects, spec.description);
  });
  const names = new Set(parts.flatMap(({ events }) => events.map(({ name }) => name)));
  for (const name of names) {
    const columns = eventColumns(schema, name);
    const selects = parts.flatMap((part) => {
      const table = part.events.find((candidate) => candidate.name === name);
      if (table === undefined) return [];
      const stored = [...table.rows.columns, ...table.args.columns];
      const values = columns.map((column) => value(name, column, stored, part.offsets));
      return [
        `SELECT ${values.join(', ')} FROM ${qualified(part.alias, table.rows)} LEFT JOIN ${qualified(part.alias, table.args)} USING (args_id)`,
      ];
    });
    statements.push(...unionView(name, columns, selects, schema.event_tables[name]?.description ?? ''));
  }
  return [
    ...statements,
    ...planViews(
      schema,
      [...names].map((table) => ({ table })),
    ),
  ];
}
