/**
 * How the rows of a capture get into tables of a newer schema. Pure: it reads what the file has and the schema
 * versions, and gives SQL.
 */
import { type EventTablePlan, planDdl, STORE, textOfName } from '../capture/ddl.js';
import {
  type CaptureSchema,
  type ColumnSpec,
  eventColumns,
  inRow,
  type TableSpec,
} from '../capture/schema.js';
import { ident } from '../capture/sql-text.js';
import { eventTablesOf, type FileContents, type FileTable } from './contents.js';

/** Name of the file that is read, beside the one that is written. */
export const SOURCE = 'source';

/** One table of the new file and where its rows come from. */
export interface TableCopy {
  /** As a reader knows it: `processes`, `store.cuda_events`. */
  table: string;
  /** Quoted name in the new file. */
  target: string;
  /** Columns filled, quoted. */
  columns: readonly string[];
  /** SELECT over the source that gives them. */
  select: string;
  rows: number;
  /** Two queries, one over the source and one over the new file, that give equal row counts and checksums. */
  proof: { source: string; target: string };
}

/** Everything a migration does to a new, empty file. */
export interface MigrationPlan {
  from: number;
  to: number;
  ddl: readonly string[];
  copies: readonly TableCopy[];
  /** Tables of the file that belong to no schema version and stay behind. */
  foreign: readonly string[];
}

/** The file lacks something its schema version has. */
export class MissingPart extends Error {}

/**
 * Plans the way from the first to the last of `versions`, consecutive schema versions. `names`: values of an ENUM
 * type by the name DuckDB gives the type. Throws MissingPart.
 */
export function planMigration(
  versions: readonly CaptureSchema[],
  contents: FileContents,
  names: (enumType: string) => readonly string[],
): MigrationPlan {
  const [first] = versions as [CaptureSchema, ...CaptureSchema[]];
  const tables = eventTablesOf(contents);
  const chain = versions.map((schema) => withFileTables(schema, first, contents, tables));
  const target = chain.at(-1) as CaptureSchema;
  const copies = Object.keys(first.tables).map((table) => copyCatalogTable(chain, contents, table));
  const plans: EventTablePlan[] = [];
  for (const table of tables) {
    plans.push(planNames(target, contents, table, names));
    copies.push(copyEvents(chain, contents, table, false), copyEvents(chain, contents, table, true));
  }
  const known = new Set([...copies.map((copy) => copy.table)]);
  const found = [...contents.main.keys(), ...[...contents.store.keys()].map((name) => `${STORE}.${name}`)];
  return {
    from: first.version,
    to: target.version,
    ddl: planDdl(target, plans),
    copies,
    foreign: found.filter((name) => !known.has(name)),
  };
}

/** The schema with the event tables the file has and no version knows: those a site's packs defined. */
function withFileTables(
  schema: CaptureSchema,
  first: CaptureSchema,
  contents: FileContents,
  tables: readonly string[],
): CaptureSchema {
  const shared = new Set(first.event_columns.map(({ name }) => name));
  const own = tables
    .filter((table) => !(table in schema.event_tables))
    .map((table) => {
      const view = contents.views.get(table);
      const inRows = new Set(contents.store.get(table)?.columns.map(({ name }) => name));
      const spec: TableSpec = {
        description: view?.comment ?? '',
        columns: (view?.columns ?? [])
          .filter(({ name }) => !shared.has(name))
          .map(
            ({ name, type, comment }): ColumnSpec => ({
              name,
              type: type.startsWith('ENUM') ? 'NAME' : type,
              nullable: true,
              description: comment ?? '',
              ...(inRows.has(name) ? { storage: 'row' } : {}),
            }),
          ),
      };
      return [table, spec] as const;
    });
  return { ...schema, event_tables: { ...schema.event_tables, ...Object.fromEntries(own) } };
}

function planNames(
  schema: CaptureSchema,
  contents: FileContents,
  table: string,
  names: (enumType: string) => readonly string[],
): EventTablePlan {
  const stored = [
    ...(contents.store.get(table)?.columns ?? []),
    ...(contents.store.get(`${table}_args`)?.columns ?? []),
  ];
  const types = new Map(stored.map(({ name, type }) => [name, type]));
  const open = eventColumns(schema, table).filter(
    (column) => column.type === 'NAME' && column.values === undefined,
  );
  return {
    table,
    names: Object.fromEntries(
      open.map(({ name }) => {
        const type = types.get(name);
        return [name, type === undefined ? [] : names(type)];
      }),
    ),
  };
}

function copyCatalogTable(chain: readonly CaptureSchema[], contents: FileContents, table: string): TableCopy {
  const lists = chain.map((schema) => schema.tables[table]?.columns ?? []);
  return copy(first(chain), table, ident(table), contents.main.get(table), lists);
}

/** Copies the rows of an event table, or the argument sets they point to. */
function copyEvents(
  chain: readonly CaptureSchema[],
  contents: FileContents,
  table: string,
  args: boolean,
): TableCopy {
  const argsId: ColumnSpec = { name: 'args_id', type: 'UINTEGER', description: '' };
  const lists = chain.map((schema) => [
    argsId,
    ...eventColumns(schema, table).filter((column) => inRow(column) !== args),
  ]);
  const name = args ? `${table}_args` : table;
  return copy(first(chain), `${STORE}.${name}`, `${STORE}.${ident(name)}`, contents.store.get(name), lists);
}

const first = (chain: readonly CaptureSchema[]): number => chain[0]?.version ?? 1;

/** `lists`: the columns of the table in every version, from the one it has (`from`) to the one it gets. */
function copy(
  from: number,
  table: string,
  target: string,
  found: FileTable | undefined,
  lists: readonly (readonly ColumnSpec[])[],
): TableCopy {
  const [has = []] = lists;
  const present = new Set(found?.columns.map(({ name }) => name));
  const missing = has.find(({ name }) => !present.has(name));
  if (found === undefined) throw new MissingPart(`it has no table ${table}`);
  if (missing !== undefined) throw new MissingPart(`its table ${table} has no column ${missing.name}`);
  const source = `${ident(SOURCE)}.${table.startsWith(`${STORE}.`) ? target : `main.${target}`}`;
  let select = `SELECT ${has.map(({ name }) => ident(name)).join(', ')} FROM ${source}`;
  let before = new Set(has.map(({ name }) => name));
  for (const list of lists.slice(1)) {
    const columns = list.map(({ name, migrate }) =>
      before.has(name) ? ident(name) : `${migrate ?? 'NULL'} AS ${ident(name)}`,
    );
    select = `SELECT ${columns.join(', ')} FROM (${select})`;
    before = new Set(list.map(({ name }) => name));
  }
  return {
    table,
    target,
    columns: (lists.at(-1) ?? []).map(({ name }) => ident(name)),
    select,
    rows: found.rows,
    proof: { source: proof(table, source, has, from), target: proof(table, target, has, from) },
  };
}

/**
 * Row count and checksum of a table: the sum of a 64-bit hash of every row, which does not depend on their order.
 * What a migration changes itself is left out.
 */
function proof(table: string, name: string, columns: readonly ColumnSpec[], from: number): string {
  const hashed = columns
    .filter((column) => !(table === 'capture' && column.name === 'schema_version'))
    .map(textOfName);
  return `SELECT count(*), coalesce(sum(hash(${hashed.join(', ')})::HUGEINT), 0) FROM ${name}${
    table === 'schema_migrations' ? ` WHERE version <= ${from}` : ''
  }`;
}
