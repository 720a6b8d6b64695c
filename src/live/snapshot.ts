import { constants, statfsSync, statSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { PrivateDirectory } from '../query/private-directory.js';
import { whileHeld } from './client.js';

/** Left free beside a copy, bytes: the trace may need the same file system. */
const LEAVE_FREE = 256 << 20;

/** A copy of a capture that is still being recorded. */
export interface Snapshot {
  path: string;
  /** When its contents are from, ns since 1970. */
  asOfNs: bigint;
  /** Removes it. It can be removed as soon as it is open. */
  remove(): void;
}

/**
 * Copies a capture and its write-ahead log into a private directory while its recorder keeps both as they are. Null
 * when no recorder answers.
 *
 * Throws IngeroError (`live-no-space`), HoldLost, or Node's error of copying.
 */
export async function takeSnapshot(capture: string): Promise<Snapshot | null> {
  const directory = new PrivateDirectory();
  const path = join(directory.path, basename(capture));
  try {
    const asOfNs = await whileHeld(capture, async () => {
      refuseWithoutSpace(capture);
      // The log first: it refers to blocks that were written before it.
      await copyFile(`${capture}.wal`, `${path}.wal`, constants.COPYFILE_FICLONE).catch(ignoreMissing);
      await copyFile(capture, path, constants.COPYFILE_FICLONE);
    });
    if (asOfNs !== null) return { path, asOfNs, remove: () => directory.remove() };
    directory.remove();
    return null;
  } catch (error) {
    directory.remove();
    throw error;
  }
}

/** There is no log right after it was folded into the file. */
function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}

function refuseWithoutSpace(capture: string): void {
  const wal = statSync(`${capture}.wal`, { throwIfNoEntry: false })?.size ?? 0;
  const needed = statSync(capture).size + wal;
  const { bavail, bsize } = statfsSync(tmpdir());
  if (bavail * bsize - needed > LEAVE_FREE) return;
  const mib = (bytes: number): number => Math.ceil(bytes / 2 ** 20);
  throw new IngeroError(`There is too little free space in ${tmpdir()} to copy the running capture.`, {
    code: 'live-no-space',
    exitCode: EXIT.output,
    expected: `${mib(needed + LEAVE_FREE)} MiB free`,
    next: 'Name a directory on another file system with TMPDIR, or wait for the trace to end.',
  });
}
