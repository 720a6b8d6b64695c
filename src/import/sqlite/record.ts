import { SqliteDamage } from './damage.js';
import type { TextEncoding } from './page-source.js';

/** More columns than this has no table SQLite creates by default (SQLITE_MAX_COLUMN). */
const MAX_COLUMNS = 2000;
const TWO_32 = 2 ** 32;

export type ValueKind = 'null' | 'integer' | 'real' | 'text' | 'blob';

/**
 * One row of a table, decoded in place. The same object is used for every row: what is read from it has to be taken
 * before the next row comes. Columns are counted from 0 as CREATE TABLE lists them; those a row does not have
 * (they were added later) read as NULL.
 */
export class RowView {
  /** 64-bit integers are read as two words: the low and the high one of the last `read64`. */
  low = 0;
  high = 0;
  /** Columns stored in this row. */
  columns = 0;
  readonly #encoding: TextEncoding;
  readonly #types = new Float64Array(MAX_COLUMNS);
  readonly #offsets = new Float64Array(MAX_COLUMNS);
  #bytes: Buffer = Buffer.alloc(0);
  #rowidLow = 0;
  #rowidHigh = 0;
  /** Never -1, by which callers ask for a column that a table does not have. */
  #rowidColumn = -2;
  /** Where the varint read last ended. */
  #next = 0;

  constructor(encoding: TextEncoding) {
    this.#encoding = encoding;
  }

  /** Says which column is another name of the rowid (INTEGER PRIMARY KEY); -1: none. */
  useRowidAs(column: number): void {
    this.#rowidColumn = column < 0 ? -2 : column;
  }

  /** Decodes a record of `length` bytes at `start`. Throws SqliteDamage when it does not hold together. */
  decode(bytes: Buffer, start: number, length: number, rowidLow: number, rowidHigh: number): void {
    this.#bytes = bytes;
    this.#rowidLow = rowidLow;
    this.#rowidHigh = rowidHigh;
    const end = start + length;
    const headerLength = this.#varint(start, end);
    let at = this.#next;
    const headerEnd = start + headerLength;
    if (headerEnd > end || headerEnd < at) throw new SqliteDamage('a row has an impossible header');
    let body = headerEnd;
    let column = 0;
    while (at < headerEnd) {
      if (column === MAX_COLUMNS) throw new SqliteDamage('a row has too many columns');
      const first = bytes[at] as number;
      const type = first < 0x80 ? first : this.#varint(at, headerEnd);
      at = first < 0x80 ? at + 1 : this.#next;
      if (type === 10 || type === 11) throw new SqliteDamage('a row has a value of a reserved type');
      this.#types[column] = type;
      this.#offsets[column] = body;
      body += widthOf(type);
      column++;
    }
    if (body > end) throw new SqliteDamage('a row is longer than its record');
    this.columns = column;
  }

  kind(column: number): ValueKind {
    if (column === this.#rowidColumn) return 'integer';
    if (column < 0 || column >= this.columns) return 'null';
    const type = this.#types[column] as number;
    if (type === 0) return 'null';
    if (type === 7) return 'real';
    if (type < 12) return 'integer';
    return type % 2 === 0 ? 'blob' : 'text';
  }

  isInteger(column: number): boolean {
    if (column === this.#rowidColumn) return true;
    if (column < 0 || column >= this.columns) return false;
    const type = this.#types[column] as number;
    return type > 0 && type < 10 && type !== 7;
  }

  /** Whether a column holds exactly this text, given as stored; cheaper than reading it. */
  holds(column: number, text: Buffer): boolean {
    if (column < 0 || column >= this.columns) return false;
    if ((this.#types[column] as number) !== 13 + text.length * 2) return false;
    const at = this.#offsets[column] as number;
    for (let index = 0; index < text.length; index++)
      if (this.#bytes[at + index] !== text[index]) return false;
    return true;
  }

  /** Reads an integer into `low` and `high`; anything else reads as 0. */
  read64(column: number): void {
    if (column === this.#rowidColumn) {
      this.low = this.#rowidLow;
      this.high = this.#rowidHigh;
      return;
    }
    this.low = 0;
    this.high = 0;
    if (column < 0 || column >= this.columns) return;
    const bytes = this.#bytes;
    const at = this.#offsets[column] as number;
    const width = this.#types[column] as number;
    switch (width) {
      case 1:
        this.low = (((bytes[at] as number) << 24) >> 24) >>> 0;
        break;
      case 2:
        this.low = ((((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16)) >> 16) >>> 0;
        break;
      case 3:
        this.low =
          ((((bytes[at] as number) << 24) |
            ((bytes[at + 1] as number) << 16) |
            ((bytes[at + 2] as number) << 8)) >>
            8) >>>
          0;
        break;
      case 4:
        this.low = word(bytes, at);
        break;
      case 5:
        this.high = ((((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16)) >> 16) >>> 0;
        this.low = word(bytes, at + 2);
        return;
      case 6:
        this.high = word(bytes, at);
        this.low = word(bytes, at + 4);
        return;
      case 9:
        this.low = 1;
        return;
      default:
        return;
    }
    if (this.low >= 0x8000_0000) this.high = 0xffff_ffff;
  }

  /** An integer as a number (exact up to 2^53); 0 for anything else. */
  integer(column: number): number {
    this.read64(column);
    return (this.high | 0) * TWO_32 + this.low;
  }

  bigint(column: number): bigint {
    this.read64(column);
    return (BigInt(this.high | 0) << 32n) | BigInt(this.low);
  }

  /** A number as it is; NaN for anything else. */
  real(column: number): number {
    const kind = this.kind(column);
    if (kind === 'integer') return this.integer(column);
    return kind === 'real' ? this.#bytes.readDoubleBE(this.#offsets[column] as number) : Number.NaN;
  }

  /** Text; anything else is the empty string. */
  text(column: number): string {
    if (this.kind(column) !== 'text') return '';
    const bytes = this.bytesOf(column);
    if (this.#encoding === 'utf8') return bytes.toString('utf8');
    const even = bytes.subarray(0, bytes.length & ~1);
    return (this.#encoding === 'utf16be' ? Buffer.from(even).swap16() : even).toString('utf16le');
  }

  /** The stored bytes of a text or blob. */
  bytesOf(column: number): Buffer {
    if (column < 0 || column >= this.columns) return this.#bytes.subarray(0, 0);
    const at = this.#offsets[column] as number;
    return this.#bytes.subarray(at, at + widthOf(this.#types[column] as number));
  }

  /** The rowid into `low` and `high`. */
  readRowid(): void {
    this.low = this.#rowidLow;
    this.high = this.#rowidHigh;
  }

  #varint(at: number, end: number): number {
    let value = 0;
    for (let read = 0; read < 8; read++) {
      if (at + read >= end) throw new SqliteDamage('a row ends within its header');
      const byte = this.#bytes[at + read] as number;
      value = value * 128 + (byte & 0x7f);
      if (byte < 0x80) {
        this.#next = at + read + 1;
        return value;
      }
    }
    throw new SqliteDamage('a row has an impossible header');
  }
}

function word(bytes: Buffer, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** Bytes of a value by its serial type. */
function widthOf(type: number): number {
  if (type < 5) return type;
  if (type === 5) return 6;
  if (type < 8) return 8;
  return type < 12 ? 0 : Math.floor((type - 12) / 2);
}
