import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { ElfError } from './elf-error.js';

/** Largest piece read at once: no number found inside a file can make us allocate more. */
const MAX_READ = 16 * 1024 * 1024;

/** A regular file read piece by piece, every range checked against its size before memory is taken. */
export class ByteSource {
  readonly path: string;
  readonly size: number;
  readonly dev: number;
  readonly inode: number;
  private fd: number;

  private constructor(path: string, fd: number, stat: { size: number; dev: number; ino: number }) {
    this.path = path;
    this.fd = fd;
    this.size = stat.size;
    this.dev = stat.dev;
    this.inode = stat.ino;
  }

  /** Opens `path` for reading. Throws ElfError `elf-unreadable` when it cannot be or is not a regular file. */
  static open(path: string): ByteSource {
    let fd: number;
    try {
      // Non-blocking: a path taken from another process's environment may turn out to be a FIFO.
      fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (cause) {
      throw new ElfError('elf-unreadable', path, (cause as Error).message, cause);
    }
    const stat = fstatSync(fd);
    if (!stat.isFile()) {
      closeSync(fd);
      throw new ElfError('elf-unreadable', path, 'not a regular file');
    }
    return new ByteSource(path, fd, stat);
  }

  /** Exactly `length` bytes at `offset`; ElfError `elf-malformed` when they are not all inside the file. */
  read(offset: number, length: number, what: string): Buffer {
    if (this.fd < 0) throw new ElfError('elf-unreadable', this.path, 'read after it was closed');
    if (offset < 0 || length < 0 || length > this.size || offset > this.size - length) {
      throw new ElfError('elf-malformed', this.path, `${what} lies outside the file`);
    }
    if (length > MAX_READ)
      throw new ElfError('elf-malformed', this.path, `${what} is too large (${length} bytes)`);
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const got = this.readSome(bytes, done, length - done, offset + done);
      if (got === 0) throw new ElfError('elf-malformed', this.path, `the file ends inside ${what}`);
      done += got;
    }
    return bytes;
  }

  /** Closes the file; reading afterwards throws. Idempotent. */
  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }

  private readSome(bytes: Buffer, at: number, length: number, position: number): number {
    try {
      return readSync(this.fd, bytes, at, length, position);
    } catch (cause) {
      throw new ElfError('elf-unreadable', this.path, (cause as Error).message, cause);
    }
  }
}
