import type { ColumnDoc, SchemaDoc, TableDoc } from './describe.js';

const MARK = '<!-- Generated from schema/capture-v*.yaml by `npm run schema`; a test keeps it fresh. -->';
const KINDS: Readonly<Record<TableDoc['kind'], string>> = {
  table: 'Table',
  events: 'Event table: a view with one row per call',
  view: 'View',
};

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const row = (cells: readonly string[]): string => `| ${cells.map(cell).join(' | ')} |`;
const code = (text: string): string => `\`${text}\``;

/**
 * The reference pages of the schema, by file name: one per table, one per version, and their index. `versions`: every
 * version, oldest first. Pure.
 */
export function renderPages(versions: readonly SchemaDoc[]): Map<string, string> {
  const newest = versions.at(-1) as SchemaDoc;
  return new Map([
    ['README.md', renderIndex(versions)],
    ...newest.tables.map((table) => [`${table.name}.md`, renderTable(table, newest)] as const),
    ...versions.map(
      (version, index) =>
        [`version-${version.schema_version}.md`, renderVersion(version, versions[index - 1])] as const,
    ),
  ]);
}

function renderIndex(versions: readonly SchemaDoc[]): string {
  const newest = versions.at(-1) as SchemaDoc;
  const list = (kind: TableDoc['kind']): string[] => [
    row(['name', '']),
    '|---|---|',
    ...newest.tables
      .filter((table) => table.kind === kind)
      .map(({ name, description }) => row([`[${name}](${name}.md)`, description])),
    '',
  ];
  return page(
    '# Tables of a capture',
    '',
    MARK,
    '',
    `Schema version ${newest.schema_version}. A capture says its version in \`capture.schema_version\`; \`ingero schema\` prints these pages,`,
    'and every table and column carries its description as a comment. What a version promises: [versions.md](versions.md). Versions:',
    `${versions.map(({ schema_version }) => `[${schema_version}](version-${schema_version}.md)`).join(', ')}.`,
    '',
    '## Tables',
    '',
    ...list('table'),
    '## Event tables',
    '',
    'A capture has those its packs name, and those a pack defines itself. Names of operations and errors are those of the packs.',
    '',
    ...list('events'),
    '## Views',
    '',
    ...list('view'),
  );
}

function renderTable(table: TableDoc, schema: SchemaDoc): string {
  const users = schema.tables.flatMap((other) =>
    other.columns
      .filter(({ references }) => references?.split('.')[0] === table.name)
      .map((column) => ({ table: other.name, column })),
  );
  return page(
    `# ${table.name}`,
    '',
    MARK,
    '',
    sentence(table.description),
    '',
    `${KINDS[table.kind]}, since schema version ${table.since}.${
      table.key.length === 0 ? '' : ` A row is named by ${table.key.map(code).join(', ')}.`
    }`,
    '',
    ...columnTable(table.columns),
    '',
    ...(users.length === 0
      ? []
      : [
          `Referred to by: ${users.map((user) => `[${user.table}](${user.table}.md).${code(user.column.name)}`).join(', ')}.`,
          '',
        ]),
    'More: [all tables](README.md), [versions](versions.md).',
    '',
  );
}

function columnTable(columns: readonly ColumnDoc[]): string[] {
  return [
    row(['column', 'type', 'NULL', 'unit', 'since', '']),
    '|---|---|---|---|---|---|',
    ...columns.map((column) =>
      row([
        code(column.name),
        column.type,
        column.nullable ? 'yes' : '',
        column.unit ?? '',
        String(column.since),
        [
          sentence(column.description),
          ...(column.values === null ? [] : [`One of ${column.values.map(code).join(', ')}.`]),
          ...(column.references === null ? [] : [`Joins ${link(column.references)}.`]),
        ].join(' '),
      ]),
    ),
  ];
}

function renderVersion(version: SchemaDoc, before: SchemaDoc | undefined): string {
  const number = version.schema_version;
  const head = [`# Schema version ${number}`, '', MARK, ''];
  if (before === undefined) {
    return page(
      ...head,
      'The first version. It is released and does not change; `schema/capture-v1.yaml` describes it column by column.',
      '',
      `Tables: ${version.tables.map(({ name }) => `[${name}](${name}.md)`).join(', ')}.`,
      '',
    );
  }
  const known = new Map(before.tables.map((table) => [table.name, table]));
  const newTables = version.tables.filter(({ name }) => !known.has(name));
  const grown = version.tables
    .filter(({ name, kind }) => known.has(name) && kind === 'table')
    .flatMap((table) => added(table, known.get(table.name)).map((column) => ({ table: table.name, column })));
  const shared = added(
    version.tables.find(({ name }) => name === 'events'),
    known.get('events'),
  );
  const own = version.tables
    .filter(({ name, kind }) => known.has(name) && kind === 'events')
    .flatMap((table) =>
      added(table, known.get(table.name))
        .filter(({ name }) => !shared.some((column) => column.name === name))
        .map((column) => ({ table: table.name, column })),
    );
  const relaxed = version.tables
    .filter(({ kind }) => kind === 'table')
    .flatMap((table) =>
      table.columns
        .filter(({ name, nullable }) => {
          const old = known.get(table.name)?.columns.find((column) => column.name === name);
          return nullable && old?.nullable === false;
        })
        .map((column) => `${code(`${table.name}.${column.name}`)}`),
    );
  const changes = (title: string, list: readonly { table: string; column: ColumnDoc }[]): string[] =>
    list.length === 0
      ? []
      : [
          `## ${title}`,
          '',
          row(['table', 'column', 'type', 'in a migrated file', '']),
          '|---|---|---|---|---|',
          ...list.map(({ table, column }) =>
            row([
              table === '' ? 'every event table' : `[${table}](${table}.md)`,
              code(column.name),
              column.type,
              column.migrated_as === null ? 'NULL' : code(column.migrated_as),
              sentence(column.description),
            ]),
          ),
          '',
        ];
  return page(
    ...head,
    `What version ${number} adds to version ${before.schema_version}. Nothing was renamed or taken away. \`ingero migrate\` brings a capture of`,
    `version ${before.schema_version} here.`,
    '',
    ...(newTables.length === 0
      ? []
      : [
          '## New tables',
          '',
          'Empty in a migrated file.',
          '',
          row(['name', '']),
          '|---|---|',
          ...newTables.map(({ name, description }) => row([`[${name}](${name}.md)`, sentence(description)])),
          '',
        ]),
    ...changes('New columns', [...grown, ...shared.map((column) => ({ table: '', column })), ...own]),
    ...(relaxed.length === 0
      ? []
      : [
          '## May be NULL now',
          '',
          `In files that were converted from another format: ${relaxed.join(', ')}.`,
          '',
        ]),
  );
}

function added(table: TableDoc | undefined, before: TableDoc | undefined): ColumnDoc[] {
  const had = new Set(before?.columns.map(({ name }) => name));
  return (table?.columns ?? []).filter(({ name }) => !had.has(name));
}

function link(reference: string): string {
  const [table = '', column = ''] = reference.split('.');
  return `[${table}](${table}.md).${code(column)}`;
}

const sentence = (text: string): string => (/[.!?]$/.test(text) || text === '' ? text : `${text}.`);
const page = (...lines: readonly string[]): string => `${lines.join('\n').trimEnd()}\n`;
