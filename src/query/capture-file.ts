import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { EXIT, IngeroError } from '../errors.js';

const SQLITE_MAGIC = 'SQLite format 3\0';
/** DuckDB writes its magic after an 8-byte checksum. */
const DUCKDB_MAGIC = { text: 'DUCK', offset: 8 };

function bad(code: string, message: string, next: string, cause?: unknown): IngeroError {
  return new IngeroError(message, {
    code,
    exitCode: EXIT.badCapture,
    expected: 'a capture file written by ingero',
    next,
    cause,
  });
}

/** Kinds of file a capture can be: DuckDB as ingero writes, SQLite as the older Go agent did. */
export type FileKind = 'duckdb' | 'sqlite';

/**
 * Says from the first bytes whether a path can be a capture that is read as it is.
 * Throws IngeroError (`capture-missing`, `capture-unreadable`, `capture-legacy`, `not-a-capture`).
 */
export function checkCaptureFile(path: string): void {
  if (captureKind(path) === 'duckdb') return;
  throw bad(
    'capture-legacy',
    `${path} is a SQLite file, as older versions of ingero wrote.`,
    '`ingero migrate` reads such captures into a new capture file.',
  );
}

/**
 * Says from the first bytes what kind of file a path is, without opening it as a database.
 * Throws IngeroError (`capture-missing`, `capture-unreadable`, `not-a-capture`).
 */
export function captureKind(path: string): FileKind {
  const stat = withAccess(path, () => statSync(path, { throwIfNoEntry: false }));
  if (stat === undefined) {
    throw bad('capture-missing', `There is no file ${path}.`, 'Check the path.');
  }
  if (!stat.isFile()) {
    throw bad('not-a-capture', `${path} is not a regular file.`, 'Name the capture file itself.');
  }
  withAccess(path, () => accessSync(path, constants.R_OK));
  const head = readHead(path, SQLITE_MAGIC.length);
  if (head === SQLITE_MAGIC) return 'sqlite';
  if (head.startsWith(DUCKDB_MAGIC.text, DUCKDB_MAGIC.offset)) return 'duckdb';
  throw bad('not-a-capture', `${path} is not a DuckDB file.`, 'Check that this is the right file.');
}

/** Runs a look at a file; what fails is this user's lack of permission. */
function withAccess<T>(path: string, look: () => T): T {
  try {
    return look();
  } catch (cause) {
    throw bad(
      'capture-unreadable',
      `${path} cannot be read by this user.`,
      'Captures are private to the user who recorded them; run as that user or change the file mode.',
      cause,
    );
  }
}

function readHead(path: string, length: number): string {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(length);
    return buffer.toString('latin1', 0, readSync(file, buffer, 0, length, 0));
  } finally {
    closeSync(file);
  }
}

/** What DuckDB says when it cannot open a file, as something a reader can act on. */
export function openFailure(path: string, cause: unknown): IngeroError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const holder = /Conflicting lock is held in (.*?) ?\(PID (\d+)\)/.exec(text);
  if (/could not set lock/i.test(text)) {
    const by = holder === null ? 'another process' : `process ${holder[2]} (${holder[1]})`;
    return bad(
      'capture-busy',
      `A trace is still running into ${path}: ${by} holds the file.`,
      'Wait for the trace to end, or stop it (SIGINT), then query the file.',
      cause,
    );
  }
  const newer = /version number (\d+), but we can only read version (\d+)/.exec(text);
  if (newer !== null) {
    return bad(
      'capture-newer',
      `${path} has DuckDB storage version ${newer[1]}; this ingero reads up to ${newer[2]}.`,
      'Use the newer ingero that wrote the file.',
      cause,
    );
  }
  return damaged(path, text.split('\n')[0] ?? text, cause);
}

/** The file is a DuckDB file, but its contents cannot be read. */
export function damaged(path: string, detail: string, cause?: unknown): IngeroError {
  return bad(
    'capture-damaged',
    `${path} is truncated or damaged: ${detail}`,
    'Copy the file again from where it was recorded, together with the .wal file beside it if there is one.',
    cause,
  );
}

/** The file is a sound DuckDB file that ingero did not write. */
export function notACapture(path: string): IngeroError {
  return bad(
    'not-a-capture',
    `${path} is a DuckDB file, but not a capture: it has no table named capture.`,
    'Check that this is the right file; if a .wal file was beside it, keep both together.',
  );
}

/** The capture row names a schema version that no ingero has written. */
export function schemaUnknown(path: string, found: unknown): IngeroError {
  return bad(
    'not-a-capture',
    `${path} says it has schema version ${found}, which no ingero has written.`,
    'Check that this is the right file, and that nothing but ingero has written to it.',
  );
}

/** The file follows a schema that a later ingero introduced. */
export function schemaTooNew(path: string, found: number, known: number, writer: string): IngeroError {
  return bad(
    'capture-newer',
    `${path} has schema version ${found}, written by ingero ${writer}; this ingero reads up to version ${known}.`,
    `Use ingero ${writer} or newer.`,
  );
}
