import type { DuckDBConnection } from '@duckdb/node-api';
import { EXIT, IngeroError } from '../errors.js';
import { parseFailure } from './sql-error.js';

/** After an interrupt DuckDB gets this long to stop; some functions never look, ms. */
const GRACE_MS = 3000;

/** DuckDB forgets an interrupt that comes before it has begun a query, so it is told again, ms. */
const REPEAT_MS = 50;

/**
 * How long a query may work, and Ctrl-C. Only time spent in DuckDB counts: a reader who pages through
 * the output is not a slow query. Dispose of it to release the signal handler.
 */
export class Budget {
  #remainingMs: number;
  #stopped: IngeroError | undefined;
  #isWorking = false;
  readonly #timeoutMs: number;
  readonly #connection: DuckDBConnection;
  readonly #onStuck: (reason: IngeroError) => void;
  #stuckTimer: NodeJS.Timeout | undefined;
  #repeatTimer: NodeJS.Timeout | undefined;

  /**
   * @param timeoutMs Milliseconds of work allowed; 0 is no limit.
   * @param onStuck Called when DuckDB was told to stop and goes on all the same: only ending the process helps.
   */
  constructor(
    connection: DuckDBConnection,
    timeoutMs: number,
    onStuck: (reason: IngeroError) => void = () => {},
  ) {
    this.#connection = connection;
    this.#onStuck = onStuck;
    this.#timeoutMs = timeoutMs;
    this.#remainingMs = timeoutMs;
    // Once: a second Ctrl-C ends the process the ordinary way.
    process.once('SIGINT', this.interrupt);
  }

  /** Stops the query, as Ctrl-C does. */
  readonly interrupt = (): void => {
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
    if (!this.#isWorking) return;
    this.#repeatTimer ??= setInterval(() => this.#connection.interrupt(), REPEAT_MS);
    this.#stuckTimer ??= setTimeout(() => this.#onStuck(reason), GRACE_MS);
  }

  #clearTimers(): void {
    clearInterval(this.#repeatTimer);
    clearTimeout(this.#stuckTimer);
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
    this.#isWorking = true;
    try {
      return await step();
    } catch (cause) {
      if (this.#stopped !== undefined && /interrupt/i.test(parseFailure(cause).type)) throw this.#stopped;
      throw cause;
    } finally {
      this.#isWorking = false;
      this.#clearTimers();
      clearTimeout(timer);
      this.#remainingMs -= performance.now() - started;
    }
  }

  dispose(): void {
    this.#clearTimers();
    process.off('SIGINT', this.interrupt);
  }
}
