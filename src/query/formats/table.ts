import type { ResultColumn } from '../execute.js';
import type { Row, TextFormat } from '../format.js';
import { visible } from '../visible.js';
import { cell } from './cell.js';

/** Rows looked at before the widths are settled; later rows that are wider are cut or spill over. */
const SAMPLE = 1000;
const GAP = '  ';
/** A column that must give way is not made narrower than this. */
const NARROWEST = 8;

const length = (text: string): number => [...text].length;

/** Cuts text to a width, with … as the last character. */
function cut(text: string, width: number): string {
  return length(text) <= width ? text : `${[...text].slice(0, width - 1).join('')}…`;
}

const total = (widths: readonly number[]): number =>
  widths.reduce((sum, width) => sum + width, 0) + GAP.length * Math.max(0, widths.length - 1);

/**
 * Widths that fit a terminal: the widest column gives way first, down to NARROWEST, and columns that still
 * do not fit are left out from the right (the result is then shorter than the input).
 */
export function fitWidths(natural: readonly number[], available: number): number[] {
  const widths = [...natural];
  while (total(widths) > available) {
    const widest = Math.max(...widths);
    if (widest > NARROWEST) {
      const next = Math.max(NARROWEST, ...widths.filter((width) => width < widest));
      const count = widths.filter((width) => width === widest).length;
      const excess = total(widths) - available;
      const target = Math.max(next, widest - Math.ceil(excess / count));
      for (const [index, width] of widths.entries()) if (width === widest) widths[index] = target;
    } else if (widths.length > 1) {
      widths.pop();
    } else {
      break;
    }
  }
  return widths;
}

/** Columns aligned with spaces; numbers to the right. On a terminal, cut to its width. */
export const table: TextFormat = (columns, { width, humanUnits }) => {
  const names = columns.map((column) => visible(column.name));
  let sample: string[][] | undefined = [];
  let widths: number[] = [];

  const line = (cells: readonly string[]): string => {
    const shown = widths.map((columnWidth, index) => {
      const text = width === undefined ? (cells[index] ?? '') : cut(cells[index] ?? '', columnWidth);
      const pad = ' '.repeat(Math.max(0, columnWidth - length(text)));
      return (columns[index] as ResultColumn).numeric ? pad + text : text + pad;
    });
    return `${shown.join(GAP).trimEnd()}\n`;
  };

  const settle = (rows: readonly string[][]): string => {
    const natural = names.map((name, index) =>
      rows.reduce((widest, row) => Math.max(widest, length(row[index] ?? '')), length(name)),
    );
    widths = width === undefined ? natural : fitWidths(natural, width);
    sample = undefined;
    return line(names) + line(widths.map((columnWidth) => '─'.repeat(columnWidth))) + rows.map(line).join('');
  };

  return {
    head: () => '',
    rows(rows: readonly Row[]) {
      const cells = rows.map((row) =>
        columns.map((column, index) => cell(row[index] ?? null, column, humanUnits)),
      );
      if (sample === undefined) return cells.map(line).join('');
      sample.push(...cells);
      return sample.length >= SAMPLE ? settle(sample) : '';
    },
    tail() {
      const text = sample === undefined ? '' : settle(sample);
      const hidden = names.slice(widths.length);
      return hidden.length === 0
        ? text
        : `${text}${hidden.length} more column${hidden.length === 1 ? '' : 's'} not shown: ${hidden.join(', ')}\n`;
    },
  };
};
