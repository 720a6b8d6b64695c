import type { DuckDBPreparedStatement } from '@duckdb/node-api';
import { EXIT, IngeroError } from '../errors.js';

/** Values of the parameters of SQL the user writes, as they were typed. */
export type FreeParams = ReadonlyMap<string, string>;

function wrong(message: string, expected: string, next: string): IngeroError {
  return new IngeroError(message, { code: 'bad-parameter', exitCode: EXIT.sql, expected, next });
}

/** Reads `name=value` arguments. Throws IngeroError (`bad-parameter`). */
export function parseFreeParams(given: readonly string[]): FreeParams {
  const values = new Map<string, string>();
  for (const argument of given) {
    const parts = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(argument);
    if (parts === null || values.has(parts[1] as string)) {
      throw wrong(
        parts === null ? `--param ${argument} has no value.` : `--param ${parts[1]} is given twice.`,
        '--param name=value, once for each $name in the SQL',
        'Text needs no quotes of SQL: the value is bound, not pasted.',
      );
    }
    values.set(parts[1] as string, parts[2] as string);
  }
  return values;
}

/**
 * Binds values to the `$name` parameters of a statement: whole numbers, other numbers, true, false and null as such,
 * everything else as text; `'5'` in quotes is text. Throws IngeroError (`bad-parameter`) for one without a value.
 */
export function bindFreeParams(statement: DuckDBPreparedStatement, values: FreeParams): void {
  for (let index = 1; index <= statement.parameterCount; index++) {
    const name = statement.parameterName(index);
    const value = values.get(name);
    if (value === undefined) {
      throw wrong(
        `The parameter $${name} has no value.`,
        `--param ${name}=VALUE`,
        'Give a value for each $name.',
      );
    }
    bindValue(statement, index, value);
  }
}

function bindValue(statement: DuckDBPreparedStatement, index: number, value: string): void {
  if (/^[+-]?\d{1,18}$/.test(value)) statement.bindBigInt(index, BigInt(value));
  else if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value))
    statement.bindDouble(index, Number(value));
  else if (value === 'true' || value === 'false') statement.bindBoolean(index, value === 'true');
  else if (value === 'null') statement.bindNull(index);
  else statement.bindVarchar(index, /^'[\s\S]*'$/.test(value) ? value.slice(1, -1) : value);
}
