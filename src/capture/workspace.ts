import { realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type DuckDBConnection, DuckDBInstance, type DuckDBValue } from '@duckdb/node-api';
import { EXIT, IngeroError } from '../errors.js';
import { checkCaptureFile, damaged, notACapture, openFailure, schemaTooNew } from '../query/capture-file.js';
import { PrivateDirectory } from '../query/private-directory.js';
import { isDiskFull } from './capture-file.js';
import { STORE } from './ddl.js';
import { ident, literal } from './sql-text.js';
import { SCHEMA_VERSION } from './version.js';

export interface WorkspaceOptions {
  /** Captures to read, in order. */
  inputs: readonly string[];
  /** New DuckDB file to write, attached as `out`. */
  output?: string;
  /** Folder that COPY may write to, besides. */
  writeDir?: string;
  /** Folder for what does not fit into memory: a private one is made in it, and removed. */
  spillIn: string;
  memoryLimit?: string;
}

/** A column of a stored table. */
export interface StoredColumn {
  name: string;
  /** DuckDB type as text; of an ENUM with its values. */
  type: string;
}

/** A stored (base) table of a capture: never a view, whose SQL the file brings along. */
export interface StoredTable {
  schema: string;
  name: string;
  columns: readonly StoredColumn[];
}

/** A capture attached read-only. */
export interface AttachedCapture {
  /** Name of the database in SQL, quoted. */
  alias: string;
  /** Absolute path. */
  path: string;
  schemaVersion: number;
  ingeroVersion: string;
  tables: readonly StoredTable[];
}

const MEMORY_LIMIT = '1GB';
const THREADS = '2';
/** Name of the output in SQL. */
export const OUT = 'out';

/**
 * A DuckDB in memory with captures attached read-only, for ingero's own statements over several of them. Nothing but
 * the output and the named folder can be written and no other file read, whatever SQL a capture brings along.
 */
export class Workspace {
  private constructor(
    readonly connection: DuckDBConnection,
    readonly inputs: readonly AttachedCapture[],
    private readonly instance: DuckDBInstance,
    private readonly scratch: PrivateDirectory,
  ) {}

  /**
   * Attaches everything. Throws as opening a capture does (`EXIT.badCapture`), and `output-unwritable` when the
   * output or the folder for what does not fit into memory cannot be made.
   */
  static async open(options: WorkspaceOptions): Promise<Workspace> {
    const scratch = makeScratch(options.spillIn);
    let instance: DuckDBInstance | undefined;
    let connection: DuckDBConnection | undefined;
    try {
      instance = await DuckDBInstance.create(':memory:', {
        threads: THREADS,
        memory_limit: options.memoryLimit ?? MEMORY_LIMIT,
        temp_directory: join(scratch.path, 'spill'),
        secret_directory: '',
        extension_directory: '',
        allow_persistent_secrets: 'false',
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
        allow_community_extensions: 'false',
      });
      connection = await instance.connect();
      const inputs: AttachedCapture[] = [];
      for (const [index, file] of options.inputs.entries()) {
        inputs.push(await attachCapture(connection, file, `in${index}`));
      }
      if (options.output !== undefined) {
        await connection.run(`ATTACH ${literal(options.output)} AS ${OUT}`);
      }
      if (options.writeDir !== undefined) {
        await connection.run(`SET allowed_directories = [${literal(options.writeDir)}]`);
      }
      await connection.run('SET enable_external_access = false');
      return new Workspace(connection, inputs, instance, scratch);
    } catch (error) {
      connection?.closeSync();
      instance?.closeSync();
      scratch.remove();
      throw error;
    }
  }

  /** Rows of a statement, as arrays of values. */
  async rows(sql: string): Promise<DuckDBValue[][]> {
    return (await this.connection.runAndReadAll(sql)).getRows();
  }

  /** The one number a statement gives. */
  async number(sql: string): Promise<number> {
    return Number((await this.rows(sql))[0]?.[0] ?? 0);
  }

  /** Folds the output's log into it and lets go of everything. */
  async finishOutput(): Promise<void> {
    await this.connection.run(`CHECKPOINT ${OUT}`);
    await this.connection.run(`DETACH ${OUT}`);
  }

  close(): void {
    this.connection.closeSync();
    this.instance.closeSync();
    this.scratch.remove();
  }
}

function makeScratch(folder: string): PrivateDirectory {
  try {
    return new PrivateDirectory(join(folder, '.ingero-work-'));
  } catch (cause) {
    throw new IngeroError(`${folder} cannot be written to: ${(cause as Error).message}`, {
      code: 'output-unwritable',
      exitCode: EXIT.output,
      expected: 'an existing folder this user may write to',
      next: 'Check the folder and its permissions.',
      cause,
    });
  }
}

