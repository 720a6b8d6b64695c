import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { SCHEMA_VERSION } from '../capture/version.js';
import { checkCaptureFile, damaged, notACapture, openFailure, schemaTooNew } from './capture-file.js';
import { PrivateDirectory } from './private-directory.js';
import { sqlFailure } from './sql-error.js';

export interface OpenOptions {
  /** Memory DuckDB may use, e.g. `1GB`. */
  memoryLimit?: string;
  /** Disk space it may use beyond that, e.g. `10GB`, in a private directory; none unless given. */
  spill?: string | undefined;
  threads?: number;
}

export const DEFAULT_MEMORY_LIMIT = '1GB';
export const DEFAULT_THREADS = 2;
/** For settings that would otherwise name a directory of the user's. */
const NOWHERE = '/nonexistent';

/** A capture opened behind the fence: it can be read, and nothing else on this host can be touched. */
export interface OpenCapture {
  /** Absolute path, links resolved. */
  readonly path: string;
  readonly connection: DuckDBConnection;
  readonly schemaVersion: number;
  close(): void;
}

function fenceConfig(options: OpenOptions, spill: PrivateDirectory | undefined): Record<string, string> {
  return {
    access_mode: 'READ_ONLY',
    temp_directory: spill?.path ?? '',
    ...(options.spill === undefined ? {} : { max_temp_directory_size: options.spill }),
    secret_directory: NOWHERE,
    extension_directory: NOWHERE,
    home_directory: NOWHERE,
    allow_persistent_secrets: 'false',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    allow_unsigned_extensions: 'false',
    threads: String(options.threads ?? DEFAULT_THREADS),
    memory_limit: options.memoryLimit ?? DEFAULT_MEMORY_LIMIT,
    enable_external_access: 'false',
  };
}

/**
 * Opens a capture read-only and fenced: no other file, no network, no extension, no settings. The bytes
 * of the file and of a `.wal` beside it do not change. Close it after use.
 *
 * Throws IngeroError with `EXIT.badCapture` when the file is missing, unreadable, damaged, not a capture,
 * newer than this ingero, or still being recorded.
 */
export async function openCapture(file: string, options: OpenOptions = {}): Promise<OpenCapture> {
  // An absolute path, so that names such as ":memory:" or "x:y" are never anything but a file.
  const named = resolve(file);
  checkCaptureFile(named);
  // Through a link, DuckDB would look for the .wal outside what its fence lets it read.
  const path = realpathSync(named);
  const spill = options.spill === undefined ? undefined : new PrivateDirectory();
  const instance = await DuckDBInstance.create(path, fenceConfig(options, spill)).catch((cause: unknown) => {
    spill?.remove();
    throw openFailure(path, cause);
  });
  const connection = await instance.connect();
  const close = (): void => {
    connection.closeSync();
    instance.closeSync();
    spill?.remove();
  };
  try {
    await connection.run('SET errors_as_json = true');
    // DuckDB lets SQL write a database's own .wal even with external access off; without any file
    // system it cannot. The file itself is open already. This must follow the opening. Spilling needs a
    // file system; then it is the gate for statements (prepareReading) that keeps the .wal.
    if (spill === undefined) await connection.run("SET disabled_filesystems = 'LocalFileSystem'");
    await connection.run('SET lock_configuration = true');
    const schemaVersion = await readSchemaVersion(connection, path);
    return { path, connection, schemaVersion, close };
  } catch (error) {
    close();
    throw error;
  }
}

async function readSchemaVersion(connection: DuckDBConnection, path: string): Promise<number> {
  const columns = await connection.runAndReadAll(
    `SELECT column_name FROM duckdb_columns()
     WHERE schema_name = 'main' AND table_name = 'capture' AND column_name IN ('schema_version', 'ingero_version')`,
  );
  if (columns.currentRowCount !== 2) throw notACapture(path);
  const rows = await connection
    .runAndReadAll('SELECT schema_version, ingero_version FROM capture LIMIT 1')
    .catch((cause: unknown) => {
      throw damaged(path, sqlFailure('', cause).message, cause);
    });
  const row = rows.getRows()[0];
  if (row === undefined) throw damaged(path, 'its capture table has no row');
  const version = Number(row[0]);
  if (version > SCHEMA_VERSION) throw schemaTooNew(path, version, SCHEMA_VERSION, String(row[1]));
  return version;
}
