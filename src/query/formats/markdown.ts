import type { TextFormat } from '../format.js';
import { visible } from '../visible.js';
import { cell } from './cell.js';

/** Keeps cell text from being read as Markdown or HTML. */
const plain = (text: string): string => text.replace(/[\\|`*[\]<>&]/g, (char) => `\\${char}`);

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;

/** A Markdown (GFM) table. */
export const markdown: TextFormat = (columns, { humanUnits }) => ({
  head: () =>
    line(columns.map((column) => plain(visible(column.name)))) +
    line(columns.map((column) => (column.numeric ? '---:' : '---'))),
  rows: (rows) =>
    rows
      .map((row) => line(columns.map((column, index) => plain(cell(row[index] ?? null, column, humanUnits)))))
      .join(''),
  tail: () => '',
});
