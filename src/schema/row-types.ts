import type { ColumnDoc, SchemaDoc } from './describe.js';

/**
 * TypeScript types of the rows of the catalog tables (src/capture/rows.ts): what a writer of the newest schema has to
 * give. A column that may be NULL may be left out, and so may run_id, which a file of one run has throughout. Pure.
 */
export function renderRowTypes(schema: SchemaDoc): string {
  const tables = schema.tables.filter(({ kind }) => kind === 'table');
  const types = tables.map(({ name, description, columns }) =>
    [
      `/** ${description.replaceAll('*/', '* /')} */`,
      `export type ${typeName(name)} = {`,
      ...columns.flatMap((column) => [`  /** ${comment(column)} */`, `  ${property(column)};`]),
      '};',
    ].join('\n'),
  );
  const index = tables.map(({ name }) => `  ${name}: ${typeName(name)};`);
  return `${[
    '// Generated from schema/ by `npm run schema`; a test keeps it fresh.',
    types.join('\n\n'),
    `/** The row of each table, by its name. */\nexport interface TableRows {\n${index.join('\n')}\n}`,
  ].join('\n\n')}\n`;
}

function typeName(table: string): string {
  const camel = table.replace(/(^|_)(\w)/g, (_match, _gap, letter: string) => letter.toUpperCase());
  return `${camel}Row`;
}

function comment({ description, unit }: ColumnDoc): string {
  return `${description.replaceAll('*/', '* /')}${unit === null ? '' : ` [${unit}]`}`;
}

function property(column: ColumnDoc): string {
  const optional = column.nullable || column.name === 'run_id';
  return `${column.name}${optional ? '?' : ''}: ${typeOf(column)}${column.nullable ? ' | null' : ''}`;
}

function typeOf({ type, values }: ColumnDoc): string {
  if (values !== null) return values.map((value) => `'${value.replaceAll("'", "\\'")}'`).join(' | ');
  switch (type) {
    case 'INTEGER':
    case 'UINTEGER':
    case 'DOUBLE':
      return 'number';
    case 'BIGINT':
    case 'UBIGINT':
    case 'TIMESTAMP_NS':
      return 'bigint';
    case 'BOOLEAN':
      return 'boolean';
    case 'VARCHAR':
    case 'UUID':
    case 'ENUM':
      return 'string';
    case 'VARCHAR[]':
      return 'readonly string[]';
    default:
      throw new Error(`no TypeScript type for ${type}`);
  }
}
