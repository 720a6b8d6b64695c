import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory that only this user can enter (0700), for one command; in the user's temporary directory unless told. */
export class PrivateDirectory {
  static readonly #existing = new Set<string>();
  readonly path: string;

  /** Throws Node's error when it cannot be created. */
  constructor(prefix: string = join(tmpdir(), 'ingero-')) {
    this.path = mkdtempSync(prefix);
    PrivateDirectory.#existing.add(this.path);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
    PrivateDirectory.#existing.delete(this.path);
  }

  /** Removes those that are left, before a process ends in a hurry. */
  static removeAll(): void {
    for (const path of PrivateDirectory.#existing) rmSync(path, { recursive: true, force: true });
  }
}
process.once('exit', () => PrivateDirectory.removeAll());
