import { setImmediate } from 'node:timers/promises';
import { PageSet, walkLeaf, walkTable } from './btree.js';
import { parseCreateTable, type TableDefinition } from './create-table.js';
import type { SqliteDamage } from './damage.js';
import { findOrphans } from './orphans.js';
import { PageSource } from './page-source.js';
import { RowView } from './record.js';

export interface SqliteTable extends TableDefinition {
  name: string;
  rootPage: number;
}

/** What a scan met that it could not read. */
export interface ScanLoss {
  /** Places that could not be read; each may be one row, or a page with many. */
  damages: readonly string[];
  /** All of them: `damages` lists the first few. */
  count: number;
  /** Rows that were found on pages no longer connected with their table. */
  recovered: number;
}

export interface OpenDatabase {
  /** Go on after damage, and look for rows on pages that are no longer connected; else the first damage is thrown. */
  salvage: boolean;
}

/** Damages that are told one by one. */
const TOLD = 20;
/** A scan lets others have a turn this often. */
const PAUSE_MS = 40;

/** Runs a generator to its end. */
function finish<T>(steps: Generator<void, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/**
 * An SQLite database, read without SQLite and without changing a byte of it or beside it: the tables and their rows,
 * in rowid order. It knows no SQL, no index and no WITHOUT ROWID table; damage is found rather than trusted.
 */
export class SqliteDatabase {
  readonly tables: ReadonlyMap<string, SqliteTable>;
  /** What could not be read of the list of tables. */
  readonly schemaLoss: ScanLoss;
  readonly #source: PageSource;
  readonly #salvage: boolean;
  #orphans: ReadonlyMap<string, readonly number[]> | undefined;

  private constructor(source: PageSource, salvage: boolean) {
    this.#source = source;
    this.#salvage = salvage;
    const tables = new Map<string, SqliteTable>();
    // sqlite_schema: type, name, tbl_name, rootpage, sql.
    this.schemaLoss = finish(
      this.#walk(1, -1, (row) => {
        if (row.text(0) !== 'table') return;
        const definition = parseCreateTable(row.text(4));
        if (definition === undefined) return;
        tables.set(row.text(1), { name: row.text(1), rootPage: row.integer(3), ...definition });
      }),
    );
    this.tables = tables;
  }

  /**
   * Opens a database. Throws SqliteRefusal when it is none or is in use, SqliteDamage when its header or its list of
   * tables cannot be read, and what node:fs throws when the file cannot be opened.
   */
  static open(path: string, { salvage }: OpenDatabase): SqliteDatabase {
    const source = PageSource.open(path, salvage);
    try {
      return new SqliteDatabase(source, salvage);
    } catch (error) {
      source.close();
      throw error;
    }
  }

  get userVersion(): number {
    return this.#source.userVersion;
  }

  /** Pages that were taken from the write-ahead log beside the file. */
  get walPages(): number {
    return this.#source.walPages;
  }

  /**
   * Visits every row of a table. Throws SqliteDamage at the first place that cannot be read, unless opened to salvage:
   * then it is counted and the rest is visited, with rows of pages that lost their connection at the end. Signals and
   * timers of the process get their turn meanwhile.
   */
  async scan(table: SqliteTable, onRow: (row: RowView) => void): Promise<ScanLoss> {
    const walk = this.#walk(table.rootPage, table.rowidColumn, onRow, table.name);
    for (let pause = performance.now() + PAUSE_MS; ; ) {
      const step = walk.next();
      if (step.done) return step.value;
      if (performance.now() < pause) continue;
      await setImmediate();
      pause = performance.now() + PAUSE_MS;
    }
  }

  /** Throws SqliteRefusal when somebody wrote to the file since it was opened. */
  assertUnchanged(): void {
    this.#source.assertUnchanged();
  }

  close(): void {
    this.#source.close();
  }

  *#walk(
    root: number,
    rowidColumn: number,
    onRow: (row: RowView) => void,
    table?: string,
  ): Generator<void, ScanLoss> {
    const damages: string[] = [];
    let count = 0;
    let recovered = 0;
    const row = new RowView(this.#source.encoding);
    row.useRowidAs(rowidColumn);
    const walk = {
      source: this.#source,
      row,
      seen: new PageSet(this.#source.pageCount),
      onRow,
      onDamage: (damage: SqliteDamage): void => {
        if (!this.#salvage) throw damage;
        count++;
        if (damages.length < TOLD) damages.push(damage.message);
      },
    };
    yield* walkTable(walk, root);
    if (this.#salvage && table !== undefined) {
      this.#orphans ??= findOrphans(this.#source, [...this.tables.values()]);
      const found = {
        ...walk,
        onRow: (view: RowView): void => {
          recovered++;
          onRow(view);
        },
      };
      for (const page of this.#orphans.get(table) ?? []) {
        if (!walk.seen.has(page)) walkLeaf(found, page);
        yield;
      }
    }
    return { damages, count, recovered };
  }
}
