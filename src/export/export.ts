import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { schemaOf } from '../capture/rebuild.js';
import { ident, literal } from '../capture/sql-text.js';
import { splitTables, Workspace, workFailure } from '../capture/workspace.js';
import { EXIT, IngeroError } from '../errors.js';
import { exitNow } from '../query/limits.js';
import { PrivateDirectory } from '../query/private-directory.js';
import { outputFailure } from '../query/sink.js';
import { planUnion } from '../query/union.js';
import { digestFile } from '../trust/ecdsa.js';
import { planExport } from './plan.js';
import { EXPORT_README } from './readme.js';

/** Folder of the lists of what was exported, one per capture. Engines ignore names that begin with `_` or `.`. */
export const MANIFESTS = '_manifests';
const MANIFEST_FORMAT = 'ingero-export';
const MANIFEST_VERSION = 1;
const EXPORTED_PATH = /^table=\w+\/host=[^/]+\/date=[^/]+\/[0-9a-f-]{36}-\d+\.parquet$/;
/** DuckDB buffers every partition it writes to at once, about a megabyte for the widest tables. */
const RUNS_AT_ONCE = 64;
const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

/** A file of the export. */
export interface ExportedFile {
  /** Relative to the folder of the export. */
  path: string;
  table: string;
  rows: number;
  bytes: number;
  sha256: string;
}

/** What was exported of one capture: the contents of its manifest. */
export interface Manifest {
  format: typeof MANIFEST_FORMAT;
  version: typeof MANIFEST_VERSION;
  capture_id: string;
  host: string;
  exported_at: string;
  ingero_version: string;
  schema_version: number;
  files: ExportedFile[];
}

/**
 * Writes captures as Parquet files below `dir`: `table=T/host=H/date=D/CAPTURE_ID-N.parquet`. Every file appears whole,
 * under a name no other capture uses, so that many hosts can write to one folder at once; the manifest of a
 * capture comes last. Captures are only read.
 *
 * Throws as opening a capture does, `output-exists` for a capture that is there already (unless `replace`),
 * `output-unwritable` and `output-space`. What was half written is removed.
 */
export async function exportCapture(
  file: string,
  dir: string,
  version: string,
  replace: boolean,
): Promise<Manifest[]> {
  const root = resolve(dir);
  makeFolder(root);
  const staging = makeStaging(root);
  const stop = (): void => {
    PrivateDirectory.removeAll();
    // DuckDB may be in the middle of a statement, which process.exit would wait for.
    exitNow(EXIT.interrupted);
  };
  for (const signal of SIGNALS) process.once(signal, stop);
  try {
    return await exportInto(file, root, staging.path, version, replace);
  } finally {
    for (const signal of SIGNALS) process.off(signal, stop);
    staging.remove();
  }
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (cause) {
    throw outputFailure(path, cause);
  }
}

function makeStaging(root: string): PrivateDirectory {
  try {
    return new PrivateDirectory(join(root, '.ingero-export-'));
  } catch (cause) {
    throw outputFailure(root, cause);
  }
}

async function exportInto(
  file: string,
  root: string,
  staging: string,
  version: string,
  replace: boolean,
): Promise<Manifest[]> {
  const workspace = await Workspace.open({ inputs: [file], writeDir: staging, spillIn: staging });
  try {
    const [input] = workspace.inputs;
    if (input === undefined) return [];
    const schema = await schemaOf(workspace);
    await workspace.connection.run(planUnion(schema, workspace.inputs, []).join(';\n'));
    const manifests = await beginManifests(workspace, input.schemaVersion, version);
    if (!replace) for (const id of manifests.keys()) refuseExported(root, id);
    const events = splitTables(input.tables).events.map(({ name }) => name);
    const files: StagedFile[] = [];
    const runs = (await workspace.rows('SELECT run_id FROM main.capture ORDER BY run_id')).map(([run]) =>
      Number(run),
    );
    for (const { table, copy } of planExport(schema, events)) {
      if ((await workspace.number(`SELECT count(*) FROM main.${ident(table)}`)) === 0) continue;
      for (let at = 0; at < runs.length; at += RUNS_AT_ONCE) {
        const folder = join(staging, `${table}.${at}`);
        const last = Math.min(at + RUNS_AT_ONCE, runs.length) - 1;
        await workspace.connection.run(copy(folder, runs[at] ?? 0, runs[last] ?? 0));
        files.push(...(await staged(workspace, folder, table)));
      }
    }
    for (const id of manifests.keys()) removeExported(root, id);
    publishAll(files, root, staging, manifests);
    return [...manifests.values()];
  } catch (cause) {
    throw workFailure(cause, file, root);
  } finally {
    workspace.close();
  }
}

