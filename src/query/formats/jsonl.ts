import type { TextFormat } from '../format.js';
import { jsonText, rowObject } from './json-text.js';

/** One JSON object a line. */
export const jsonl: TextFormat = (columns) => ({
  head: () => '',
  rows: (rows) => rows.map((row) => `${jsonText(rowObject(columns, row))}\n`).join(''),
  tail: () => '',
});
