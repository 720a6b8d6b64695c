import { EXIT, IngeroError } from '../errors.js';

/** Version of the capture schema this ingero writes and the newest it reads. */
export const SCHEMA_VERSION = 2;

/** Checks that a schema version a user names is known. Throws `schema-unknown`. */
export function checkVersion(version: number): number {
  if (version >= 1 && version <= SCHEMA_VERSION) return version;
  throw new IngeroError(`This ingero does not know schema version ${version}.`, {
    code: 'schema-unknown',
    exitCode: EXIT.usage,
    expected: `1 to ${SCHEMA_VERSION}`,
    next: 'A newer ingero may know it.',
  });
}
