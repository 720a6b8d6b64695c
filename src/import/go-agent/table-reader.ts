import type { RowView, SqliteTable } from '../sqlite/index.js';

/** Reads rows of a table by column name. A column the table or the row does not have reads as NULL. */
export class TableReader {
  readonly #columns: ReadonlyMap<string, number>;

  constructor(table: SqliteTable) {
    this.#columns = new Map(table.columns.map(({ name }, index) => [name.toLowerCase(), index]));
  }

  /** Text, '' for anything else. */
  text(row: RowView, name: string): string {
    return row.text(this.#at(name));
  }

  /** An integer that JavaScript holds exactly; null for anything else. */
  integer(row: RowView, name: string): number | null {
    const at = this.#at(name);
    if (row.kind(at) !== 'integer') return null;
    const value = row.integer(at);
    return Number.isSafeInteger(value) ? value : null;
  }

  bigint(row: RowView, name: string): bigint | null {
    const at = this.#at(name);
    return row.kind(at) === 'integer' ? row.bigint(at) : null;
  }

  real(row: RowView, name: string): number | null {
    const value = row.real(this.#at(name));
    return Number.isFinite(value) ? value : null;
  }

  #at(name: string): number {
    return this.#columns.get(name) ?? -1;
  }
}

/** A time in ns since 1970; null where it is 0 or beyond any clock (the year 2116). */
export function timeOf(reader: TableReader, row: RowView, name: string): bigint | null {
  const value = reader.bigint(row, name);
  return value !== null && value > 0n && value < 2n ** 62n ? value : null;
}

/** A value that fits into an INTEGER column; null for others. */
export function int32(value: number | null): number | null {
  return value !== null && value >= -(2 ** 31) && value < 2 ** 31 ? value : null;
}
