import type { Arch } from '../packs/model.js';
import { ByteSource } from './byte-source.js';
import { type DynamicInfo, readDynamic, segmentAt } from './elf-dynamic.js';
import { ElfError } from './elf-error.js';
import { type FunctionTable, functionAt, readFunctions } from './elf-functions.js';
import {
  cString,
  type ElfLayout,
  PF_X,
  PT_INTERP,
  PT_LOAD,
  readLayout,
  type Section,
  SHT_DYNSYM,
  SHT_GNU_VERSYM,
  SHT_NOBITS,
  SHT_SYMTAB,
} from './elf-layout.js';
import { readBuildId } from './elf-notes.js';
import { tablesFromDynamic } from './elf-sstrip.js';
import {
  cppFunctionNames,
  findEntries,
  MAX_NAME,
  STT_FUNC,
  STT_GNU_IFUNC,
  type SymbolEntry,
  type SymbolTable,
} from './elf-symbols.js';
import { readVersionDefinitions } from './elf-verdef.js';
import { recoverFunctions } from './stripped/recover.js';

/** A function in an ELF file. */
export interface ElfSymbol {
  /** Virtual address. */
  address: bigint;
  /** Size in bytes as the linker recorded it; 0 when unknown. */
  size: number;
}

/** What came of looking up symbols by name. */
export interface SymbolLookup {
  found: Map<string, ElfSymbol>;
  /** Names that exist but must not be probed, with the reason. Names in neither map do not exist. */
  refused: Map<string, string>;
}

const MAX_INTERPRETER = 4096;

/**
 * True for names the compiler gives to pieces and clones of a function (`f.cold`, `f.part.0`, `f.isra.1`,
 * `f.constprop.0`, `f.localalias`): they do not have the function's arguments where its ABI puts them.
 */
export function isFunctionFragment(symbol: string): boolean {
  return /\.(cold|localalias|(part|isra|constprop|cold|localalias)\.\d+)(\.|$)/.test(symbol);
}

/**
 * A 64-bit little-endian ELF library or executable, read through its headers and tables only: opening a
 * 1 GB library costs a few kilobytes. Every method throws ElfError, and nothing else, on a damaged file.
 * Facts: System V ABI (ELF-64), LSB symbol versioning, `elf.h` of glibc.
 */
export class ElfFile {
  readonly machine: Arch;
  /** `dyn`: shared library or position-independent executable; `exec`: fixed-address executable. */
  readonly type: 'dyn' | 'exec';
  private dynamicInfo: DynamicInfo | null | undefined;
  private buildIdHex: string | null | undefined;

  private constructor(
    private readonly source: ByteSource,
    private readonly layout: ElfLayout,
  ) {
    this.machine = layout.machine;
    this.type = layout.type;
  }

  /** Opens the file and reads its headers. The caller closes it. */
  static open(path: string): ElfFile {
    const source = ByteSource.open(path);
    try {
      return new ElfFile(source, readLayout(source));
    } catch (error) {
      source.close();
      throw error;
    }
  }

  get path(): string {
    return this.source.path;
  }

  /** File size in bytes when it was opened. */
  get sizeBytes(): number {
    return this.source.size;
  }

  get dev(): number {
    return this.source.dev;
  }

  get inode(): number {
    return this.source.inode;
  }

  /** GNU build-id in hex; null when the file has none. */
  get buildId(): string | null {
    if (this.buildIdHex === undefined) this.buildIdHex = readBuildId(this.source, this.layout);
    return this.buildIdHex;
  }

  /** DT_SONAME; null when it is not set or the file is static. */
  get soname(): string | null {
    return this.dynamic()?.soname ?? null;
  }

  /** DT_NEEDED names in order. */
  get needed(): readonly string[] {
    return this.dynamic()?.needed ?? [];
  }

  /** DT_RPATH directories as written (`$ORIGIN` not replaced). */
  get rpath(): readonly string[] {
    return this.dynamic()?.rpath ?? [];
  }

  /** DT_RUNPATH directories as written. */
  get runpath(): readonly string[] {
    return this.dynamic()?.runpath ?? [];
  }

