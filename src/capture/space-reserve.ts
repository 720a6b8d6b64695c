import { closeSync, openSync, unlinkSync } from 'node:fs';
import koffi from 'koffi';

const posixFallocate = koffi
  .load(null)
  .func('int posix_fallocate(int fd, int64_t offset, int64_t length)') as unknown as (
  fd: number,
  offset: number,
  length: number,
) => number;

/**
 * Space set aside beside a capture, so that a capture that filled its file system can still be completed. It is a
 * file without a name: however this process ends, the space is free again.
 */
export class SpaceReserve {
  #fd: number | null;

  private constructor(fd: number | null) {
    this.#fd = fd;
  }

  /** Sets aside `bytes` on the file system of `path`; nothing where that file system cannot. */
  static beside(path: string, bytes: number): SpaceReserve {
    const name = `${path}.reserve-${process.pid}`;
    const fd = openSync(name, 'wx', 0o600);
    unlinkSync(name);
    if (posixFallocate(fd, 0, bytes) === 0) return new SpaceReserve(fd);
    closeSync(fd);
    return new SpaceReserve(null);
  }

  /** Gives the space back. */
  release(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }
}
