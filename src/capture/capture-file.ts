import {
  type DuckDBConnection,
  DuckDBInstance,
  type DuckDBType,
  type DuckDBValue,
  LIST,
  listValue,
  VARCHAR,
} from '@duckdb/node-api';
import { type EventTablePlan, planDdl, STORE } from './ddl.js';
import { RowAppender } from './row-appender.js';
import { type CaptureSchema, type ColumnSpec, RUN_ID } from './schema.js';
import { ident } from './sql-text.js';

/** A value of a catalog table. TIMESTAMP_NS is nanoseconds since 1970 UTC as a bigint. */
export type CellValue = string | number | bigint | boolean | null | readonly string[];
export type Row = Readonly<Record<string, CellValue>>;

/** Options every ingero instance of DuckDB is opened with: no extensions, no downloads, bounded memory. */
export const OFFLINE = {
  autoinstall_known_extensions: 'false',
  autoload_known_extensions: 'false',
  allow_community_extensions: 'false',
  extension_directory: '',
  secret_directory: '',
  temp_directory: '',
};

/** A capture file open for writing. */
export class CaptureFile {
  readonly connection: DuckDBConnection;
  /**
   * For appenders, which work synchronously: on a connection that also runs statements asynchronously one would
   * step into the middle of the other.
   */
  readonly appends: DuckDBConnection;
  readonly #instance: DuckDBInstance;
  readonly #schema: CaptureSchema;

  private constructor(
    instance: DuckDBInstance,
    connection: DuckDBConnection,
    appends: DuckDBConnection,
    schema: CaptureSchema,
  ) {
    this.#instance = instance;
    this.connection = connection;
    this.appends = appends;
    this.#schema = schema;
  }

  /** Opens (or creates) the DuckDB file. Throws DuckDB's error when it cannot. */
  static async open(path: string, schema: CaptureSchema, checkpointBytes: number): Promise<CaptureFile> {
    const instance = await DuckDBInstance.create(path, {
      ...OFFLINE,
      threads: '1',
      memory_limit: '512MB',
      checkpoint_threshold: `${Math.floor(checkpointBytes / 1024)}KiB`,
    });
    return new CaptureFile(instance, await instance.connect(), await instance.connect(), schema);
  }

  /** Creates every table and writes them to the file at once: a WAL lost later then never takes the tables along. */
  async create(events: readonly EventTablePlan[]): Promise<void> {
    // One run: there are 300 statements, and each run is a trip to another thread and back.
    await this.connection.run(
      ['BEGIN', ...planDdl(this.#schema, events), 'COMMIT', 'CHECKPOINT'].join(';\n'),
    );
  }

  /** From now on rows only go to the WAL; the file itself does not change. */
  async holdCheckpoints(): Promise<void> {
    await this.connection.run("SET checkpoint_threshold = '1TB'");
  }

  /** Folds the WAL into the file again whenever it has grown to this size. */
  async allowCheckpoints(bytes: number): Promise<void> {
    await this.connection.run(`SET checkpoint_threshold = '${Math.floor(bytes / 1024)}KiB'`);
  }

  /** Inserts rows into a table of the schema; columns a row leaves out are NULL, and run_id that of a file of one run. */
  async insert(table: string, rows: readonly Row[]): Promise<void> {
    const spec = this.#schema.tables[table];
    if (spec === undefined) throw new Error(`no table ${table} in schema ${this.#schema.version}`);
    if (rows.length === 0) return;
    const appender = await RowAppender.open(this.appends, table, spec);
    for (const row of rows) appender.append({ run_id: RUN_ID, ...row });
    appender.close();
  }

  /** Sets columns of the one row of `capture`. */
  async updateCapture(row: Row): Promise<void> {
    const columns = (this.#schema.tables.capture?.columns ?? []).filter((column) => column.name in row);
    await this.#run(
      `UPDATE capture SET ${columns.map((column) => `${column.name} = ${placeholder(column)}`).join(', ')}`,
      columns.map((column) => row[column.name] ?? null),
    );
  }

  async #run(sql: string, values: readonly CellValue[]): Promise<void> {
    // Only a list needs its type said: an empty one has none to go by. The others are left out.
    const types = values.map((value) => (Array.isArray(value) ? LIST(VARCHAR) : undefined));
    await this.connection.run(sql, values.map(toDuckDb), types as DuckDBType[]);
  }

  /** Rows in the file per probe id, over all event tables. Counts argument sets first: no join of all rows. */
  async rowsPerProbe(tables: readonly string[]): Promise<Map<number, number>> {
    const counts = new Map<number, number>();
    for (const table of tables) {
      const result = await this.connection.runAndReadAll(
        `SELECT a.probe_id, sum(counts.n)::BIGINT FROM (SELECT args_id, count(*) AS n FROM ${STORE}.${ident(table)} GROUP BY args_id) counts
         JOIN ${STORE}.${ident(`${table}_args`)} a USING (args_id) GROUP BY a.probe_id`,
      );
      for (const [probeId, count] of result.getRows()) counts.set(Number(probeId), Number(count));
    }
    return counts;
  }

  /**
   * Writes the WAL into the file, removes it and closes. Where a full disk has no room for that, the WAL stays
   * beside the file and is part of it: everything in it is committed.
   */
  async close(): Promise<void> {
    try {
      await this.connection.run('CHECKPOINT');
    } catch (error) {
      if (!isDiskFull(error as Error)) throw error;
    }
    this.abandon();
  }

  /** Closes without a checkpoint; after a fatal error there is nothing else DuckDB will do. */
  abandon(): void {
    this.appends.closeSync();
    this.connection.closeSync();
    this.#instance.closeSync();
  }
}

/** Whether DuckDB failed because there is no space left. */
export function isDiskFull(error: Error): boolean {
  return /No space left|ENOSPC|disk.*full/i.test(error.message);
}

function placeholder(column: ColumnSpec): string {
  if (column.type === 'TIMESTAMP_NS') return 'make_timestamp_ns(?::BIGINT)';
  return column.type === 'NAME' ? '?' : `?::${column.type}`;
}

function toDuckDb(value: CellValue): DuckDBValue {
  return Array.isArray(value) ? listValue([...value]) : (value as DuckDBValue);
}
