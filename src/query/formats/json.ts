import type { TextFormat } from '../format.js';
import { jsonText, rowObject } from './json-text.js';

/** One JSON array of objects, a row a line. */
export const json: TextFormat = (columns) => {
  let first = true;
  return {
    head: () => '[',
    rows: (rows) =>
      rows
        .map((row) => {
          const separator = first ? '\n' : ',\n';
          first = false;
          return separator + jsonText(rowObject(columns, row));
        })
        .join(''),
    tail: () => (first ? ']\n' : '\n]\n'),
  };
};
