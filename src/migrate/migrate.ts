import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { isDiskFull, OFFLINE } from '../capture/capture-file.js';
import { enumValues } from '../capture/enum-values.js';
import { readCaptureSchema } from '../capture/schema.js';
import { ident, literal } from '../capture/sql-text.js';
import { EXIT, IngeroError } from '../errors.js';
import { ingeroVersion } from '../paths.js';
import { damaged, openFailure } from '../query/capture-file.js';
import { openCapture } from '../query/open.js';
import { type FileContents, readContents } from './contents.js';
import { noSpace } from './old-capture.js';
import { type MigrationPlan, MissingPart, planMigration, SOURCE } from './plan.js';

/** Memory DuckDB may use; the process needs some 150 MB besides. */
const MEMORY_LIMIT = '512MB';
const PROGRESS_MS = 200;
/** How DuckDB begins what it says of files it cannot make sense of. */
const DAMAGE = /^(IO|Corruption|Serialization|INTERNAL|FATAL|Invalid Input)\b/;

/** A table of the new file, compared with the one it was made from. */
export interface VerifiedTable {
  table: string;
  rows: number;
  /** Sum of a hash of every row, hex; the same for both files. */
  checksum: string;
}

/** How far a migration is. `share`: 0 to 1. */
export type OnProgress = (what: string, share: number) => void;

/** What would be done to a capture, from reading it alone. */
export interface Survey {
  plan: MigrationPlan;
  /** Rows of all event tables. */
  events: number;
}

/**
 * Reads a capture and plans its way to a schema version. Throws IngeroError as opening does, and
 * `schema-not-forward`.
 */
export async function survey(source: string, to: number): Promise<Survey> {
  const capture = await openCapture(source);
  try {
    if (to < capture.schemaVersion) throw notForward(source, capture.schemaVersion, to);
    const contents = await readContents(capture.connection, await databaseName(capture.connection));
    const versions = range(capture.schemaVersion, to).map(readCaptureSchema);
    const plan = planMigration(versions, contents, await enumNames(capture.connection, contents));
    const events = plan.copies
      .filter(({ table }) => table.startsWith('store.') && !table.endsWith('_args'))
      .reduce((sum, { rows }) => sum + rows, 0);
    return { plan, events };
  } catch (error) {
    throw error instanceof MissingPart ? damaged(source, error.message, error) : error;
  } finally {
    capture.close();
  }
}

/**
 * Writes the migrated capture to `output`, which does not exist, in one transaction; then reads both files again and
 * compares row counts and checksums. The source is opened read-only. Throws IngeroError: `output-space`, `migrate-mismatch`,
 * `capture-damaged`.
 */
export async function migrateCapture(
  source: string,
  output: string,
  plan: MigrationPlan,
  onProgress: OnProgress,
): Promise<VerifiedTable[]> {
  const total = Math.max(
    1,
    plan.copies.reduce((sum, { rows }) => sum + rows, 0),
  );
  await withBoth(source, output, 'READ_WRITE', async (connection) => {
    await connection.run('BEGIN');
    for (const statement of plan.ddl) await connection.run(statement);
    let done = 0;
    for (const { table, target, columns, select, rows } of plan.copies) {
      const timer = setInterval(() => {
        const percent = Math.max(0, connection.progress.percentage);
        onProgress(table, (done + (rows * percent) / 100) / total);
      }, PROGRESS_MS);
      try {
        await connection.run(`INSERT INTO ${target} (${columns.join(', ')}) ${select}`);
      } finally {
        clearInterval(timer);
      }
      done += rows;
      onProgress(table, done / total);
    }
    await recordMigration(connection, plan);
    await connection.run('COMMIT');
    await connection.run('CHECKPOINT');
  });
  onProgress('verifying', 1);
  return withBoth(source, output, 'READ_ONLY', (connection) => verify(connection, plan));
}

