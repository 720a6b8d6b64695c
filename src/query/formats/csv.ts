import type { TextFormat } from '../format.js';
import { toText } from '../values.js';

/** A field by RFC 4180. NULL is an empty field and an empty string is `""`, so the two stay apart. */
function field(text: string | undefined): string {
  if (text === undefined) return '';
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const record = (fields: readonly (string | undefined)[]): string => `${fields.map(field).join(',')}\r\n`;

/** Comma-separated values (RFC 4180) with a header line, raw values. */
export const csv: TextFormat = (columns) => ({
  head: () => record(columns.map((column) => column.name)),
  rows: (rows) => rows.map((row) => record(row.map(toText))).join(''),
  tail: () => '',
});
