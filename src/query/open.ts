import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { MACROS, macroDdl } from '../capture/macros.js';
import { schemaOf } from '../capture/rebuild.js';
import { SCHEMA_VERSION } from '../capture/version.js';
import { type AttachedCapture, attachCapture } from '../capture/workspace.js';
import { IngeroError } from '../errors.js';
import { HoldLost } from '../live/client.js';
import { takeSnapshot } from '../live/snapshot.js';
import { planOffsets } from '../merge/keys.js';
import { largestKeys } from '../merge/largest.js';
import { refuseRepeated } from '../merge/repeated.js';
import {
  checkCaptureFile,
  damaged,
  notACapture,
  openFailure,
  schemaTooNew,
  schemaUnknown,
} from './capture-file.js';
import { PrivateDirectory } from './private-directory.js';
import { sqlFailure } from './sql-error.js';
import { planUnion } from './union.js';

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
  /** Of a capture that is being recorded: when its contents are from, ns since 1970. */
  readonly asOfNs?: bigint;
  close(): void;
}

function fenceConfig(options: OpenOptions, spill: PrivateDirectory | undefined): Record<string, string> {
  return {
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
  };
}

/** A trace that just ends closes its file within this time, ms; how often to look. */
const ENDING_MS = 250;
const LOOKS = 5;

/**
 * Opens a capture read-only and fenced: no other file, no network, no extension, no settings. The bytes
 * of the file and of a `.wal` beside it do not change. Close it after use.
 *
 * Several are opened as one: each is a run of it, keys are unique, and names (ENUM columns) are text.
 *
 * One that is being recorded is copied first, with the help of its recorder, and the copy opened: `asOfNs` says when
 * its contents are from.
 *
 * Throws IngeroError with `EXIT.badCapture` when the file is missing, unreadable, damaged, not a capture,
 * newer than this ingero, or held by a process that does not answer; `EXIT.output` without space for a copy.
 */
export async function openCapture(
  file: string | readonly string[],
  options: OpenOptions = {},
): Promise<OpenCapture> {
  const [first, ...others] = typeof file === 'string' ? [file] : file;
  if (first === undefined) throw new Error('no capture is named');
  return others.length === 0 ? openOne(first, options) : openTogether([first, ...others], options);
}

/** Absolute path of a file that can be a capture, links resolved. Throws as {@link checkCaptureFile}. */
function located(file: string): string {
  // An absolute path, so that names such as ":memory:" or "x:y" are never anything but a file.
  const named = resolve(file);
  checkCaptureFile(named);
  // Through a link, DuckDB would look for the .wal outside what its fence lets it read.
  return realpathSync(named);
}

async function openOne(file: string, options: OpenOptions): Promise<OpenCapture> {
  const path = located(file);
  const { opened, asOfNs } = await openAsItIs(path, (readable) => openFenced(readable, path, options));
  return asOfNs === undefined ? opened : { ...opened, asOfNs };
}

/** What `open` made of a capture, and of one that is being recorded when its contents are from. */
interface Opened<T> {
  opened: T;
  asOfNs?: bigint;
}

/** Calls `open` with a file that can be opened: the capture, or a copy of one that is being recorded. */
async function openAsItIs<T>(path: string, open: (file: string) => Promise<T>): Promise<Opened<T>> {
  for (let look = 1; ; look++) {
    try {
      return { opened: await open(path) };
    } catch (error) {
      if (!(error instanceof IngeroError) || error.code !== 'capture-busy') throw error;
      const live = await openLive(path, open);
      if (live !== null) return live;
      if (look === LOOKS) throw error;
      await sleep(ENDING_MS);
    }
  }
}

/** A running capture as it is now; null when its recorder does not answer, or has just ended. */
async function openLive<T>(path: string, open: (file: string) => Promise<T>): Promise<Opened<T> | null> {
  const snapshot = await takeSnapshot(path).catch((error: unknown) => {
    if (error instanceof HoldLost) return null;
    throw error;
  });
  if (snapshot === null) return null;
  try {
    return { opened: await open(snapshot.path), asOfNs: snapshot.asOfNs };
  } finally {
    snapshot.remove();
  }
}

