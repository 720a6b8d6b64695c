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
/** PATH_MAX: no name or search path the loader can use is longer per element; whole lists stay far below this. */
const MAX_STRING = 64 * 1024;

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
    values.set(tag, [...(values.get(tag) ?? []), value]);
  }
  const first = (tag: number) => values.get(tag)?.[0] ?? null;
  const strings = first(DT.STRTAB) ?? 0;
  const stringsSize = first(DT.STRSZ) ?? 0;

  const text = (offset: number): string => {
    const home = segmentAt(layout, strings);
    if (home === undefined || offset >= stringsSize) {
      throw new ElfError('elf-malformed', source.path, 'a dynamic string lies outside the string table');
    }
    const at = home.offset + (strings - home.vaddr) + offset;
    return cString(
      source.read(at, Math.min(MAX_STRING, stringsSize - offset, source.size - at), 'a dynamic string'),
      0,
    );
  };
  const list = (tag: number) => (values.get(tag) ?? []).map(text);
  return {
    soname: list(DT.SONAME)[0] ?? null,
    needed: list(DT.NEEDED),
    rpath: list(DT.RPATH).flatMap(splitPaths),
    runpath: list(DT.RUNPATH).flatMap(splitPaths),
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
