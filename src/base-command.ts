import { Command } from '@oclif/core';
import { EXIT, IngeroError } from './errors.js';
import { visibleLines } from './query/visible.js';

/** Shared behaviour of every command: errors become one clear block (or JSON) and a documented exit code. */
export abstract class BaseCommand extends Command {
  static override enableJsonFlag = true;

  protected override async catch(
    error: Error & { exitCode?: number; oclif?: { exit?: number } },
  ): Promise<void> {
    if (!(error instanceof IngeroError)) {
      if (error.oclif?.exit !== undefined || 'parse' in error) return super.catch(error);
      return this.fail(
        new IngeroError(`Unexpected failure: ${error.message}`, {
          code: 'internal',
          exitCode: EXIT.internal,
          next: 'Run again with DEBUG=* and report the output; this is a defect in ingero.',
          cause: error,
        }),
      );
    }
    return this.fail(error);
  }

  /** Tells that one of several files failed, where JSON does not say it; the exit code is that of the first to fail. */
  protected failOne(error: IngeroError): void {
    const before = process.exitCode;
    if (!this.jsonEnabled()) this.fail(error);
    process.exitCode = before ?? error.exitCode;
  }

  /** Prints an error as the command's form of output wants it, and sets the exit code. */
  protected fail(error: IngeroError): void {
    if (this.jsonEnabled()) {
      this.logJson(error.toJSON());
    } else {
      // Messages name files and what is in them: nothing in a name may act on the terminal.
      this.logToStderr(`Error: ${visibleLines(error.message)}`);
      if (error.expected !== undefined) this.logToStderr(`  expected: ${visibleLines(error.expected)}`);
      if (error.next !== undefined) this.logToStderr(`  next:     ${visibleLines(error.next)}`);
      if (error.cause !== undefined && process.env.DEBUG)
        this.logToStderr(String((error.cause as Error).stack));
    }
    process.exitCode = error.exitCode;
  }
}
