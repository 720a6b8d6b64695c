import type { DuckDBConnection } from '@duckdb/node-api';

/** A query that answers sooner is left alone. */
const QUIET_MS = 1000;
const STEP_MS = 250;

/**
 * Shows on a terminal how far a running query is, until the returned function is called. Writes nothing to a pipe.
 * The share is DuckDB's own estimate; Ctrl-C stops the query.
 */
export function showProgress(
  connection: DuckDBConnection,
  terminal: NodeJS.WriteStream = process.stderr,
): () => void {
  if (!terminal.isTTY) return () => {};
  const started = performance.now();
  let shown = false;
  const timer = setInterval(() => {
    const elapsed = performance.now() - started;
    if (elapsed < QUIET_MS) return;
    const { percentage } = connection.progress;
    const share = percentage > 0 && percentage <= 100 ? `${percentage.toFixed(0)} % in ` : '';
    terminal.write(`\r\u001b[K${share}${(elapsed / 1000).toFixed(1)} s; Ctrl-C stops the query`);
    shown = true;
  }, STEP_MS);
  timer.unref();
  return () => {
    clearInterval(timer);
    if (shown) terminal.write('\r\u001b[K');
    shown = false;
  };
}
