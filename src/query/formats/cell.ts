import type { DuckDBValue } from '@duckdb/node-api';
import type { ResultColumn } from '../execute.js';
import { humanize } from '../units.js';
import { toText } from '../values.js';
import { visible } from '../visible.js';

/** A value for a person to read, safe on a terminal. */
export function cell(value: DuckDBValue, column: ResultColumn, humanUnits: boolean): string {
  const readable = humanUnits ? humanize(value, column.unit) : undefined;
  return visible(readable ?? toText(value) ?? 'NULL');
}
