import type { ByteSource } from './byte-source.js';
import { ElfError } from './elf-error.js';
import { u64 } from './elf-layout.js';

/** A symbol table and the strings its names are in. Offsets and sizes are bytes in the file. */
export interface SymbolTable {
  symbols: { offset: number; size: number };
  strings: { offset: number; size: number };
  /** `.gnu.version`: one u16 per symbol; only dynamic tables have it. */
  versions?: { offset: number; size: number };
}

/** One entry of a symbol table whose name was asked for. */
export interface SymbolEntry {
  name: string;
  /** STT_*: 2 function, 10 GNU indirect function. */
  type: number;
  local: boolean;
  /** Bound only by objects linked long ago (`name@OLD` behind a newer `name@@NEW`). */
  oldVersion: boolean;
  address: number;
  size: number;
}

const CHUNK = 1024 * 1024;
/** Bytes of a symbol (Elf64_Sym). */
export const SYMBOL_SIZE = 24;
export const STT_FUNC = 2;
export const STT_GNU_IFUNC = 10;
const AT = 0x40;
const VERSYM_HIDDEN = 0x8000;
/** More places than the names of any pack have in a real file; a bound on what a made-up table can cost. */
const MAX_MATCHES = 100_000;
const NONE: readonly Buffer[] = [];
/** No compiler makes a longer name that could be read. */
export const MAX_NAME = 4096;

/** The symbols of a table, piece by piece: `bytes` holds those from number `first` on. */
export function* symbolPieces(
  source: ByteSource,
  { symbols }: SymbolTable,
): Generator<{ first: number; bytes: Buffer }> {
  const perPiece = Math.floor(CHUNK / SYMBOL_SIZE);
  const count = Math.floor(symbols.size / SYMBOL_SIZE);
  for (let first = 0; first < count; first += perPiece) {
    const length = Math.min(perPiece, count - first) * SYMBOL_SIZE;
    yield { first, bytes: source.read(symbols.offset + first * SYMBOL_SIZE, length, 'the symbol table') };
  }
}

/**
 * All defined entries of `table` whose name, without `@VERSION`, is one of `names`. Memory is bounded by
 * a chunk plus the matches: libtorch_cuda's 226 500 names (45 MB) never become strings.
 */
export function findEntries(
  source: ByteSource,
  table: SymbolTable,
  names: ReadonlySet<string>,
): SymbolEntry[] {
  const offsets = nameOffsets(source, table.strings, names);
  if (offsets.size === 0) return [];
  const entries: SymbolEntry[] = [];
  for (const { first, bytes } of symbolPieces(source, table)) {
    for (let at = 0; at < bytes.length; at += SYMBOL_SIZE) {
      const hit = offsets.get(bytes.readUInt32LE(at));
      if (hit === undefined) continue;
      const address = u64(bytes, at + 8);
      const section = bytes.readUInt16LE(at + 6);
      if (section === 0 || address === null || address === 0) continue;
      const info = bytes[at + 4] ?? 0;
      checkMatches(source, entries.length);
      entries.push({
        name: hit.name,
        type: info & 0xf,
        local: info >> 4 === 0,
        oldVersion: hit.oldVersion || hiddenVersion(source, table, first + at / SYMBOL_SIZE),
        address,
        size: u64(bytes, at + 16) ?? 0,
      });
    }
  }
  return entries;
}

/**
 * Names that stand in a piece of the file and end with NUL there: offset in the piece -> name. A name may be the
 * end of a longer string.
 */
export function findStrings(
  source: ByteSource,
  piece: { offset: number; size: number },
  names: ReadonlySet<string>,
): Map<number, string> {
  const hits = nameOffsets(source, piece, names);
  return new Map([...hits].filter(([, hit]) => !hit.versioned).map(([at, { name }]) => [at, name]));
}

/** Longest string table that is read whole: libtorch_cuda's has 45 MB. */
const MAX_STRINGS = 512 * 1024 * 1024;

