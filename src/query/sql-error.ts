import { EXIT, IngeroError } from '../errors.js';
import { visible } from './visible.js';

/** An error as DuckDB reports it with `errors_as_json`. */
export interface DuckDBFailure {
  type: string;
  message: string;
  /** Byte offset into the SQL text. */
  position: number | undefined;
}

/** Takes apart the error text of a connection that has `errors_as_json` set. */
export function parseFailure(cause: unknown): DuckDBFailure {
  const text = cause instanceof Error ? cause.message : String(cause);
  const start = text.indexOf('{"exception_type"');
  if (start < 0) return { type: '', message: text, position: undefined };
  const parsed = JSON.parse(text.slice(start)) as Record<string, string | undefined>;
  return {
    type: parsed.exception_type ?? '',
    message: parsed.exception_message ?? '',
    position: parsed.position === undefined ? undefined : Number(parsed.position),
  };
}

interface Place {
  line: number;
  column: number;
  text: string;
}

function locate(sql: string, byteOffset: number): Place {
  const before = Buffer.from(sql).subarray(0, byteOffset).toString().split('\n');
  const line = before.length;
  return { line, column: (before[line - 1] ?? '').length + 1, text: sql.split('\n')[line - 1] ?? '' };
}

/** Columns of a long line shown around the error. */
const SNIPPET = 100;

function snippet(place: Place): string {
  const from = Math.max(0, Math.min(place.column - 1 - SNIPPET / 2, place.text.length - SNIPPET));
  // A control character would be shown as several; a space keeps the caret in place.
  const text = place.text.slice(from, from + SNIPPET).replace(/\s/g, ' ');
  const shown = `${from > 0 ? '…' : ''}${text}${from + SNIPPET < place.text.length ? '…' : ''}`;
  const gutter = `  ${place.line} | `;
  const caret = ' '.repeat(place.column - 1 - from + (from > 0 ? 1 : 0));
  return `${gutter}${visible(shown)}\n${' '.repeat(gutter.length - 2)}| ${caret}^`;
}

/**
 * What went wrong in a SQL statement: DuckDB's sentence, line and column, the line with a caret, and
 * DuckDB's hint as the next step. The exit code is `EXIT.sql`.
 */
export function sqlFailure(sql: string, cause: unknown): IngeroError {
  if (cause instanceof IngeroError) return cause;
  const failure = parseFailure(cause);
  if (failure.type === 'Out of Memory') {
    return new IngeroError('The query needs more memory than it may use.', {
      code: 'sql-out-of-memory',
      exitCode: EXIT.sql,
      next: 'Raise --memory-limit, allow disk space with --spill, or aggregate before sorting.',
      cause,
    });
  }
  if (failure.type === 'Permission') {
    return refused(`${failure.message.split('\n')[0]}.`, cause);
  }
  const [sentence = '', ...hints] = failure.message.split('\n').filter((line) => line.trim() !== '');
  const kind = failure.type === '' ? 'SQL error' : `${failure.type} error`;
  const place = failure.position === undefined ? undefined : locate(sql, failure.position);
  const where = place === undefined ? '' : ` at line ${place.line}, column ${place.column}`;
  return new IngeroError(
    `${kind}${where}: ${visible(sentence)}${place === undefined ? '' : `\n${snippet(place)}`}`,
    {
      code: 'sql-error',
      exitCode: EXIT.sql,
      cause,
      ...(hints.length === 0 ? {} : { next: hints.map((hint) => visible(hint.trim())).join(' ') }),
    },
  );
}

/** A statement that is not allowed on a capture. */
export function refused(reason: string, cause?: unknown): IngeroError {
  return new IngeroError(`Refused: ${reason}`, {
    code: 'sql-refused',
    exitCode: EXIT.sql,
    expected:
      'one statement that reads the capture: SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE or EXPLAIN',
    next: 'To keep a result, use --format csv, json or parquet with --output FILE.',
    cause,
  });
}
