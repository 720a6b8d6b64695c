import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory in the user's temporary directory that only this user can enter (0700), for one command. */
export class PrivateDirectory {
  static readonly #existing = new Set<string>();
  readonly path: string;

  /** Throws Node's error when it cannot be created. */
  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'ingero-'));
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
