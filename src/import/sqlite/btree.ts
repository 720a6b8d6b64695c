import { SqliteDamage } from './damage.js';
import type { PageSource } from './page-source.js';
import type { RowView } from './record.js';

const INTERIOR = 0x05;
export const LEAF = 0x0d;
/** A tree with more levels than this is none: 20 levels of the smallest pages hold more rows than a file can. */
const MAX_DEPTH = 20;
/** The largest row SQLite writes by default is 1 GB (SQLITE_MAX_LENGTH). */
const MAX_PAYLOAD = 1_000_000_000;

/** What to do with rows and with what cannot be read. */
export interface Walk {
  source: PageSource;
  row: RowView;
  /** Pages met so far, one bit each: a page is part of one tree at most. */
  seen: PageSet;
  onRow: (row: RowView) => void;
  /** Called for a page or row that cannot be read; the walk goes on after it. It may throw to end the walk. */
  onDamage: (damage: SqliteDamage) => void;
}

/** A set of page numbers. */
export class PageSet {
  readonly #bits: Uint8Array;

  constructor(pageCount: number) {
    this.#bits = new Uint8Array((pageCount >>> 3) + 1);
  }

  has(page: number): boolean {
    return ((this.#bits[page >>> 3] as number) & (1 << (page & 7))) !== 0;
  }

  add(page: number): void {
    const at = page >>> 3;
    this.#bits[at] = (this.#bits[at] as number) | (1 << (page & 7));
  }
}

/** Visits every row of the table with the given root page, in rowid order; yields after each page. */
export function* walkTable(walk: Walk, root: number): Generator<void> {
  const keys = new RowidOrder();
  // Children are taken off the end: the first comes last.
  const pages = [{ page: root, depth: 0 }];
  for (let next = pages.pop(); next !== undefined; next = pages.pop()) {
    const { page, depth } = next;
    try {
      if (depth > MAX_DEPTH) throw new SqliteDamage('the tree is too deep', page);
      const content = readPage(walk, page);
      const type = content[page === 1 ? 100 : 0];
      if (type === LEAF) visitLeaf(walk, page, content, keys);
      else if (type === INTERIOR) {
        const below = children(walk.source, page, content);
        for (let index = below.length - 1; index >= 0; index--) {
          pages.push({ page: below[index] as number, depth: depth + 1 });
        }
      } else throw new SqliteDamage('it is not a page of a table', page);
    } catch (error) {
      if (!(error instanceof SqliteDamage)) throw error;
      walk.onDamage(error);
    }
    yield;
  }
}

/** Visits the rows of one leaf page by itself. */
export function walkLeaf(walk: Walk, page: number): void {
  try {
    visitLeaf(walk, page, readPage(walk, page), new RowidOrder());
  } catch (error) {
    if (!(error instanceof SqliteDamage)) throw error;
    walk.onDamage(error);
  }
}

function readPage(walk: Walk, page: number): Buffer {
  const content = walk.source.page(page);
  if (walk.seen.has(page)) throw new SqliteDamage('it is referred to twice', page);
  walk.seen.add(page);
  return content;
}

/** Child pages of an interior page, in key order. */
function children(source: PageSource, page: number, content: Buffer): number[] {
  const header = page === 1 ? 100 : 0;
  const pages = cellOffsets(source, page, content, header, 12).map((at) => content.readUInt32BE(at));
  pages.push(content.readUInt32BE(header + 8));
  return pages;
}

/** Where the cells of a page begin. */
function cellOffsets(
  source: PageSource,
  page: number,
  content: Buffer,
  header: number,
  headerBytes: number,
): number[] {
  const count = content.readUInt16BE(header + 3);
  const first = header + headerBytes;
  if (first + count * 2 > source.usable) throw new SqliteDamage(`it claims ${count} cells`, page);
  const offsets: number[] = [];
  for (let cell = 0; cell < count; cell++) {
    const at = content.readUInt16BE(first + cell * 2);
    if (at < first + count * 2 || at + 4 > source.usable)
      throw new SqliteDamage('a cell lies outside of it', page);
    offsets.push(at);
  }
  return offsets;
}

/** Rowids of a table rise; one that does not is in the wrong place. */
class RowidOrder {
  #low = 0;
  #high = 0;
  #any = false;

  accept(low: number, high: number): boolean {
    const isAfter = !this.#any || (high | 0) > (this.#high | 0) || (high === this.#high && low > this.#low);
    if (!isAfter) return false;
    this.#any = true;
    this.#low = low;
    this.#high = high;
    return true;
  }
}

function visitLeaf(walk: Walk, page: number, content: Buffer, keys: RowidOrder): void {
  const { source, row } = walk;
  const header = page === 1 ? 100 : 0;
  for (const offset of cellOffsets(source, page, content, header, 8)) {
    try {
      readCell(walk, content, offset, keys);
    } catch (error) {
      if (!(error instanceof SqliteDamage)) throw error;
      walk.onDamage(error.page === 0 ? new SqliteDamage(error.message, page) : error);
      continue;
    }
    walk.onRow(row);
  }
}

/** Decodes the row of a leaf cell: payload length, rowid, payload, the rest of it on overflow pages. */
function readCell(walk: Walk, content: Buffer, offset: number, keys: RowidOrder): void {
  const { source, row } = walk;
  const { usable } = source;
  let at = offset;
  let length = 0;
  for (let read = 0; ; read++) {
    const byte = content[at++];
    if (byte === undefined || read === 8) throw new SqliteDamage('a cell has an impossible length');
    length = length * 128 + (byte & 0x7f);
    if (byte < 0x80) break;
  }
  // The rowid, as two words: nine bytes of seven bits, the last of eight.
  let low = 0;
  let high = 0;
  for (let read = 0; ; read++) {
    const byte = content[at++];
    if (byte === undefined) throw new SqliteDamage('a cell ends within its rowid');
    const bits = read === 8 ? 8 : 7;
    high = ((high << bits) | (low >>> (32 - bits))) >>> 0;
    low = ((low << bits) | (read === 8 ? byte : byte & 0x7f)) >>> 0;
    if (byte < 0x80 || read === 8) break;
  }
  const most = usable - 35;
  if (length <= most) {
    if (at + length > usable) throw new SqliteDamage('a cell reaches beyond its page');
    row.decode(content, at, length, low, high);
  } else {
    if (length > MAX_PAYLOAD || length > source.pageCount * usable) {
      throw new SqliteDamage('a cell has an impossible length');
    }
    const least = Math.floor(((usable - 12) * 32) / 255) - 23;
    const wanted = least + ((length - least) % (usable - 4));
    const local = wanted <= most ? wanted : least;
    row.decode(gather(walk, content, at, local, length), 0, length, low, high);
  }
  if (!keys.accept(low, high)) throw new SqliteDamage('a row is out of order');
}

/** The payload of a cell that goes on on overflow pages. */
function gather(walk: Walk, content: Buffer, at: number, local: number, length: number): Buffer {
  const { source } = walk;
  if (at + local + 4 > source.usable) throw new SqliteDamage('a cell reaches beyond its page');
  const payload = Buffer.allocUnsafe(length);
  content.copy(payload, 0, at, at + local);
  let next = content.readUInt32BE(at + local);
  for (let filled = local; filled < length; ) {
    if (next < 2) throw new SqliteDamage('a row ends before its overflow pages do');
    const page = source.page(next);
    if (walk.seen.has(next)) throw new SqliteDamage('it is referred to twice', next);
    walk.seen.add(next);
    const bytes = Math.min(source.usable - 4, length - filled);
    page.copy(payload, filled, 4, 4 + bytes);
    filled += bytes;
    next = page.readUInt32BE(0);
  }
  return payload;
}
