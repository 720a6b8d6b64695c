import type { ScanLoss } from '../sqlite/index.js';

/** What became of the rows of one table of the old file; of `events`, of those of one operation. */
export interface AccountLine {
  source_table: string;
  /** Operation, for rows of `events`; null for other tables. */
  op: string | null;
  /** Table of the new file; null when the rows go nowhere. */
  into_table: string | null;
  /** Rows that were read. */
  source_rows: number;
  /** Of these, rows that are in the new file. */
  converted: number;
  /** Why the others are not; null when all are. */
  reason: string | null;
}

/** What could not be read of a damaged table. */
export interface SalvageLine {
  source_table: string;
  /** Places that could not be read: rows, or pages with many. */
  damaged_places: number;
  /** Rows found on pages that had lost their connection with the table; they count among the rows read. */
  recovered_rows: number;
  /** What the first places were. */
  damages: readonly string[];
}

/** Counts rows of one source table by what becomes of them. */
export class Account {
  readonly #lines = new Map<string, AccountLine>();
  readonly salvage: SalvageLine[] = [];

  converted(table: string, into: string, rows = 1, op: string | null = null): void {
    const line = this.#line(table, op, into, null);
    line.source_rows += rows;
    line.converted += rows;
  }

  left(table: string, reason: string, rows = 1): void {
    if (rows > 0) this.#line(table, null, null, reason).source_rows += rows;
  }

  loss(table: string, loss: ScanLoss): void {
    if (loss.count === 0 && loss.recovered === 0) return;
    this.salvage.push({
      source_table: table,
      damaged_places: loss.count,
      recovered_rows: loss.recovered,
      damages: loss.damages,
    });
  }

  get lines(): AccountLine[] {
    return [...this.#lines.values()];
  }

  #line(table: string, op: string | null, into: string | null, reason: string | null): AccountLine {
    const key = JSON.stringify([table, op, into, reason]);
    let line = this.#lines.get(key);
    if (line === undefined) {
      line = { source_table: table, op, into_table: into, source_rows: 0, converted: 0, reason };
      this.#lines.set(key, line);
    }
    return line;
  }
}