function notForward(source: string, has: number, to: number): IngeroError {
  return new IngeroError(`${source} has schema version ${has}: there is no way back to ${to}.`, {
    code: 'schema-not-forward',
    exitCode: EXIT.usage,
    expected: `a version above ${has}`,
    next: 'The file it was migrated from is unchanged; use that one.',
  });
}

async function recordMigration(connection: DuckDBConnection, plan: MigrationPlan): Promise<void> {
  const now = BigInt(Date.now()) * 1_000_000n;
  await connection.run(`UPDATE capture SET schema_version = ${plan.to}`);
  for (const version of range(plan.from + 1, plan.to)) {
    await connection.run(
      `INSERT INTO schema_migrations VALUES (${version}, make_timestamp_ns(${now}), ${literal(ingeroVersion())})`,
    );
  }
}

async function verify(connection: DuckDBConnection, plan: MigrationPlan): Promise<VerifiedTable[]> {
  const tables: VerifiedTable[] = [];
  for (const { table, proof } of plan.copies) {
    const [before, after] = await Promise.all([one(connection, proof.source), one(connection, proof.target)]);
    if (before[0] !== after[0] || before[1] !== after[1]) {
      throw new IngeroError(
        `The migrated copy of ${table} differs: ${after[0]} rows with checksum ${after[1]}, the original has ${before[0]} with ${before[1]}.`,
        {
          code: 'migrate-mismatch',
          exitCode: EXIT.internal,
          next: 'The original is unchanged and the copy was removed. Report this: it is a defect in ingero, or of the disk.',
        },
      );
    }
    tables.push({ table, rows: Number(after[0]), checksum: BigInt(after[1] as bigint).toString(16) });
  }
  return tables;
}

async function one(connection: DuckDBConnection, sql: string): Promise<[bigint, bigint]> {
  return (await connection.runAndReadAll(sql)).getRows()[0] as [bigint, bigint];
}

/** Opens the output with the source beside it, read-only, for the time of `use`. */
async function withBoth<T>(
  source: string,
  output: string,
  mode: 'READ_ONLY' | 'READ_WRITE',
  use: (connection: DuckDBConnection) => Promise<T>,
): Promise<T> {
  const config = { ...OFFLINE, access_mode: mode, memory_limit: MEMORY_LIMIT };
  let instance: DuckDBInstance | undefined;
  let connection: DuckDBConnection | undefined;
  try {
    instance = await DuckDBInstance.create(output, config);
    connection = await instance.connect();
    await connection.run(`ATTACH ${literal(source)} AS ${ident(SOURCE)} (READ_ONLY)`);
    // From here on no SQL, such as a default in a hostile file, reaches any other file.
    await connection.run('SET enable_external_access = false');
    await connection.run('SET enable_progress_bar = true');
    await connection.run('SET enable_progress_bar_print = false');
    return await use(connection);
  } catch (cause) {
    throw failure(cause, source, output);
  } finally {
    connection?.closeSync();
    instance?.closeSync();
  }
}

function failure(cause: unknown, source: string, output: string): unknown {
  if (cause instanceof IngeroError) return cause;
  const error = cause as Error;
  if (isDiskFull(error)) return noSpace(output, error);
  const message = error.message.split('\n')[0] ?? '';
  if (/set lock/i.test(message)) return openFailure(source, cause);
  return DAMAGE.test(message) ? damaged(source, message, cause) : cause;
}

async function databaseName(connection: DuckDBConnection): Promise<string> {
  return String((await connection.runAndReadAll('SELECT current_database()')).getRows()[0]?.[0]);
}

/** Looks up the values of every ENUM type of the file. */
async function enumNames(
  connection: DuckDBConnection,
  contents: FileContents,
): Promise<(type: string) => readonly string[]> {
  const tables = [...contents.store.values()];
  const types = new Set(tables.flatMap(({ columns }) => columns.map(({ type }) => type)));
  const names = new Map<string, readonly string[]>();
  for (const type of types) names.set(type, await enumValues(connection, type));
  return (type) => names.get(type) ?? [];
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
