import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { EXIT, IngeroError } from '../../errors.js';
import { SqliteDamage, SqliteDatabase, SqliteRefusal } from '../sqlite/index.js';

const BLOCK_BYTES = 1 << 20;

/** Identity of a file that is converted. */
export interface SourceDigest {
  file: string;
  bytes: number;
  sha256: string;
}

/** Length and SHA-256 of a file, read in blocks. */
export function digestOf(path: string): SourceDigest {
  const file = openSync(path, 'r');
  try {
    const hash = createHash('sha256');
    const block = Buffer.allocUnsafe(BLOCK_BYTES);
    for (let read = readSync(file, block); read > 0; read = readSync(file, block))
      hash.update(block.subarray(0, read));
    return { file: basename(path), bytes: fstatSync(file).size, sha256: hash.digest('hex') };
  } finally {
    closeSync(file);
  }
}

/** Which captures of the old agent a file holds. */
export interface SourceSchema {
  /** `schema_info.version`: 0.8, 0.9 or 0.10 (which stayed until 0.17). */
  version: string;
  /** `PRAGMA user_version`: 0, or 10 from 0.10 on. */
  userVersion: number;
}

/**
 * Opens a capture of the old agent. Throws IngeroError with `EXIT.badCapture`: `not-a-capture`, `capture-damaged`,
 * `capture-busy`, `capture-newer`, `capture-unreadable`.
 */
export function openSource(
  path: string,
  salvage: boolean,
): Promise<{ database: SqliteDatabase; schema: SourceSchema }> {
  return explained(path, salvage, async () => {
    const database = SqliteDatabase.open(path, { salvage });
    try {
      return { database, schema: await detect(path, database) };
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/** Runs a step that reads the file, saying what it means when that fails. */
export async function explained<T>(path: string, salvage: boolean, step: () => T | Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof SqliteDamage) throw damaged(path, error, salvage);
    if (error instanceof SqliteRefusal) throw refused(path, error);
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    throw bad(
      'capture-unreadable',
      `${path} cannot be read: ${(error as Error).message}.`,
      'Check the path and its mode.',
      error,
    );
  }
}

async function detect(path: string, database: SqliteDatabase): Promise<SourceSchema> {
  const events = database.tables.get('events');
  const names = [...database.tables.keys()].filter((name) => !name.startsWith('sqlite_'));
  if (events === undefined) {
    const found = names.length === 0 ? 'no table' : `the tables ${list(names)}`;
    throw notACapture(path, `it has ${found}, and no table events`);
  }
  const columns = events.columns.map(({ name }) => name.toLowerCase());
  const missing = ['timestamp', 'pid', 'tid', 'source', 'op', 'duration'].filter(
    (name) => !columns.includes(name),
  );
  if (missing.length > 0) throw notACapture(path, `its table events has no column ${missing.join(', ')}`);
  const { userVersion } = database;
  if (userVersion > 10) {
    throw bad(
      'capture-newer',
      `${path} has version ${userVersion} of the Go agent's schema; this ingero converts up to 10 (agent 0.17).`,
      'Use a newer ingero.',
    );
  }
  return { version: await versionOf(database, columns), userVersion };
}

/** The version the file says it has; else the first one with the columns it has. */
async function versionOf(database: SqliteDatabase, eventColumns: readonly string[]): Promise<string> {
  const info = database.tables.get('schema_info');
  let version = '';
  if (info !== undefined) {
    await database.scan(info, (row) => {
      if (row.text(0) === 'version') version = row.text(1);
    });
  }
  if (/^\d+\.\d+$/.test(version)) return version;
  return eventColumns.includes('comm') ? '0.10' : eventColumns.includes('node') ? '0.9' : '0.8';
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${shown} and ${names.length - 5} more` : shown;
}

function notACapture(path: string, found: string): IngeroError {
  return bad(
    'not-a-capture',
    `${path} is an SQLite database, but not a capture of the Go agent: ${found}.`,
    'Check that this is the right file.',
  );
}

function damaged(path: string, error: SqliteDamage, salvage: boolean): IngeroError {
  return bad(
    'capture-damaged',
    `${path} is truncated or damaged: ${error.message}.`,
    salvage
      ? 'Nothing can be saved of it: copy the file again from where it was recorded.'
      : 'Copy the file again from where it was recorded, with the -wal file beside it if there is one; or convert what can be read with --salvage.',
    error,
  );
}

function refused(path: string, error: SqliteRefusal): IngeroError {
  switch (error.kind) {
    case 'not-sqlite':
      return bad(
        'not-a-capture',
        `${path} is not an SQLite database.`,
        'Check that this is the right file.',
        error,
      );
    case 'hot-journal':
      return bad(
        'capture-damaged',
        `${error.message}: ${path} has to be rolled back before it can be trusted.`,
        'Open a copy of both files with the sqlite3 shell once, or convert the file as it is with --salvage.',
        error,
      );
    case 'changed':
      return bad(
        'capture-busy',
        `${error.message}.`,
        'Stop the old agent, or convert a copy made while it is stopped.',
        error,
      );
  }
}

export function bad(code: string, message: string, next: string, cause?: unknown): IngeroError {
  return new IngeroError(message, {
    code,
    exitCode: EXIT.badCapture,
    expected: 'a capture of the Go agent: SQLite, schema 0.8 to 0.17',
    next,
    ...(cause === undefined ? {} : { cause }),
  });
}
