/** The packages of one build, as the tests of each format see them. */
export interface BuiltPackages {
  version: string;
  /** The folder they are in, signed. */
  folder: string;
  /** Trust store with the key they are signed with. */
  trust: string;
  /** Path of the package whose name fits. */
  named(pattern: RegExp): string;
  /** The folder package, unpacked. */
  bundle(): string;
}
