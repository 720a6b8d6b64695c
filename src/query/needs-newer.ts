import { readCaptureSchema } from '../capture/schema.js';
import { SCHEMA_VERSION } from '../capture/version.js';
import { EXIT, IngeroError } from '../errors.js';
import { describeSchema } from '../schema/describe.js';
import type { OpenCapture } from './open.js';
import { parseFailure } from './sql-error.js';

/** How DuckDB says that a column or a table is not there. */
const MISSING = [/column (?:named )?"([^"]+)"/i, /Table with name (\S+) does not exist/];

/**
 * What SQL on an older capture fails with when it names a table or column that a newer schema has; undefined when the
 * failure is another.
 */
export function needsNewerSchema(
  { schemaVersion, path }: Pick<OpenCapture, 'schemaVersion' | 'path'>,
  cause: unknown,
): IngeroError | undefined {
  if (schemaVersion >= SCHEMA_VERSION) return undefined;
  const { message } = parseFailure(cause);
  const name = MISSING.map((pattern) => pattern.exec(message)?.[1]).find((found) => found !== undefined);
  const since = name === undefined ? undefined : sinceOf(name);
  if (since === undefined || since <= schemaVersion) return undefined;
  return new IngeroError(
    `${path} has schema version ${schemaVersion}; ${name} is there since version ${since}.`,
    {
      code: 'schema-too-old',
      exitCode: EXIT.badCapture,
      expected: `a capture with schema version ${since} or newer`,
      next: '`ingero migrate` writes one from this file and leaves this one as it is.',
      cause,
    },
  );
}

/** Version that brought the table, or the first column, of this name. */
function sinceOf(name: string): number | undefined {
  const wanted = name.toLowerCase();
  const { tables } = describeSchema(readCaptureSchema());
  const found = [...tables, ...tables.flatMap(({ columns }) => columns)].filter(
    (item) => item.name === wanted,
  );
  return found.length === 0 ? undefined : Math.min(...found.map(({ since }) => since));
}
