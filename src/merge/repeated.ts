import type { DuckDBConnection } from '@duckdb/node-api';
import type { AttachedCapture } from '../capture/workspace.js';
import { EXIT, IngeroError } from '../errors.js';

/** Refuses a capture that is there twice, by its identity: everything in it would count twice. Throws `capture-repeated`. */
export async function refuseRepeated(
  connection: DuckDBConnection,
  inputs: readonly AttachedCapture[],
): Promise<void> {
  const seen = new Map<string, string>();
  for (const { alias, path } of inputs) {
    const result = await connection.runAndReadAll(`SELECT capture_id::VARCHAR FROM ${alias}.main.capture`);
    for (const id of result.getRows().map(([value]) => String(value))) {
      const before = seen.get(id);
      if (before !== undefined) {
        throw new IngeroError(`${path} has the capture ${id}, which ${before} has already.`, {
          code: 'capture-repeated',
          exitCode: EXIT.badCapture,
          expected: 'every capture once',
          next: 'Leave one of the two files out.',
        });
      }
      seen.set(id, path);
    }
  }
}
