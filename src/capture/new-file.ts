import { chmodSync, closeSync, linkSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { createOutput, outputFailure } from '../query/sink.js';

/** Signals after which a half-written file must not stay. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const EXIT_BY_SIGNAL = 128;
const NUMBERS: Readonly<Record<(typeof SIGNALS)[number], number>> = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 };

/**
 * Makes a new file under a temporary name beside `path`, private to this user, and gives it its name when `write` is
 * done: there is never a partial file under the final name. Failure and signals remove what was written.
 *
 * Throws `output-exists` and `output-unwritable`, and what `write` throws.
 */
export async function writeNewFile<T>(path: string, write: (temporary: string) => Promise<T>): Promise<T> {
  const target = resolve(path);
  if (statSync(target, { throwIfNoEntry: false }) !== undefined) {
    throw outputFailure(path, Object.assign(new Error('exists'), { code: 'EEXIST' }));
  }
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.partial`);
  const clean = (): void => {
    for (const name of [temporary, `${temporary}.wal`]) rmSync(name, { force: true });
  };
  const stop = (signal: (typeof SIGNALS)[number]): void => {
    clean();
    process.exit(EXIT_BY_SIGNAL + NUMBERS[signal]);
  };
  for (const signal of SIGNALS) process.once(signal, stop);
  const umask = process.umask(0o077);
  try {
    checkFolder(temporary, path);
    const result = await write(temporary);
    publish(temporary, target, path);
    return result;
  } catch (error) {
    clean();
    throw error;
  } finally {
    process.umask(umask);
    for (const signal of SIGNALS) process.off(signal, stop);
  }
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

/** A link, unlike a rename, does not replace a file that appeared meanwhile. */
function publish(temporary: string, target: string, path: string): void {
  try {
    chmodSync(temporary, 0o600);
    try {
      linkSync(temporary, target);
      rmSync(temporary);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
      renameSync(temporary, target);
    }
  } catch (cause) {
    throw outputFailure(path, cause);
  }
}
