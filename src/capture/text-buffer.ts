import { CHUNK_ROWS, type ColumnBytes } from './chunk-appender.js';

/** Texts of one VARCHAR column for one chunk; rows that are not set are NULL. */
export class TextBuffer implements ColumnBytes {
  readonly width = 0;
  readonly data = new ArrayBuffer(0);
  readonly validity = new ArrayBuffer(CHUNK_ROWS / 8);
  readonly texts: string[] = [];
  readonly #valid = new Uint32Array(this.validity);

  set(row: number, text: string): void {
    this.texts[row] = text;
    const word = row >>> 5;
    this.#valid[word] = (this.#valid[word] as number) | (1 << (row & 31));
  }

  clear(): void {
    this.texts.length = 0;
    this.#valid.fill(0);
  }
}
