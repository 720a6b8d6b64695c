import type { SymbolLookup } from './elf.js';

/** What the tool knows about one ELF file it may attach to. */
export interface LibraryFile {
  /** Path a person would recognise, as seen by the process or on this host. */
  path: string;
  /** Path this process can open now: equals `path`, or goes through /proc/PID/map_files or /proc/PID/root. */
  openPath: string;
  dev: number;
  inode: number;
  sizeBytes: number;
  /** GNU build-id in hex; null when the file has none. */
  buildId: string | null;
  soname: string | null;
  /** Version read from the file name behind the soname (e.g. `13.0.96`); null when unknown. */
  version: string | null;
  /** How it was found: `maps:PID`, `ld.so.cache`, `directory`, `needed` ... */
  foundBy: string;
  /** The library is linked into this file: it was found by the functions it defines, not by its name. */
  embedded?: true;
  /** Functions found in a stripped file without symbols; absent: its symbol tables tell. */
  recovered?: SymbolLookup;
}

export type CostClass = 'emulated' | 'single-step';

/** A function's probe location inside a file. */
export interface ProbeSite {
  symbol: string;
  /** Virtual address of the symbol. */
  address: bigint;
  /** File offset the probe is attached at (address through PT_LOAD, plus the prologue skip). */
  fileOffset: number;
  /** Bytes of the prologue skipped to reach an instruction the kernel emulates. */
  skip: number;
  cost: CostClass;
  /** Other names asked for that stand for the same address; one probe serves them all. */
  aliases?: readonly string[];
}