/** A manifest for each run of the file, by capture id. */
async function beginManifests(
  workspace: Workspace,
  schemaVersion: number,
  version: string,
): Promise<Map<string, Manifest>> {
  const rows = await workspace.rows(
    "SELECT capture_id::VARCHAR, coalesce(hostname, 'unknown') FROM main.capture ORDER BY run_id",
  );
  return new Map(
    rows.map(([id, host]) => [
      String(id),
      {
        format: MANIFEST_FORMAT,
        version: MANIFEST_VERSION,
        capture_id: String(id),
        host: String(host),
        exported_at: new Date().toISOString(),
        ingero_version: version,
        schema_version: schemaVersion,
        files: [],
      },
    ]),
  );
}

function refuseExported(root: string, id: string): void {
  if (statSync(join(root, MANIFESTS, `${id}.json`), { throwIfNoEntry: false }) === undefined) return;
  throw new IngeroError(`The capture ${id} is in ${root} already.`, {
    code: 'output-exists',
    exitCode: EXIT.output,
    expected: 'a capture that was not exported to this folder',
    next: 'Leave it, or replace its files with --replace.',
  });
}

/** Removes what an earlier export wrote of a capture, its manifest first: without it the capture counts as incomplete. */
function removeExported(root: string, id: string): void {
  const manifest = join(root, MANIFESTS, `${id}.json`);
  if (statSync(manifest, { throwIfNoEntry: false }) === undefined) return;
  const { files } = JSON.parse(readFileSync(manifest, 'utf8')) as Manifest;
  rmSync(manifest);
  // Only names an export gives: the manifest may have been edited.
  for (const { path } of files.filter((file) => EXPORTED_PATH.test(file.path))) {
    rmSync(join(root, path), { force: true });
  }
}

/** A file DuckDB has written, and where it goes. */
interface StagedFile extends ExportedFile {
  from: string;
  captureId: string;
}

/** The files DuckDB has written for a table. */
async function staged(workspace: Workspace, folder: string, table: string): Promise<StagedFile[]> {
  // DuckDB writes no file for a table without rows.
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.parquet'))
    .sort();
  if (paths.length === 0) return [];
  const counts = new Map(
    (
      await workspace.rows(
        `SELECT file_name, num_rows FROM parquet_file_metadata(${literal(`${folder}/*/*/*/*.parquet`)})`,
      )
    ).map(([name, rows]) => [String(name), Number(rows)]),
  );
  const files: StagedFile[] = [];
  const numbers = new Map<string, number>();
  for (const name of paths) {
    const [host = '', date = '', capture = ''] = name.split('/');
    const captureId = capture.replace(/^capture=/, '');
    const place = join(`table=${table}`, host, date);
    const number = numbers.get(dirname(name)) ?? 0;
    numbers.set(dirname(name), number + 1);
    const from = join(folder, name);
    const path = join(place, `${captureId}-${number}.parquet`);
    files.push({ from, captureId, path, table, rows: counts.get(from) ?? 0, ...(await digestFile(from)) });
  }
  return files;
}

/** Gives the files their names and then each capture its manifest. */
function publishAll(
  files: readonly StagedFile[],
  root: string,
  staging: string,
  manifests: ReadonlyMap<string, Manifest>,
): void {
  for (const { from, captureId, ...file } of files) {
    const target = join(root, file.path);
    makeFolder(dirname(target));
    try {
      renameSync(from, target);
    } catch (cause) {
      throw outputFailure(target, cause);
    }
    manifests.get(captureId)?.files.push(file);
  }
  writeReadme(root, staging);
  for (const [id, manifest] of manifests) {
    publish(staging, join(root, MANIFESTS), `${id}.json`, `${JSON.stringify(manifest, null, 2)}\n`);
  }
}

function writeReadme(root: string, staging: string): void {
  if (statSync(join(root, 'README.md'), { throwIfNoEntry: false }) !== undefined) return;
  publish(staging, root, 'README.md', EXPORT_README);
}

/** A text file that appears whole. */
function publish(staging: string, folder: string, name: string, text: string): void {
  makeFolder(folder);
  const temporary = join(staging, name);
  try {
    const file = openSync(temporary, 'w', 0o644);
    try {
      writeSync(file, text);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, join(folder, name));
  } catch (cause) {
    throw outputFailure(join(folder, name), cause);
  }
}
