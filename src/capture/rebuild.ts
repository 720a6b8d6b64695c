import type { DuckDBConnection } from '@duckdb/node-api';
import { EXIT, IngeroError } from '../errors.js';
import { type EventTablePlan, planDdl, STORE, textOfName } from './ddl.js';
import { enumValues } from './enum-values.js';
import {
  type CaptureSchema,
  type ColumnSpec,
  eventColumns,
  inRow,
  readCaptureSchema,
  type TableSpec,
} from './schema.js';
import { ident, literal } from './sql-text.js';
import { SCHEMA_VERSION } from './version.js';
import {
  type AttachedCapture,
  OUT,
  qualified,
  type StoredEvents,
  splitTables,
  type Workspace,
} from './workspace.js';

/** The tables of a capture that is written from others. */
export interface RebuildPlan {
  /** The schema with the site tables of the inputs. */
  schema: CaptureSchema;
  events: readonly EventTablePlan[];
  /** Catalog tables of an input the schema does not know; they are left out. */
  unknown: readonly string[];
}

/** What a column becomes on its way: SQL over the row it is read from. */
export type Transform = (table: string, column: ColumnSpec, value: string) => string;

/** Catalog tables of the file and not of its runs: a new file begins them anew. */
const OWN_TABLES = ['schema_migrations'] as const;

/** Captures attached to a connection. */
export interface Sources {
  readonly connection: DuckDBConnection;
  readonly inputs: readonly AttachedCapture[];
}

/**
 * The newest schema with the site tables of all inputs. Throws `table-conflict` when a site table has other columns in
 * another input.
 */
export async function schemaOf(sources: Sources): Promise<CaptureSchema> {
  const base = readCaptureSchema();
  const site: Record<string, TableSpec> = {};
  for (const input of sources.inputs) {
    for (const table of splitTables(input.tables).events) {
      if (table.name in base.event_tables) continue;
      const spec = await siteSpec(sources.connection, input, table, base);
      const known = site[table.name];
      if (known === undefined) site[table.name] = spec;
      else if (shape(known.columns) !== shape(spec.columns)) throw tableConflict(input.path, table.name);
    }
  }
  return { ...base, event_tables: { ...base.event_tables, ...site } };
}

/**
 * Plans a capture that can hold the rows of all inputs: names (ENUM columns) are the union of theirs. Throws
 * `schema-differs` for an input of an older schema, and as {@link schemaOf}.
 */
export async function planRebuild(workspace: Sources): Promise<RebuildPlan> {
  const { connection, inputs } = workspace;
  for (const input of inputs) requireCurrent(input);
  const schema = await schemaOf(workspace);
  const all = inputs.flatMap(({ tables }) => splitTables(tables).events);
  const events: EventTablePlan[] = [];
  for (const name of new Set(all.map((table) => table.name))) {
    const names: Record<string, string[]> = {};
    for (const column of eventColumns(schema, name)) {
      if (column.type !== 'NAME' || column.values !== undefined) continue;
      const lists: string[][] = [];
      for (const table of all.filter((one) => one.name === name)) {
        lists.push(await namesOf(connection, table, column.name));
      }
      names[column.name] = [...new Set(lists.flat())];
    }
    events.push({ table: name, names });
  }
  const unknown = inputs
    .flatMap(({ tables }) => splitTables(tables).catalog.map(({ name }) => name))
    .filter((name) => !(name in schema.tables));
  return { schema, events, unknown: [...new Set(unknown)] };
}

/** Refuses a capture of an older schema: its rows would lack what the others have. */
function requireCurrent({ path, schemaVersion }: AttachedCapture): void {
  if (schemaVersion === SCHEMA_VERSION) return;
  throw new IngeroError(
    `${path} has schema version ${schemaVersion}; this needs version ${SCHEMA_VERSION}.`,
    {
      code: 'schema-differs',
      exitCode: EXIT.badCapture,
      expected: `captures of schema version ${SCHEMA_VERSION}`,
      next: `Bring it to the newer schema in a new file first: ingero migrate ${path}`,
    },
  );
}

function tableConflict(path: string, table: string): IngeroError {
  return new IngeroError(`The table ${table} of ${path} has other columns than in the captures before it.`, {
    code: 'table-conflict',
    exitCode: EXIT.badCapture,
    expected: 'tables of one name with the same columns in every capture',
    next: 'Merge the captures of the two packs apart.',
  });
}

const shape = (columns: readonly ColumnSpec[]): string =>
  JSON.stringify(columns.map(({ name, type, storage }) => [name, type, storage]));

