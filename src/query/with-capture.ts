import type { IngeroError } from '../errors.js';
import { Budget } from './budget.js';
import { type LimitFlags, openOptions } from './flags.js';
import { boundMemory, exitNow, parseSize } from './limits.js';
import { type OpenCapture, openCapture } from './open.js';
import { PrivateDirectory } from './private-directory.js';

/**
 * Opens a capture, or several as one, within the limits of the flags for the time of `use`. `report` is called with the error the
 * process ends with when DuckDB cannot be stopped. Throws IngeroError as opening does, and what `use` throws.
 */
export async function withCapture<T>(
  files: readonly string[],
  flags: LimitFlags,
  report: (error: IngeroError) => void,
  use: (capture: OpenCapture, budget: Budget) => Promise<T>,
): Promise<T> {
  boundMemory(parseSize(flags['memory-limit']) ?? 0);
  const capture = await openCapture(files, openOptions(flags));
  const budget = new Budget(capture.connection, flags.timeout, (error) => {
    report(error);
    PrivateDirectory.removeAll();
    exitNow(error.exitCode);
  });
  try {
    return await use(capture, budget);
  } finally {
    budget.dispose();
    capture.close();
  }
}
