import type { RowView, SqliteTable } from '../sqlite/index.js';
import { operationOf } from './operations.js';

const TWO_32 = 2 ** 32;
/** Times beyond this (the year 2116) do not come from a clock. */
const LATEST_HIGH = 2 ** 30;

/** Columns of `events` that mean something to the conversion. Which of them a file has depends on its version. */
const COLUMNS = [
  'timestamp',
  'pid',
  'tid',
  'source',
  'op',
  'duration',
  'gpu_id',
  'arg0',
  'arg1',
  'ret_code',
  'stack_hash',
  'node',
  'rank',
  'local_rank',
  'world_size',
  'comm',
  'cgroup_id',
  'stack_ips',
] as const;
type Column = (typeof COLUMNS)[number];

/** Columns without which a row says nothing. */
const NEEDED: readonly Column[] = ['timestamp', 'pid', 'tid', 'source', 'op'];

/** Repeated short texts of a column as small numbers, without making a string for each row. */
export class TextIds {
  readonly texts: string[] = [''];
  readonly #ids = new Map<string, number>([['', 0]]);
  #last: Buffer = Buffer.alloc(0);
  #lastId = 0;

  /** Number of the text in a column; 0 for none. */
  idOf(row: RowView, column: number): number {
    if (row.holds(column, this.#last)) return this.#lastId;
    if (row.kind(column) !== 'text') return 0;
    const bytes = row.bytesOf(column);
    const text = row.text(column);
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.texts.length;
      this.texts.push(text);
      this.#ids.set(text, id);
    }
    this.#last = Buffer.from(bytes);
    this.#lastId = id;
    return id;
  }
}

/**
 * Reads rows of the old agent's `events` table. The fields are those of the row last read; 64-bit values are two
 * words, times those of the start and the duration of what happened (operations.ts, TimeMeaning).
 */
export class EventRow {
  readonly nodes = new TextIds();
  readonly comms = new TextIds();
  startLow = 0;
  startHigh = 0;
  durationLow = 0;
  durationHigh = 0;
  isInstant = false;
  pid = 0;
  tid = 0;
  source = 0;
  op = 0;
  gpuId = 0;
  arg0Low = 0;
  arg0High = 0;
  arg1Low = 0;
  arg1High = 0;
  returnLow = 0;
  returnHigh = 0;
  stackLow = 0;
  stackHigh = 0;
  rowidLow = 0;
  rowidHigh = 0;
  /** Of `nodes` and `comms`. */
  node = 0;
  comm = 0;
  cgroup = 0;
  hasInlineStack = false;
  readonly #at: Readonly<Record<Column, number>>;
  readonly #needed: readonly number[];

  constructor(table: SqliteTable) {
    const names = table.columns.map(({ name }) => name.toLowerCase());
    this.#at = Object.fromEntries(COLUMNS.map((name) => [name, names.indexOf(name)])) as Record<
      Column,
      number
    >;
    this.#needed = NEEDED.map((name) => this.#at[name]);
  }

  /** Columns every events table has had that this one lacks; with any, it is none of the old agent's. */
  get missing(): readonly string[] {
    return NEEDED.filter((name) => this.#at[name] < 0);
  }

  /** Reads a row. Returns why it cannot be converted, or null. */
  read(row: RowView): string | null {
    const at = this.#at;
    for (let index = 0; index < NEEDED.length; index++) {
      if (!row.isInteger(this.#needed[index] as number)) return `${NEEDED[index]} is not a number`;
    }
    this.source = row.integer(at.source);
    this.op = row.integer(at.op);
    if (this.source < 0 || this.source > 0xffff || this.op < 0 || this.op > 0xffff) {
      return 'source or op is out of range';
    }
    row.read64(at.duration);
    this.durationLow = row.low;
    this.durationHigh = row.high;
    row.read64(at.timestamp);
    this.startLow = row.low;
    this.startHigh = row.high;
    if (this.startHigh >= LATEST_HIGH) return 'timestamp is out of range';
    // A negative duration, or one of more than 2^52 ns (52 days), was not measured.
    this.isInstant = this.durationHigh >= 0x10_0000;
    const { time } = operationOf(this.source, this.op);
    if (time === 'instant') this.isInstant = true;
    else if (time === 'end' && !this.isInstant) this.#goBackToStart();
    this.pid = row.integer(at.pid) | 0;
    this.tid = row.integer(at.tid) | 0;
    this.gpuId = row.integer(at.gpu_id);
    row.read64(at.arg0);
    this.arg0Low = row.low;
    this.arg0High = row.high;
    row.read64(at.arg1);
    this.arg1Low = row.low;
    this.arg1High = row.high;
    row.read64(at.ret_code);
    this.returnLow = row.low;
    this.returnHigh = row.high;
    row.read64(at.stack_hash);
    this.stackLow = row.low;
    this.stackHigh = row.high;
    this.cgroup = row.integer(at.cgroup_id);
    this.node = this.nodes.idOf(row, at.node);
    row.readRowid();
    this.rowidLow = row.low;
    this.rowidHigh = row.high;
    return null;
  }

  /** Reads what only the survey needs. */
  readIdentity(row: RowView): void {
    this.comm = this.comms.idOf(row, this.#at.comm);
    this.hasInlineStack =
      row.kind(this.#at.stack_ips) === 'text' && row.bytesOf(this.#at.stack_ips).length > 0;
  }

  /** Rank columns, NULL where the row has none. */
  ranks(row: RowView): { rank: number | null; local_rank: number | null; world_size: number | null } {
    const value = (column: number): number | null =>
      row.kind(column) === 'integer' ? row.integer(column) | 0 : null;
    return {
      rank: value(this.#at.rank),
      local_rank: value(this.#at.local_rank),
      world_size: value(this.#at.world_size),
    };
  }

  /** Start in ns since 1970 as a number, exact to about 256 ns: for ordering only. */
  get start(): number {
    return this.startHigh * TWO_32 + this.startLow;
  }

  get startNs(): bigint {
    return (BigInt(this.startHigh) << 32n) | BigInt(this.startLow);
  }

  #goBackToStart(): void {
    const borrow = this.startLow < this.durationLow ? 1 : 0;
    const high = this.startHigh - this.durationHigh - borrow;
    // An interval that began before 1970 was not measured.
    if (high < 0) {
      this.isInstant = true;
      return;
    }
    this.startLow = (this.startLow - this.durationLow) >>> 0;
    this.startHigh = high;
  }
}
