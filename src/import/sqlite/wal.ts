import { readSync } from 'node:fs';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC_LITTLE = 0x377f0682;
const MAGIC_BIG = 0x377f0683;

/** Where the newest committed pages of a write-ahead log are. */
export interface WalIndex {
  /** Byte offset in the log of each page's newest committed version. */
  pages: ReadonlyMap<number, number>;
  /** Pages of the database after the last commit; 0 when nothing is committed. */
  pageCount: number;
}

/**
 * Reads the frames of a write-ahead log up to its last commit, as SQLite does when it recovers: frames of an earlier
 * round (other salts) or with a wrong checksum end it (sqlite.org, "WAL-mode File Format").
 */
export function indexWal(file: number, bytes: number, pageSize: number): WalIndex {
  const none: WalIndex = { pages: new Map(), pageCount: 0 };
  if (bytes < HEADER_BYTES + FRAME_HEADER_BYTES + pageSize) return none;
  const header = Buffer.alloc(HEADER_BYTES);
  readSync(file, header, 0, HEADER_BYTES, 0);
  const magic = header.readUInt32BE(0);
  if ((magic !== MAGIC_LITTLE && magic !== MAGIC_BIG) || header.readUInt32BE(8) !== pageSize) return none;
  const sum = new Checksum(magic === MAGIC_LITTLE);
  sum.add(header, 0, 24);
  if (!sum.is(header, 24)) return none;

  const frame = Buffer.alloc(FRAME_HEADER_BYTES + pageSize);
  const committed = new Map<number, number>();
  const pending = new Map<number, number>();
  let pageCount = 0;
  for (let at = HEADER_BYTES; at + frame.length <= bytes; at += frame.length) {
    if (readSync(file, frame, 0, frame.length, at) < frame.length) break;
    if (frame.compare(header, 16, 24, 8, 16) !== 0) break;
    sum.add(frame, 0, 8);
    sum.add(frame, FRAME_HEADER_BYTES, frame.length);
    if (!sum.is(frame, 16)) break;
    pending.set(frame.readUInt32BE(0), at + FRAME_HEADER_BYTES);
    const size = frame.readUInt32BE(4);
    if (size === 0) continue;
    pageCount = size;
    for (const [page, offset] of pending) committed.set(page, offset);
    pending.clear();
  }
  return { pages: committed, pageCount };
}

/** The running checksum of a write-ahead log. */
class Checksum {
  readonly #isLittle: boolean;
  #first = 0;
  #second = 0;

  constructor(isLittle: boolean) {
    this.#isLittle = isLittle;
  }

  add(bytes: Buffer, from: number, to: number): void {
    let first = this.#first;
    let second = this.#second;
    for (let at = from; at < to; at += 8) {
      const even = this.#isLittle ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
      const odd = this.#isLittle ? bytes.readUInt32LE(at + 4) : bytes.readUInt32BE(at + 4);
      first = (first + even + second) >>> 0;
      second = (second + odd + first) >>> 0;
    }
    this.#first = first;
    this.#second = second;
  }

  is(bytes: Buffer, at: number): boolean {
    return bytes.readUInt32BE(at) === this.#first && bytes.readUInt32BE(at + 4) === this.#second;
  }
}
