import { realpathSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { ident } from '../capture/sql-text.js';
import { type AttachedCapture, folderOf, Workspace, workFailure } from '../capture/workspace.js';
import { toJson } from '../query/values.js';
import { digestFile } from '../trust/ecdsa.js';
import { canonicalTables, digestTable, type TableDigest } from './digest.js';

/** Format of the seal, its first two keys. A reader refuses another one. */
export const SEAL_FORMAT = 'ingero-seal';
export const SEAL_VERSION = 1;

/** A file and its digest. */
export interface FileDigest {
  /** Name without folder. */
  name: string;
  bytes: number;
  sha256: string;
}

/** What a seal says of a capture (docs/evidence.md). */
export interface Seal {
  format: typeof SEAL_FORMAT;
  version: typeof SEAL_VERSION;
  /** ISO 8601, the clock of the sealing host. */
  sealed_at: string;
  /** ingero that made the seal. */
  sealed_by: string;
  /** The capture file and, where there is one, the `.wal` that belongs to it. */
  files: FileDigest[];
  /** The row of `capture` for each run: identity, host, times, the tool and its BPF object. */
  runs: Record<string, unknown>[];
  packs: { pack: string; version: string; sha256: string }[];
  tables: TableDigest[];
}

/** Columns of `capture` a seal repeats. */
const RUN_COLUMNS = [
  'run_id',
  'capture_id',
  'schema_version',
  'ingero_version',
  'bpf_sha256',
  'hostname',
  'boot_id',
  'started_at',
  'ended_at',
  'end_reason',
];

/** Path of the seal of a file. */
export const sealPath = (path: string): string => `${path}.seal.json`;

/** Where DuckDB looks for the log of a file, which it reads as a part of it. */
export const logPath = (path: string): string => `${realpathSync(path)}.wal`;

/** Digests of the files a capture consists of: the file, and its log where there is one. */
export async function digestFiles(path: string): Promise<FileDigest[]> {
  const files = [path, logPath(path)].filter((name) => statSync(name, { throwIfNoEntry: false })?.isFile());
  const digests: FileDigest[] = [];
  for (const file of files) digests.push({ name: basename(file), ...(await digestFile(file)) });
  return digests;
}

/** Opens a capture for digests of its tables and closes it after `use`. Throws as opening a capture does. */
export async function withDigests<T>(
  path: string,
  spillIn: string,
  use: (workspace: Workspace, capture: AttachedCapture) => Promise<T>,
): Promise<T> {
  const workspace = await Workspace.open({ inputs: [path], spillIn });
  try {
    return await use(workspace, workspace.inputs[0] as AttachedCapture);
  } catch (cause) {
    throw workFailure(cause, path, spillIn);
  } finally {
    workspace.close();
  }
}

/**
 * Works out the seal of a capture; nothing is written. `table` is called before each table with its place and the
 * number of all. Throws as opening a capture does.
 */
export async function makeSeal(
  file: string,
  version: string,
  table: (name: string, index: number, count: number) => void = () => {},
): Promise<Seal> {
  const path = resolve(file);
  return withDigests(path, folderOf(path), async (workspace, capture) => {
    const files = await digestFiles(path);
    const tables: TableDigest[] = [];
    const sources = canonicalTables(capture);
    for (const [index, source] of sources.entries()) {
      table(source.table, index, sources.length);
      tables.push(await digestTable(workspace, source));
    }
    return {
      format: SEAL_FORMAT,
      version: SEAL_VERSION,
      sealed_at: new Date().toISOString(),
      sealed_by: version,
      files,
      runs: await select(workspace, capture, 'capture', RUN_COLUMNS),
      packs: (await select(workspace, capture, 'packs', ['pack', 'version', 'sha256'])) as Seal['packs'],
      tables,
    };
  });
}

/** Rows of a catalog table as JSON; columns the capture does not have are left out. */
async function select(
  { connection }: Workspace,
  { alias, tables }: AttachedCapture,
  name: string,
  wanted: readonly string[],
): Promise<Record<string, unknown>[]> {
  const table = tables.find((candidate) => candidate.schema === 'main' && candidate.name === name);
  const columns = wanted.filter((column) => table?.columns.some((has) => has.name === column));
  if (columns.length === 0) return [];
  const result = await connection.runAndReadAll(
    `SELECT ${columns.map(ident).join(', ')} FROM ${alias}.main.${ident(name)} ORDER BY ALL`,
  );
  return result
    .getRows()
    .map((row) => Object.fromEntries(columns.map((column, index) => [column, toJson(row[index] ?? null)])));
}

/** The text of a seal file. */
export const formatSeal = (seal: Seal): string => `${JSON.stringify(seal, null, 2)}\n`;
