import type { DuckDBConnection } from '@duckdb/node-api';
import { EXIT, IngeroError } from '../errors.js';
import { parseFailure } from './sql-error.js';

/**
 * How long a query may work, and Ctrl-C. Only time spent in DuckDB counts: a reader who pages through
 * the output is not a slow query. Dispose of it to release the signal handler.
 */
export class Budget {
  #remainingMs: number;
  #stopped: IngeroError | undefined;
  readonly #timeoutMs: number;
  readonly #connection: DuckDBConnection;

  /** @param timeoutMs Milliseconds of work allowed; 0 is no limit. */
  constructor(connection: DuckDBConnection, timeoutMs: number) {
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
    this.#remainingMs = timeoutMs;
    // Once: a second Ctrl-C ends the process the ordinary way.
    process.once('SIGINT', this.#onSignal);
  }

  readonly #onSignal = (): void => {
    this.#stop(
      new IngeroError('The query was interrupted.', {
        code: 'query-interrupted',
        exitCode: EXIT.interrupted,
      }),
    );
  };

  #stop(reason: IngeroError): void {
    this.#stopped ??= reason;
    this.#connection.interrupt();
  }

  #timedOut(): IngeroError {
    return new IngeroError(`The query ran longer than ${this.#timeoutMs / 1000} s.`, {
      code: 'query-timeout',
      exitCode: EXIT.interrupted,
      next: 'Allow more time with --timeout, or restrict the query (time range, pid, op).',
    });
  }

  /** Runs one step of a query. Throws IngeroError when the budget is spent or the user interrupts. */
  async run<T>(step: () => Promise<T>): Promise<T> {
    if (this.#stopped !== undefined) throw this.#stopped;
    const started = performance.now();
    const timer =
      this.#timeoutMs === 0
        ? undefined
        : setTimeout(() => this.#stop(this.#timedOut()), Math.max(1, this.#remainingMs));
    try {
      return await step();
    } catch (cause) {
      if (this.#stopped !== undefined && /interrupt/i.test(parseFailure(cause).type)) throw this.#stopped;
      throw cause;
    } finally {
      clearTimeout(timer);
      this.#remainingMs -= performance.now() - started;
    }
  }

  dispose(): void {
    process.off('SIGINT', this.#onSignal);
  }
}
