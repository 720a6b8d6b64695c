import type { IngeroError } from './errors.js';

/** Tells a failure from before the commands are loaded, as the commands would, and sets the exit code. */
export function printFailure(error: IngeroError, json: boolean): void {
  if (json) console.log(JSON.stringify(error.toJSON(), null, 2));
  else console.error(`Error: ${error.message}\n  expected: ${error.expected}\n  next:     ${error.next}`);
  process.exitCode = error.exitCode;
}
