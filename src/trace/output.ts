import { accessSync, constants, lstatSync, rmSync, statfsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';

const MIB = 2 ** 20;
/** What flushing and a checkpoint can take at full speed; on a large file system there is no need to cut it fine. */
const MIN_FREE = { least: 16 * MIB, most: 64 * MIB };

/** Where a capture goes and how much space must stay free beside it. */
export interface Output {
  /** Absolute path. */
  path: string;
  /** Free bytes below which recording stops: a quarter of the file system, 16 to 64 MiB, or more where asked for. */
  minFreeBytes: number;
}

/**
 * Checks that a capture can be written, changing nothing. `minFree`: bytes to be left free; null: the default.
 * Throws `output-exists`, `output-directory` or `output-space`.
 */
export function checkOutput(file: string, force: boolean, minFree: number | null = null): Output {
  const path = resolve(file);
  const directory = dirname(path);
  try {
    accessSync(directory, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new IngeroError(`The directory ${directory} cannot be written to.`, {
      code: 'output-directory',
      exitCode: EXIT.output,
      expected: 'an existing directory this user may write to',
      next: 'Create it, or give another path with --out.',
      cause,
    });
  }
  const existing = filesOf(path);
  if (existing.length > 0) {
    const replaceable = existing.every((name) => lstatSync(name).isFile());
    if (!force || !replaceable) {
      throw new IngeroError(
        `${existing[0]} already exists${replaceable ? '' : ' and is not a regular file'}.`,
        {
          code: 'output-exists',
          exitCode: EXIT.output,
          expected: 'a new file: captures are evidence and are not overwritten',
          next: replaceable
            ? 'Give another name with --out, or --force to replace it.'
            : 'Give another name with --out.',
        },
      );
    }
  }
  const { bavail, blocks, bsize } = statfsSync(directory);
  const usual = Math.min(MIN_FREE.most, Math.max(MIN_FREE.least, Math.floor((blocks * bsize) / 4)));
  const minFreeBytes = Math.max(minFree ?? 0, usual);
  if (bavail * bsize < minFreeBytes) {
    throw new IngeroError(
      `There is too little free space in ${directory}: ${Math.floor((bavail * bsize) / MIB)} MiB.`,
      {
        code: 'output-space',
        exitCode: EXIT.output,
        expected: `at least ${Math.ceil(minFreeBytes / MIB)} MiB free`,
        next: 'Free space, or give a path on another file system with --out.',
      },
    );
  }
  return { path, minFreeBytes };
}

/** Removes a capture that --force replaces. */
export function removeCapture(path: string): void {
  for (const name of filesOf(path)) rmSync(name);
}

/** What stands where a capture and its write-ahead log go. A link that leads nowhere counts: a file made through it would be elsewhere. */
function filesOf(path: string): string[] {
  return [path, `${path}.wal`].filter((name) => lstatSync(name, { throwIfNoEntry: false }) !== undefined);
}
