import { CHUNK_ROWS, type ColumnBytes } from './chunk-appender.js';

/** Bytes per value of the DuckDB types event columns may have; ENUMs by their number of names. */
export function columnWidth(type: string, names: readonly string[] | undefined): number {
  if (names !== undefined) return names.length < 256 ? 1 : names.length < 65536 ? 2 : 4;
  switch (type) {
    case 'BOOLEAN':
    case 'TINYINT':
    case 'UTINYINT':
      return 1;
    case 'SMALLINT':
    case 'USMALLINT':
      return 2;
    case 'INTEGER':
    case 'UINTEGER':
      return 4;
    case 'BIGINT':
    case 'UBIGINT':
    case 'TIMESTAMP_NS':
      return 8;
    default:
      throw new Error(`event columns cannot have the type ${type}`);
  }
}

/** Values of one column for one chunk, filled row by row. */
export class ColumnBuffer implements ColumnBytes {
  readonly width: number;
  readonly data: ArrayBuffer;
  readonly validity: ArrayBuffer | null;
  /** The values: one element per row, or two 32-bit words, low first, in an 8-byte column. */
  readonly values: Uint8Array | Uint16Array | Uint32Array;
  /** The validity bits, 32 rows a word. */
  readonly #valid: Uint32Array | null;

  constructor(width: number, nullable: boolean) {
    this.width = width;
    this.data = new ArrayBuffer(CHUNK_ROWS * width);
    this.validity = nullable ? new ArrayBuffer(CHUNK_ROWS / 8) : null;
    this.values =
      width === 1
        ? new Uint8Array(this.data)
        : width === 2
          ? new Uint16Array(this.data)
          : new Uint32Array(this.data);
    this.#valid = this.validity === null ? null : new Uint32Array(this.validity);
  }

  /** Sets a value of up to 32 bits; in an 8-byte column the high word becomes 0. */
  set(row: number, value: number): void {
    if (this.width === 8) this.set64(row, value, 0);
    else {
      this.values[row] = value;
      this.markValid(row);
    }
  }

  /** Sets a 64-bit value given as two words; a narrower column takes the low bits. */
  set64(row: number, low: number, high: number): void {
    if (this.width === 8) {
      this.values[row * 2] = low;
      this.values[row * 2 + 1] = high;
    } else {
      this.values[row] = low;
    }
    this.markValid(row);
  }

  /** Every row is NULL until it is set. */
  clear(): void {
    this.#valid?.fill(0);
  }

  /** Makes a value that was written to `values` directly count; columns without NULLs need it not. */
  markValid(row: number): void {
    const valid = this.#valid;
    if (valid === null) return;
    const word = row >>> 5;
    valid[word] = (valid[word] as number) | (1 << (row & 31));
  }
}