/** Opens the DuckDB file at `file` behind the fence; messages call it `path`. */
async function openFenced(file: string, path: string, options: OpenOptions): Promise<OpenCapture> {
  const spill = options.spill === undefined ? undefined : new PrivateDirectory();
  const instance = await DuckDBInstance.create(file, {
    ...fenceConfig(options, spill),
    access_mode: 'READ_ONLY',
    enable_external_access: 'false',
  }).catch((cause: unknown) => {
    spill?.remove();
    throw openFailure(path, cause);
  });
  const { connection, close } = await connectTo(instance, spill);
  try {
    await closeFence(connection, spill);
    const schemaVersion = await readSchemaVersion(connection, path);
    return { path, connection, schemaVersion, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** What can be closed only when the files are open. */
async function closeFence(connection: DuckDBConnection, spill: PrivateDirectory | undefined): Promise<void> {
  // Captures carry them; older ones, and several as one, do not.
  await connection.run(MACROS.map((macro) => macroDdl(macro, 'TEMP')).join(';'));
  await connection.run('SET errors_as_json = true');
  await connection.run('SET enable_progress_bar = true; SET enable_progress_bar_print = false');
  // DuckDB lets SQL write a database's own .wal even with external access off; without any file
  // system it cannot. The files themselves are open already. This must follow the opening. Spilling needs a
  // file system; then it is the gate for statements (prepareReading) that keeps the .wal.
  if (spill === undefined) await connection.run("SET disabled_filesystems = 'LocalFileSystem'");
  await connection.run('SET lock_configuration = true');
}

/** A connection, and what closes it with everything it holds. */
async function connectTo(
  instance: DuckDBInstance,
  spill: PrivateDirectory | undefined,
): Promise<{ connection: DuckDBConnection; close: () => void }> {
  const connection = await instance.connect();
  return {
    connection,
    close: () => {
      connection.closeSync();
      instance.closeSync();
      spill?.remove();
    },
  };
}

/**
 * Opens several captures as one, behind the same fence: attached read-only to a database in memory that has a view
 * per table over all of them. Of one that is being recorded a copy is attached; of several, `asOfNs` is that of the oldest copy.
 */
async function openTogether(files: readonly string[], options: OpenOptions): Promise<OpenCapture> {
  const spill = options.spill === undefined ? undefined : new PrivateDirectory();
  const instance = await DuckDBInstance.create(':memory:', fenceConfig(options, spill));
  const { connection, close } = await connectTo(instance, spill);
  try {
    const inputs: AttachedCapture[] = [];
    const times: bigint[] = [];
    for (const [index, file] of files.entries()) {
      const path = located(file);
      const attach = (readable: string) => attachCapture(connection, readable, `capture_${index + 1}`);
      const { opened, asOfNs } = await openAsItIs(path, attach);
      inputs.push({ ...opened, path });
      if (asOfNs !== undefined) times.push(asOfNs);
    }
    const [oldest] = times.sort((a, b) => (a < b ? -1 : 1));
    await connection.run('SET enable_external_access = false');
    await refuseRepeated(connection, inputs);
    const offsets = planOffsets(await largestKeys(connection, inputs));
    const schema = await schemaOf({ connection, inputs });
    await connection.run(planUnion(schema, inputs, offsets).join(';\n'));
    await closeFence(connection, spill);
    return {
      path: inputs.map(({ path }) => path).join(', '),
      connection,
      schemaVersion: Math.min(...inputs.map(({ schemaVersion }) => schemaVersion)),
      ...(oldest === undefined ? {} : { asOfNs: oldest }),
      close,
    };
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
  if (!Number.isInteger(version) || version < 1) throw schemaUnknown(path, row[0]);
  if (version > SCHEMA_VERSION) throw schemaTooNew(path, version, SCHEMA_VERSION, String(row[1]));
  return version;
}