/**
 * Attaches a capture read-only under a name and reads what tables it has. Throws as opening a capture does
 * (`EXIT.badCapture`).
 */
export async function attachCapture(
  connection: DuckDBConnection,
  file: string,
  alias: string,
): Promise<AttachedCapture> {
  const named = resolve(file);
  checkCaptureFile(named);
  // Through a link, DuckDB would look for the .wal beside the link.
  const path = realpathSync(named);
  await connection.run(`ATTACH ${literal(path)} AS ${alias} (READ_ONLY)`).catch((cause: unknown) => {
    throw openFailure(path, cause);
  });
  const tables = await storedTables(connection, alias);
  const capture = tables.find(({ schema, name }) => schema === 'main' && name === 'capture');
  const names = capture?.columns.map(({ name }) => name) ?? [];
  if (!names.includes('schema_version') || !names.includes('ingero_version')) throw notACapture(path);
  const result = await connection
    .runAndReadAll(`SELECT schema_version, ingero_version FROM ${alias}.main.capture LIMIT 1`)
    .catch((cause: unknown) => {
      throw damaged(path, (cause as Error).message, cause);
    });
  const row = result.getRows()[0];
  if (row === undefined) throw damaged(path, 'its capture table has no row');
  const schemaVersion = Number(row[0]);
  if (schemaVersion > SCHEMA_VERSION) throw schemaTooNew(path, schemaVersion, SCHEMA_VERSION, String(row[1]));
  return { alias, path, schemaVersion, ingeroVersion: String(row[1]), tables };
}

/** The stored tables of an attached database in the schemas a capture uses, by name. */
export async function storedTables(connection: DuckDBConnection, alias: string): Promise<StoredTable[]> {
  const result = await connection.runAndReadAll(
    `SELECT c.schema_name, c.table_name, c.column_name, c.data_type
     FROM duckdb_columns() c JOIN duckdb_tables() t
       ON t.database_name = c.database_name AND t.schema_name = c.schema_name AND t.table_name = c.table_name
     WHERE c.database_name = ${literal(alias)} AND c.schema_name IN ('main', ${literal(STORE)})
     ORDER BY c.schema_name, c.table_name, c.column_index`,
  );
  const tables = new Map<string, { schema: string; name: string; columns: StoredColumn[] }>();
  for (const [schema, name, column, type] of result.getRows().map((row) => row.map(String))) {
    const key = `${schema}.${name}`;
    const table = tables.get(key) ?? { schema: schema as string, name: name as string, columns: [] };
    table.columns.push({ name: column as string, type: type as string });
    tables.set(key, table);
  }
  return [...tables.values()];
}

/** An event table and its halves; see docs/decisions.md, "interned arguments". */
export interface StoredEvents {
  name: string;
  rows: StoredTable;
  args: StoredTable;
}

/** The catalog tables and the event tables among the stored tables of a capture. */
export function splitTables(tables: readonly StoredTable[]): {
  catalog: StoredTable[];
  events: StoredEvents[];
} {
  const store = new Map(tables.filter(({ schema }) => schema === STORE).map((table) => [table.name, table]));
  return {
    catalog: tables.filter(({ schema }) => schema === 'main'),
    events: [...store.values()].flatMap((rows) => {
      const args = store.get(`${rows.name}_args`);
      return args === undefined ? [] : [{ name: rows.name, rows, args }];
    }),
  };
}

/** `alias.schema.table`, quoted. */
export const qualified = (alias: string, { schema, name }: { schema: string; name: string }): string =>
  `${alias}.${ident(schema)}.${ident(name)}`;

/** A failure of ingero's own statement on captures: damage, a full disk or memory, else as it is. */
export function workFailure(cause: unknown, reading: string, writing: string): unknown {
  if (cause instanceof IngeroError) return cause;
  const message = (cause as Error).message.split('\n')[0] ?? '';
  if (isDiskFull(cause as Error)) {
    return new IngeroError(`There is no space left for ${writing}.`, {
      code: 'output-space',
      exitCode: EXIT.output,
      next: 'Free space, or write to another file system. Nothing was left behind.',
      cause,
    });
  }
  if (/Cannot open file|Could not (write|create)|Permission denied|Read-only file system/i.test(message)) {
    return new IngeroError(`${writing} cannot be written: ${message}`, {
      code: 'output-unwritable',
      exitCode: EXIT.output,
      next: 'Check that the directory exists, is writable, and has space.',
      cause,
    });
  }
  if (/^(IO|Corruption|Serialization|INTERNAL|FATAL|Invalid Input|TransactionContext)\b/.test(message)) {
    return damaged(reading, message, cause);
  }
  return cause;
}

/** Folder of a file that is to be written. */
export const folderOf = (file: string): string => dirname(resolve(file));
