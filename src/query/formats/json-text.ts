import type { ResultColumn } from '../execute.js';
import type { Row } from '../format.js';
import { type Json, toJson } from '../values.js';

/** A row as an object keyed by column name. */
export function rowObject(columns: readonly ResultColumn[], row: Row): Record<string, Json> {
  return Object.fromEntries(columns.map((column, index) => [column.name, toJson(row[index] ?? null)]));
}

/** JSON that is also safe on a terminal: the C1 controls that JSON itself leaves alone are escaped. */
export function jsonText(value: Json): string {
  return JSON.stringify(value).replace(
    /[\u007f-\u009f]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
