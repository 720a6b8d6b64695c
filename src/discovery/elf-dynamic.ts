import type { ByteSource } from './byte-source.js';
import { ElfError } from './elf-error.js';
import { cString, type ElfLayout, PT_DYNAMIC, PT_LOAD, type Segment, u64 } from './elf-layout.js';

/** What the dynamic section says about a file and the libraries it needs. */
export interface DynamicInfo {
  soname: string | null;
  needed: string[];
  /** DT_RPATH, split at `:`; the loader ignores it when DT_RUNPATH is there. */
  rpath: string[];
  runpath: string[];
  /** Virtual addresses of tables, for files whose section headers were removed. */
  tables: {
    symbols: number | null;
    hash: number | null;
    gnuHash: number | null;
    strings: number;
    stringsSize: number;
  };
}

const DT = {
  NEEDED: 1,
  HASH: 4,
  STRTAB: 5,
  SYMTAB: 6,
  STRSZ: 10,
  SONAME: 14,
  RPATH: 15,
  RUNPATH: 29,
  GNU_HASH: 0x6ffffef5,
};
const MAX_DYNAMIC = 1024 * 1024;
/** PATH_MAX: the loader can use no longer name; a search path is a list of such. */
const MAX_NAME = 4096;
const MAX_SEARCH_PATH = 64 * 1024;
const MAX_NEEDED = 1024;

/** The loadable segment that holds the file bytes of `vaddr`, or undefined. */
export function segmentAt(layout: ElfLayout, vaddr: number): Segment | undefined {
  return layout.segments.find((s) => s.type === PT_LOAD && vaddr >= s.vaddr && vaddr < s.vaddr + s.fileSize);
}

/** Reads PT_DYNAMIC; null for a static executable. Throws ElfError `elf-malformed`. */
export function readDynamic(source: ByteSource, layout: ElfLayout): DynamicInfo | null {
  const segment = layout.segments.find((s) => s.type === PT_DYNAMIC);
  if (segment === undefined || segment.fileSize === 0) return null;
  if (segment.fileSize > MAX_DYNAMIC)
    throw new ElfError('elf-malformed', source.path, 'the dynamic section is too large');
  const bytes = source.read(segment.offset, segment.fileSize, 'the dynamic section');
  const values = new Map<number, number[]>();
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    const tag = u64(bytes, at);
    if (tag === 0) break;
    const value = u64(bytes, at + 8);
    if (tag === null || value === null) continue;
    const same = values.get(tag);
    if (same === undefined) values.set(tag, [value]);
    else if (same.length < MAX_NEEDED) same.push(value);
  }
  const first = (tag: number) => values.get(tag)?.[0] ?? null;
  const strings = first(DT.STRTAB) ?? 0;
  const stringsSize = first(DT.STRSZ) ?? 0;

  const text = (offset: number, limit: number): string => {
    const home = segmentAt(layout, strings);
    if (home === undefined || offset >= stringsSize) {
      throw new ElfError('elf-malformed', source.path, 'a dynamic string lies outside the string table');
    }
    const at = home.offset + (strings - home.vaddr) + offset;
    const length = Math.min(limit, stringsSize - offset, source.size - at);
    return cString(source.read(at, length, 'a dynamic string'), 0);
  };
  const names = (tag: number) => (values.get(tag) ?? []).map((offset) => text(offset, MAX_NAME));
  const paths = (tag: number) =>
    (values.get(tag) ?? []).slice(0, 1).flatMap((offset) => splitPaths(text(offset, MAX_SEARCH_PATH)));
  return {
    soname: names(DT.SONAME)[0] ?? null,
    needed: names(DT.NEEDED),
    rpath: paths(DT.RPATH),
    runpath: paths(DT.RUNPATH),
    tables: {
      symbols: first(DT.SYMTAB),
      hash: first(DT.HASH),
      gnuHash: first(DT.GNU_HASH),
      strings,
      stringsSize,
    },
  };
}

function splitPaths(paths: string): string[] {
  return paths.split(':').filter((path) => path !== '');
}