  /** Symbol versions the file defines (`GLIBC_2.34`), in its order. */
  versionDefinitions(): string[] {
    return readVersionDefinitions(this.source, this.layout);
  }

  /** Path of the dynamic loader the file asks for (PT_INTERP); null in libraries and static executables. */
  get interpreter(): string | null {
    const segment = this.layout.segments.find((s) => s.type === PT_INTERP);
    if (segment === undefined) return null;
    if (segment.fileSize > MAX_INTERPRETER) {
      throw new ElfError('elf-malformed', this.path, 'the interpreter path is too long');
    }
    return cString(this.source.read(segment.offset, segment.fileSize, 'the interpreter path'), 0);
  }

  /** Whether a section of that name exists, e.g. `.nv_fatbin` in files with CUDA device code. */
  hasSection(name: string): boolean {
    return this.layout.sections.some((section) => section.name === name);
  }

  /** Whether the full symbol table (local functions too) is there. */
  get hasSymtab(): boolean {
    return this.layout.sections.some((section) => section.type === SHT_SYMTAB && section.size > 0);
  }

  /** Functions with these exact names; see `lookup` for why one is missing. */
  findSymbols(names: ReadonlySet<string>): Map<string, ElfSymbol> {
    return this.lookup(names).found;
  }

  /**
   * Looks names up in `.symtab`, then those not found in `.dynsym`. `@VERSION` in the file is ignored and
   * the default version wins. Refused: indirect functions (their symbol is a resolver that runs once, not the
   * function), objects, compiler fragments, and a local name that several functions share.
   */
  lookup(names: ReadonlySet<string>): SymbolLookup {
    const result: SymbolLookup = { found: new Map(), refused: new Map() };
    const open = new Set<string>();
    for (const name of names) {
      if (isFunctionFragment(name)) result.refused.set(name, 'a compiler-made fragment, not a function');
      else open.add(name);
    }
    for (const table of this.symbolTables()) {
      for (const [name, entries] of groupByName(findEntries(this.source, table, open))) {
        const outcome = choose(entries);
        if (typeof outcome === 'string') {
          result.refused.set(name, outcome);
          continue;
        }
        result.found.set(name, outcome);
        result.refused.delete(name);
        open.delete(name);
      }
    }
    return result;
  }

  /**
   * Functions of the CUDA runtime, when it is linked into this file, found without symbols; see `recoverFunctions`.
   * Reads all constant data, and all code when functions are named there.
   */
  recover(names: ReadonlySet<string>): SymbolLookup {
    const { found, uncertain } = recoverFunctions(this.source, this.layout);
    const isWanted = ([name]: [string, unknown]): boolean => names.has(name);
    return {
      found: new Map(
        [...found]
          .filter(isWanted)
          .map(([name, { start, end }]) => [name, { address: BigInt(start), size: end - start }]),
      ),
      refused: new Map([...uncertain].filter(isWanted)),
    };
  }

  /** Every C++ function the file defines, by its symbol. Reads the tables of names whole. */
  cppFunctions(): Set<string> {
    return new Set([...this.symbolTables()].flatMap((table) => cppFunctionNames(this.source, table)));
  }

  /** Where the functions of the file are, by all its symbols. Reads the symbol tables whole, and no names. */
  functions(): FunctionTable {
    return readFunctions(this.source, this.symbolTables());
  }

  /**
   * The symbol of the function whose code is at an offset in the file, and how far into the function that is; null where no
   * symbol says so. `functions`: those of this file.
   */
  functionAt(functions: FunctionTable, fileOffset: number): { symbol: string; offset: number } | null {
    const segment = this.layout.segments.find(
      ({ type, flags, offset, fileSize }) =>
        type === PT_LOAD && (flags & PF_X) !== 0 && fileOffset >= offset && fileOffset < offset + fileSize,
    );
    if (segment === undefined) return null;
    const address = fileOffset - segment.offset + segment.vaddr;
    const place = functionAt(functions, address);
    if (place === undefined) return null;
    const at = functions.names[place] as number;
    const bytes = this.source.read(at, Math.min(MAX_NAME, this.source.size - at), 'a function name');
    return {
      symbol: cString(bytes, 0).replace(/@.*/, ''),
      offset: address - (functions.starts[place] as number),
    };
  }