/** Names of the defined functions of `table` that begin with `_Z`, without `@VERSION`. */
export function cppFunctionNames(source: ByteSource, table: SymbolTable): string[] {
  if (table.strings.size > MAX_STRINGS) {
    throw new ElfError('elf-malformed', source.path, 'the string table is too large');
  }
  const strings = source.read(table.strings.offset, table.strings.size, 'the string table');
  const names: string[] = [];
  for (const { bytes } of symbolPieces(source, table)) {
    for (let entry = 0; entry < bytes.length; entry += SYMBOL_SIZE) {
      const name = bytes.readUInt32LE(entry);
      const isFunction = ((bytes[entry + 4] ?? 0) & 0xf) === STT_FUNC && bytes.readUInt16LE(entry + 6) !== 0;
      if (!isFunction || strings[name] !== 0x5f || strings[name + 1] !== 0x5a) continue;
      const end = strings.indexOf(0, name);
      const text = strings.toString(
        'latin1',
        name,
        Math.min(end < 0 ? strings.length : end, name + MAX_NAME),
      );
      names.push(text.replace(/@.*/, ''));
    }
  }
  return names;
}

function checkMatches(source: ByteSource, count: number): void {
  if (count >= MAX_MATCHES)
    throw new ElfError('elf-malformed', source.path, 'a symbol table repeats one name endlessly');
}

function hiddenVersion(source: ByteSource, table: SymbolTable, index: number): boolean {
  if (table.versions === undefined || (index + 1) * 2 > table.versions.size) return false;
  const version = source.read(table.versions.offset + index * 2, 2, 'the symbol versions').readUInt16LE(0);
  return (version & VERSYM_HIDDEN) !== 0;
}

interface NameHit {
  name: string;
  /** `@` and not NUL follows. */
  versioned: boolean;
  oldVersion: boolean;
}

/** Names to look for, by their last four bytes; shorter names are compared at every string's end. */
interface WantedNames {
  byTail: Map<number, Buffer[]>;
  short: Buffer[];
  longest: number;
}

function indexNames(names: ReadonlySet<string>): WantedNames {
  const wanted: WantedNames = { byTail: new Map(), short: [], longest: 0 };
  for (const name of names) {
    const bytes = Buffer.from(name, 'utf8');
    if (bytes.length === 0) continue;
    wanted.longest = Math.max(wanted.longest, bytes.length);
    if (bytes.length < 4) {
      wanted.short.push(bytes);
      continue;
    }
    const tail = bytes.readUInt32LE(bytes.length - 4);
    const same = wanted.byTail.get(tail);
    if (same === undefined) wanted.byTail.set(tail, [bytes]);
    else same.push(bytes);
  }
  return wanted;
}

/**
 * Offsets in a string table at which a wanted name stands, found from the end of each string: linkers
 * let `cudaMalloc` point into the tail of a longer name, so a string's start is not the only place.
 */
function nameOffsets(
  source: ByteSource,
  strings: { offset: number; size: number },
  names: ReadonlySet<string>,
): Map<number, NameHit> {
  const hits = new Map<number, NameHit>();
  const wanted = indexNames(names);
  if (wanted.longest === 0) return hits;

  let bytes = Buffer.alloc(0);
  for (let position = 0; position < strings.size; position += CHUNK) {
    const fresh = source.read(
      strings.offset + position,
      Math.min(CHUNK, strings.size - position),
      'the string table',
    );
    // The last byte of a chunk is looked at with the next one: `@@` may straddle the border.
    const carried = bytes.subarray(Math.max(0, bytes.length - wanted.longest - 1));
    const base = position - carried.length;
    bytes = Buffer.concat([carried, fresh]);
    const last = position + CHUNK >= strings.size ? bytes.length : bytes.length - 1;
    for (let end = Math.max(0, carried.length - 1); end < last; end++) {
      const byte = bytes[end];
      if (byte !== 0 && byte !== AT) continue;
      const candidates = end < 4 ? NONE : (wanted.byTail.get(bytes.readUInt32LE(end - 4)) ?? NONE);
      for (const name of wanted.short.length === 0 ? candidates : [...candidates, ...wanted.short]) {
        const start = end - name.length;
        if (start < 0 || bytes.compare(name, 0, name.length, start, end) !== 0) continue;
        checkMatches(source, hits.size);
        hits.set(base + start, {
          name: name.toString('utf8'),
          versioned: byte === AT,
          oldVersion: byte === AT && bytes[end + 1] !== AT,
        });
      }
    }
  }
  return hits;
}
