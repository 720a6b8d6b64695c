import { chmodSync, chownSync, closeSync, linkSync, renameSync, rmSync, statfsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { exitNow } from '../query/limits.js';
import { PrivateDirectory } from '../query/private-directory.js';
import { createOutput, outputFailure } from '../query/sink.js';
import { syncToDisk } from '../sync-to-disk.js';

/** Signals after which a half-written file must not stay. */
const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM'] as const;

export interface NewFileOptions {
  /** Take the place of the file at `path`, with its owner and mode, instead of refusing it. */
  replace?: boolean;
}

/**
 * Makes a new file under a temporary name beside `path` (`.NAME.PID.partial`), private to this user, and gives it its
 * name when `write` is done and the bytes are on disk: there is never a partial file under the final name. Failure and
 * signals remove what was written; only a kill leaves it, under the temporary name.
 *
 * Throws `output-exists` and `output-unwritable`, and what `write` throws.
 */
export async function writeNewFile<T>(
  path: string,
  write: (temporary: string) => Promise<T>,
  { replace = false }: NewFileOptions = {},
): Promise<T> {
  const target = resolve(path);
  if (!replace && statSync(target, { throwIfNoEntry: false }) !== undefined) {
    throw outputFailure(path, Object.assign(new Error('exists'), { code: 'EEXIST' }));
  }
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.partial`);
  const clean = (): void => {
    for (const name of [temporary, `${temporary}.wal`]) rmSync(name, { force: true });
  };
  const stop = (): void => {
    clean();
    PrivateDirectory.removeAll();
    // DuckDB may be in the middle of a statement, which process.exit would wait for.
    exitNow(EXIT.interrupted);
  };
  for (const signal of SIGNALS) process.once(signal, stop);
  const umask = process.umask(0o077);
  try {
    checkFolder(temporary, path);
    const result = await write(temporary);
    syncToDisk(temporary);
    publish(temporary, target, path, replace);
    return result;
  } catch (error) {
    clean();
    throw error;
  } finally {
    process.umask(umask);
    for (const signal of SIGNALS) process.off(signal, stop);
  }
}

/** Refuses a folder without `needed` bytes free. Throws `output-space`. */
export function checkSpace(folder: string, needed: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free >= needed) return;
  const mib = (bytes: number): number => Math.ceil(bytes / 2 ** 20);
  throw new IngeroError(`There is too little free space in ${folder}: ${mib(free)} MiB.`, {
    code: 'output-space',
    exitCode: EXIT.output,
    expected: `about ${mib(needed)} MiB free`,
    next: 'Free space, or give a path on another file system with --out.',
  });
}

/** Says now, rather than after an hour, that the folder cannot be written to. */
function checkFolder(temporary: string, path: string): void {
  try {
    rmSync(temporary, { force: true });
    closeSync(createOutput(temporary));
    rmSync(temporary);
  } catch (error) {
    const { cause } = error as IngeroError;
    throw new IngeroError(`Cannot write ${path}: ${(cause as Error | undefined)?.message ?? String(error)}`, {
      code: 'output-unwritable',
      exitCode: EXIT.output,
      expected: 'an existing directory this user may write to',
      next: 'Check that the directory exists, is writable, and has space.',
      cause,
    });
  }
}

/** A link, unlike a rename, does not replace a file that appeared meanwhile. Not every file system has links. */
function publish(temporary: string, target: string, path: string, replace: boolean): void {
  try {
    if (replace) {
      const { mode, uid, gid } = statSync(target);
      if (process.getuid?.() === 0) chownSync(temporary, uid, gid);
      chmodSync(temporary, mode & 0o777);
      renameSync(temporary, target);
    } else {
      chmodSync(temporary, 0o600);
      link(temporary, target);
    }
    syncToDisk(dirname(target));
  } catch (cause) {
    throw outputFailure(path, cause);
  }
}

function link(temporary: string, target: string): void {
  try {
    linkSync(temporary, target);
    rmSync(temporary);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    renameSync(temporary, target);
  }
}
