import type { KeyFiles } from '../../support/keys.js';

/** The packages of one build, as the tests of each format see them. */
export interface BuiltPackages {
  version: string;
  /** The folder they are in, signed. */
  folder: string;
  /** What they are signed with. */
  keys: KeyFiles;
  /** Path of the package whose name fits. */
  named(pattern: RegExp): string;
  /** The folder package, unpacked. */
  bundle(): string;
}
