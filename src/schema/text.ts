import { alignedLines } from '../packs/table-text.js';
import type { SchemaDoc, TableDoc } from './describe.js';

/** The tables of a schema version, as lines for a terminal. */
export function schemaLines(schema: SchemaDoc): string[] {
  const rows = schema.tables.map(({ name, kind, description }) => [name, kind, firstSentence(description)]);
  return [`Schema version ${schema.schema_version}`, '', ...alignedLines(rows)];
}

/** One table, column by column. */
export function tableLines(table: TableDoc): string[] {
  const rows = table.columns.map((column) => [
    column.name,
    column.type,
    column.nullable ? 'NULL' : '',
    column.unit ?? '',
    [
      column.description,
      ...(column.values === null ? [] : [`[${column.values.join(', ')}]`]),
      ...(column.references === null ? [] : [`-> ${column.references}`]),
    ].join(' '),
  ]);
  return [
    `${table.name} (${table.kind}, since schema ${table.since})`,
    table.description,
    '',
    ...alignedLines([['column', 'type', 'NULL', 'unit', ''], ...rows]),
    ...(table.key.length === 0 ? [] : ['', `A row is named by ${table.key.join(', ')}.`]),
  ];
}

const firstSentence = (text: string): string =>
  /^.*?[.:;](?=\s|$)/.exec(text)?.[0].replace(/[.:;]$/, '') ?? text;