/** A site's table as its file describes it. */
async function siteSpec(
  connection: DuckDBConnection,
  { alias }: AttachedCapture,
  table: StoredEvents,
  schema: CaptureSchema,
): Promise<TableSpec> {
  const shared = new Set(['args_id', ...schema.event_columns.map(({ name }) => name)]);
  const comments = new Map(
    (
      await connection.runAndReadAll(
        `SELECT column_name, comment FROM duckdb_columns() WHERE database_name = ${literal(alias)}
         AND schema_name = 'main' AND table_name = ${literal(table.name)}`,
      )
    )
      .getRows()
      .map(([name, comment]) => [String(name), comment === null ? '' : String(comment)]),
  );
  const [view] = (
    await connection.runAndReadAll(
      `SELECT comment FROM duckdb_views() WHERE database_name = ${literal(alias)} AND view_name = ${literal(table.name)}`,
    )
  ).getRows();
  const own = (part: StoredEvents['rows'], storage: 'row' | 'interned'): ColumnSpec[] =>
    part.columns
      .filter(({ name }) => !shared.has(name))
      .map(({ name, type }) => ({
        name,
        type: type.startsWith('ENUM') ? 'NAME' : type,
        nullable: true,
        storage,
        ...describedBy(comments.get(name) ?? ''),
      }));
  return {
    description: String(view?.[0] ?? ''),
    columns: [...own(table.rows, 'row'), ...own(table.args, 'interned')],
  };
}

/** Takes a column's comment apart: "description [unit]". */
function describedBy(comment: string): { description: string; unit?: string } {
  const [, description, unit] = /^(.*) \[([^\]]+)\]$/s.exec(comment) ?? [];
  return description === undefined || unit === undefined ? { description: comment } : { description, unit };
}

/** The names a column of an event table can hold; none where it holds no names. */
async function namesOf(connection: DuckDBConnection, table: StoredEvents, column: string): Promise<string[]> {
  const type = [...table.rows.columns, ...table.args.columns].find(({ name }) => name === column)?.type;
  return type === undefined ? [] : enumValues(connection, type);
}

/** Creates every table, view and comment in the output. */
export async function createTables(workspace: Workspace, { schema, events }: RebuildPlan): Promise<void> {
  await workspace.connection.run(`USE ${OUT}`);
  for (const statement of planDdl(schema, events)) await workspace.connection.run(statement);
  await workspace.connection.run('USE memory');
}

/** Rows copied, by table; the two halves of an event table count apart. */
export type Copied = Map<string, number>;

/**
 * Copies the rows of one input into the output, table by table, inside DuckDB. A column the input does not have is
 * NULL. Throws what DuckDB throws.
 */
export async function copyRows(
  workspace: Workspace,
  input: AttachedCapture,
  { schema, events }: RebuildPlan,
  transform: Transform,
  skip: readonly string[] = OWN_TABLES,
): Promise<Copied> {
  const copied: Copied = new Map();
  const { catalog, events: stored } = splitTables(input.tables);
  const copy = async (
    table: string,
    target: { schema: string; name: string },
    source: { schema: string; name: string; columns: readonly { name: string }[] },
    columns: readonly ColumnSpec[],
  ): Promise<void> => {
    const has = new Set(source.columns.map(({ name }) => name));
    const kept = columns.filter(({ name }) => has.has(name));
    const values = kept.map((column) => transform(table, column, textOfName(column)));
    await workspace.connection.run(
      `INSERT INTO ${qualified(OUT, target)} (${kept.map(({ name }) => ident(name)).join(', ')})
       SELECT ${values.join(', ')} FROM ${qualified(input.alias, source)}`,
    );
    copied.set(
      `${target.schema}.${target.name}`,
      await workspace.number(`SELECT count(*) FROM ${qualified(input.alias, source)}`),
    );
  };
  for (const table of catalog) {
    const columns = schema.tables[table.name]?.columns;
    if (columns !== undefined && !skip.includes(table.name)) await copy(table.name, table, table, columns);
  }
  const argsId: ColumnSpec = { name: 'args_id', type: 'UINTEGER', description: '' };
  for (const table of stored.filter(({ name }) => events.some((plan) => plan.table === name))) {
    const columns = eventColumns(schema, table.name);
    await copy(table.name, table.args, table.args, [argsId, ...columns.filter((column) => !inRow(column))]);
    await copy(table.name, table.rows, table.rows, [...columns.filter(inRow), argsId]);
  }
  return copied;
}

/** Compares the rows of the output with what was copied. Throws `rows-differ`, which would be a defect. */
export async function checkRows(workspace: Workspace, copies: readonly Copied[]): Promise<number> {
  let events = 0;
  for (const table of new Set(copies.flatMap((copied) => [...copied.keys()]))) {
    const expected = copies.reduce((sum, copied) => sum + (copied.get(table) ?? 0), 0);
    const [schema = '', name = ''] = table.split(/\.(.*)/s);
    const found = await workspace.number(`SELECT count(*) FROM ${qualified(OUT, { schema, name })}`);
    if (found !== expected) {
      throw new IngeroError(`Table ${table} got ${found} rows instead of ${expected}.`, {
        code: 'rows-differ',
        exitCode: EXIT.internal,
        next: 'The output was removed. Report this; it is a defect in ingero.',
      });
    }
    if (schema === STORE && !name.endsWith('_args')) events += found;
  }
  return events;
}