  /** Exactly `length` bytes of file content at virtual address `vaddr`. */
  readAt(vaddr: bigint, length: number): Buffer {
    const { at, left } = this.locate(vaddr);
    if (length > left)
      throw new ElfError('elf-malformed', this.path, `no ${length} bytes at 0x${vaddr.toString(16)}`);
    return this.source.read(at, length, `the bytes at 0x${vaddr.toString(16)}`);
  }

  /** Up to `length` bytes at `vaddr`: fewer where the segment ends. */
  readUpTo(vaddr: bigint, length: number): Buffer {
    return this.readAt(vaddr, Math.min(length, this.locate(vaddr).left));
  }

  /** File offset of a virtual address, through PT_LOAD (they differ in libraries linked by lld). */
  fileOffset(vaddr: bigint): number {
    return this.locate(vaddr).at;
  }

  /** Whether `vaddr` lies in file bytes that are mapped executable. */
  isExecutable(vaddr: bigint): boolean {
    const segment = segmentAt(this.layout, Number(vaddr));
    return segment !== undefined && (segment.flags & PF_X) !== 0;
  }

  /** Closes the file. Idempotent. */
  close(): void {
    this.source.close();
  }

  private dynamic(): DynamicInfo | null {
    if (this.dynamicInfo === undefined) this.dynamicInfo = readDynamic(this.source, this.layout);
    return this.dynamicInfo;
  }

  private locate(vaddr: bigint): { at: number; left: number } {
    const segment = segmentAt(this.layout, Number(vaddr));
    if (segment === undefined) {
      throw new ElfError('elf-malformed', this.path, `address 0x${vaddr.toString(16)} is not in the file`);
    }
    const into = Number(vaddr) - segment.vaddr;
    return { at: segment.offset + into, left: segment.fileSize - into };
  }

  private *symbolTables(): Generator<SymbolTable> {
    if (this.layout.sections.length === 0) {
      const info = this.dynamic();
      const table = info === null ? null : tablesFromDynamic(this.source, this.layout, info);
      if (table !== null) yield table;
      return;
    }
    for (const type of [SHT_SYMTAB, SHT_DYNSYM]) {
      for (const section of this.layout.sections) {
        if (section.type !== type) continue;
        const strings = this.layout.sections[section.link];
        if (strings === undefined || strings.type === SHT_NOBITS) {
          throw new ElfError('elf-malformed', this.path, `${section.name} has no string table`);
        }
        const versions = type === SHT_DYNSYM ? this.sectionOfType(SHT_GNU_VERSYM) : undefined;
        yield { symbols: section, strings, ...(versions === undefined ? {} : { versions }) };
      }
    }
  }

  private sectionOfType(type: number): Section | undefined {
    return this.layout.sections.find((section) => section.type === type);
  }
}

function groupByName(entries: readonly SymbolEntry[]): Map<string, SymbolEntry[]> {
  const groups = new Map<string, SymbolEntry[]>();
  for (const entry of entries) {
    const same = groups.get(entry.name);
    if (same === undefined) groups.set(entry.name, [entry]);
    else same.push(entry);
  }
  return groups;
}

/** The entry to probe, or why none may be. */
function choose(entries: readonly SymbolEntry[]): ElfSymbol | string {
  const visible = entries.filter((entry) => !entry.local);
  const best = visible.find((entry) => !entry.oldVersion) ?? visible[0] ?? entries[0];
  if (best === undefined || best.type !== STT_FUNC) {
    const indirect = best?.type === STT_GNU_IFUNC;
    return indirect ? 'an indirect function (IFUNC): its symbol is the resolver' : 'not a function';
  }
  const addresses = new Set(entries.map((entry) => entry.address));
  if (best.local && addresses.size > 1) return `${addresses.size} local functions have this name`;
  return { address: BigInt(best.address), size: best.size };
}
