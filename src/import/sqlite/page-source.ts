import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { SqliteDamage, SqliteRefusal } from './damage.js';
import { indexWal } from './wal.js';

const MAGIC = 'SQLite format 3\0';
const HEADER_BYTES = 100;
/** Pages are read from the file in blocks of this size ... */
const BLOCK_BYTES = 1 << 18;
/** ... of which this many are kept. */
const BLOCKS = 32;

export type TextEncoding = 'utf8' | 'utf16le' | 'utf16be';

/** A file at the moment it was opened: enough to tell afterwards whether somebody wrote to it. */
interface Opened {
  path: string;
  file: number;
  bytes: number;
  stamp: string;
}

/**
 * The pages of an SQLite database as of its last commit, those in a `-wal` file beside it included. Files are only
 * ever opened for reading: nothing is locked, recovered or checkpointed, no `-shm` file is needed or made.
 */
export class PageSource {
  readonly pageSize: number;
  /** Bytes of a page that hold content; the rest is reserved for extensions. */
  readonly usable: number;
  readonly pageCount: number;
  readonly encoding: TextEncoding;
  /** `PRAGMA user_version`. */
  readonly userVersion: number;
  /** Pages taken from the write-ahead log. */
  readonly walPages: number;
  readonly #database: Opened;
  readonly #wal: Opened | undefined;
  readonly #inWal: ReadonlyMap<number, number>;
  readonly #blocks = new Map<number, Buffer>();

  private constructor(database: Opened, wal: Opened | undefined) {
    this.#database = database;
    this.#wal = wal;
    const onDisk = Buffer.alloc(HEADER_BYTES);
    readSync(database.file, onDisk, 0, HEADER_BYTES, 0);
    this.pageSize = pageSizeOf(onDisk);
    const index =
      wal === undefined
        ? { pages: new Map<number, number>(), pageCount: 0 }
        : indexWal(wal.file, wal.bytes, this.pageSize);
    this.#inWal = index.pages;
    this.walPages = index.pages.size;
    const filePages = Math.ceil(database.bytes / this.pageSize);
    const header = index.pages.has(1) ? this.#fromWal(index.pages.get(1) as number) : onDisk;
    this.usable = this.pageSize - (header[20] as number);
    if (this.usable < 480) throw new SqliteDamage('its header reserves nearly the whole page', 1);
    // The size in the header counts only when the writer was new enough to keep it.
    const inHeader = header.readUInt32BE(28);
    const isKept = inHeader > 0 && header.readUInt32BE(24) === header.readUInt32BE(92);
    const claimed = index.pageCount > 0 ? index.pageCount : isKept ? inHeader : filePages;
    // A damaged header can claim billions of pages. What is neither in the file nor in the log is not there.
    this.pageCount = [...index.pages.keys()].reduce(
      (most, page) => Math.max(most, Math.min(page, claimed)),
      Math.min(claimed, filePages),
    );
    this.encoding = encodingOf(header.readUInt32BE(56));
    this.userVersion = header.readInt32BE(60);
  }

  /**
   * Opens a database. Throws SqliteRefusal when it is no SQLite database or, unless `ignoreJournal`, a rollback journal
   * shows that a transaction was cut off in it; SqliteDamage when its header makes no sense.
   */
  static open(path: string, ignoreJournal: boolean): PageSource {
    const database = openForReading(path);
    let wal: Opened | undefined;
    try {
      const head = Buffer.alloc(MAGIC.length);
      readSync(database.file, head, 0, head.length, 0);
      if (head.toString('latin1') !== MAGIC) {
        throw new SqliteRefusal('not-sqlite', 'it does not begin as an SQLite database');
      }
      if (database.bytes < HEADER_BYTES) throw new SqliteDamage('it ends within its header');
      if (!ignoreJournal && isHotJournal(`${path}-journal`)) {
        throw new SqliteRefusal('hot-journal', `${path}-journal holds a transaction that was cut off`);
      }
      if (statSync(`${path}-wal`, { throwIfNoEntry: false })?.isFile()) wal = openForReading(`${path}-wal`);
      return new PageSource(database, wal);
    } catch (error) {
      closeSync(database.file);
      if (wal !== undefined) closeSync(wal.file);
      throw error;
    }
  }

  /** Content of a page, numbered from 1; valid for as long as it is referred to. Throws SqliteDamage when it is not there. */
  page(number: number): Buffer {
    if (number < 1 || number > this.pageCount) {
      throw new SqliteDamage(`there is no such page; the file has ${this.pageCount}`, number);
    }
    const inWal = this.#inWal.get(number);
    if (inWal !== undefined) return this.#fromWal(inWal);
    const offset = (number - 1) * this.pageSize;
    const blockNumber = Math.floor(offset / BLOCK_BYTES);
    const block = this.#blocks.get(blockNumber) ?? this.#readBlock(blockNumber);
    const from = offset - blockNumber * BLOCK_BYTES;
    if (from + this.pageSize > block.length) throw new SqliteDamage('the file ends before it', number);
    return block.subarray(from, from + this.pageSize);
  }

  /** Throws SqliteRefusal when a file was written to since it was opened: pages would then be of different commits. */
  assertUnchanged(): void {
    for (const opened of [this.#database, this.#wal]) {
      if (opened !== undefined && stampOf(opened.file) !== opened.stamp) {
        throw new SqliteRefusal('changed', `${opened.path} was written to while it was read`);
      }
    }
    const walNow = statSync(`${this.#database.path}-wal`, { throwIfNoEntry: false });
    if (this.#wal === undefined && walNow !== undefined && walNow.size > 0) {
      throw new SqliteRefusal('changed', `${this.#database.path}-wal appeared while the file was read`);
    }
  }

  close(): void {
    closeSync(this.#database.file);
    if (this.#wal !== undefined) closeSync(this.#wal.file);
  }

  #readBlock(number: number): Buffer {
    const buffer = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    const bytes = readSync(this.#database.file, buffer, 0, BLOCK_BYTES, number * BLOCK_BYTES);
    const block = buffer.subarray(0, bytes);
    if (this.#blocks.size >= BLOCKS) this.#blocks.delete(this.#blocks.keys().next().value as number);
    this.#blocks.set(number, block);
    return block;
  }

  #fromWal(offset: number): Buffer {
    const page = Buffer.allocUnsafeSlow(this.pageSize);
    readSync((this.#wal as Opened).file, page, 0, this.pageSize, offset);
    return page;
  }
}

function openForReading(path: string): Opened {
  const file = openSync(path, 'r');
  return { path, file, bytes: fstatSync(file).size, stamp: stampOf(file) };
}

function stampOf(file: number): string {
  const { size, mtimeNs, ctimeNs } = fstatSync(file, { bigint: true });
  return `${size} ${mtimeNs} ${ctimeNs}`;
}

function pageSizeOf(header: Buffer): number {
  const stored = header.readUInt16BE(16);
  const size = stored === 1 ? 65536 : stored;
  if (size < 512 || (size & (size - 1)) !== 0)
    throw new SqliteDamage(`its header names a page size of ${size}`, 1);
  return size;
}

function encodingOf(code: number): TextEncoding {
  return code === 2 ? 'utf16le' : code === 3 ? 'utf16be' : 'utf8';
}

/** A journal whose header was not wiped belongs to a transaction that has to be rolled back. */
function isHotJournal(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isFile() || stat.size < 28) return false;
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(8);
    readSync(file, head, 0, 8, 0);
    return head.toString('hex') === 'd9d505f920a163d7';
  } finally {
    closeSync(file);
  }
}
