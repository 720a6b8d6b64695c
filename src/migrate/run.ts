import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { checkSpace, writeNewFile } from '../capture/new-file.js';
import { EXIT, IngeroError } from '../errors.js';
import { captureKind, type FileKind } from '../query/capture-file.js';
import { migrateCapture, type OnProgress, survey, type VerifiedTable } from './migrate.js';
import { type ConvertReport, convertOldCapture } from './old-capture.js';

/** Endings a capture's name may be given without. */
const ENDINGS = ['.duckdb', '.db'];

export interface MigrateOptions {
  /** File to write; undefined: a name beside the original. */
  out: string | undefined;
  inPlace: boolean;
  dryRun: boolean;
  /** Schema version to reach. */
  to: number;
  /** Convert what can be read of a damaged capture of the Go agent. */
  salvage: boolean;
  onProgress: OnProgress;
}

/** What became of one file; the `--json` shape of `ingero migrate`. */
export interface MigrateReport {
  file: string;
  /** migrated: written and verified; planned: --dry-run; current: it has the schema already. */
  state: 'migrated' | 'planned' | 'current';
  from_schema: number;
  to_schema: number;
  /** File written, or to be written. */
  output: string | null;
  events: number;
  /** Compared with the original, row counts and checksums. Empty unless migrated. */
  tables: readonly VerifiedTable[];
  /** Tables of the original that belong to no schema version; they are not in the output. */
  not_copied: readonly string[];
  seconds: number;
}

/**
 * The files a name stands for: itself, the captures in a directory, or itself with an ending a capture has.
 * Throws `capture-missing` or `not-a-capture`.
 */
export function filesNamed(name: string): string[] {
  const path = resolve(name);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() === true) return capturesIn(path);
  const found = stat === undefined ? ENDINGS.map((ending) => path + ending).find(existsSync) : path;
  return [found ?? path];
}

function capturesIn(directory: string): string[] {
  const files = readdirSync(directory, { withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.partial'))
    .map(({ name }) => join(directory, name))
    .filter(isCapture)
    .sort();
  if (files.length > 0) return files;
  throw new IngeroError(`There is no capture in ${directory}.`, {
    code: 'capture-missing',
    exitCode: EXIT.badCapture,
    expected: 'a directory with captures (DuckDB, or SQLite of the older agent)',
    next: 'Check the path.',
  });
}

function isCapture(path: string): boolean {
  try {
    captureKind(path);
    return true;
  } catch {
    return false;
  }
}

/** Name for a migrated file, beside the original: `run.duckdb` gives `run.v2.duckdb`, `old.db` gives `old.duckdb`. */
export function defaultOutput(source: string, kind: FileKind, version: number): string {
  const stem = basename(source).replace(/\.(duckdb|db|sqlite3?)$/i, '');
  return join(dirname(source), kind === 'sqlite' ? `${stem}.duckdb` : `${stem}.v${version}.duckdb`);
}

/**
 * Brings one capture to a newer schema version: what kind of file it is is told by its content. The original is never
 * changed; with `inPlace` the new file takes its place once it is complete and verified.
 *
 * Throws IngeroError: `EXIT.badCapture` for the original, `EXIT.output` for the new file, `schema-not-forward`.
 */
export async function migrateFile(
  file: string,
  options: MigrateOptions,
): Promise<MigrateReport | ConvertReport> {
  const started = performance.now();
  const kind = captureKind(file);
  const source = realpathSync(file);
  if (kind === 'sqlite') {
    const output = options.out ?? defaultOutput(file, kind, options.to);
    return convertOldCapture(file, source, { ...options, output });
  }
  const { plan, events } = await survey(source, options.to);
  const report = {
    file,
    from_schema: plan.from,
    to_schema: plan.to,
    events,
    not_copied: plan.foreign,
    tables: [],
  };
  const done = (): number => Number(((performance.now() - started) / 1000).toFixed(3));
  if (plan.from === plan.to) return { ...report, state: 'current', output: null, seconds: done() };
  const output = options.inPlace ? source : resolve(options.out ?? defaultOutput(file, kind, plan.to));
  if (options.inPlace) refuseInPlace(source, plan.foreign);
  if (options.dryRun) return { ...report, state: 'planned', output, seconds: done() };
  const write = (temporary: string): Promise<VerifiedTable[]> => {
    checkSpace(dirname(temporary), statSync(source).size);
    return migrateCapture(source, temporary, plan, options.onProgress);
  };
  const tables = await writeNewFile(output, write, { replace: options.inPlace });
  return { ...report, state: 'migrated', output, tables, seconds: done() };
}

/** The original would be gone: nothing of it may be lost. */
function refuseInPlace(source: string, foreign: readonly string[]): void {
  const wal = `${source}.wal`;
  const why = existsSync(wal)
    ? `${basename(wal)} beside it belongs to it`
    : foreign.length > 0
      ? `it has tables that would be lost: ${foreign.join(', ')}`
      : undefined;
  if (why === undefined) return;
  throw new IngeroError(`${source} cannot be replaced: ${why}.`, {
    code: 'not-in-place',
    exitCode: EXIT.output,
    next: 'Migrate to a new file (without --in-place); the original then stays.',
  });
}
