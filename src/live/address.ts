import { closeSync, constants, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Name of the socket of the recorder that writes a capture: a file beside it, found by the capture's inode whatever
 * path or link leads to it. Throws Node's error when there is no such file.
 */
export function socketName(capture: string): string {
  return `.ingero-${statSync(capture).ino}.sock`;
}

/** Matches the names {@link socketName} gives. */
export const SOCKET_NAME = /^\.ingero-\d+\.sock$/;

/** The directory of a capture, under a path short enough for the 107 bytes a socket's address may have. */
export class SocketDirectory {
  readonly #fd: number;

  /** Throws Node's error when the directory cannot be opened. */
  constructor(capture: string) {
    this.#fd = openSync(dirname(capture), constants.O_RDONLY | constants.O_DIRECTORY);
  }

  /** Path of the directory, or of a file in it, while this is open. */
  path(name = ''): string {
    return `/proc/self/fd/${this.#fd}/${name}`;
  }

  close(): void {
    closeSync(this.#fd);
  }
}
