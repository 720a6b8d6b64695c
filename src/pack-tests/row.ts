import type { TestValue } from '../packs/model.js';
import { numberOf } from '../packs/test-paths.js';

/** Columns of a row as text; null is NULL. */
export type RowText = Readonly<Record<string, string | null>>;

/** A column that does not hold what a test says. */
export interface Mismatch {
  column: string;
  expected: string | null;
  recorded: string | null;
}

/** Columns of `expected` that a row does not have so. Numbers are compared as numbers, however they are written. */
export function mismatches(expected: Readonly<Record<string, TestValue | null>>, row: RowText): Mismatch[] {
  return Object.entries(expected).flatMap(([column, value]) => {
    const recorded = row[column] ?? null;
    const isSame = value === null || recorded === null ? value === recorded : same(value, recorded);
    return isSame ? [] : [{ column, expected: value === null ? null : String(value), recorded }];
  });
}

function same(value: TestValue, recorded: string): boolean {
  if (String(value) === recorded) return true;
  const number = numberOf(value);
  return number !== undefined && number === numberOf(recorded);
}
