export { ElfFile, type ElfSymbol, isFunctionFragment, type SymbolLookup } from './elf.js';
export { ElfError, type ElfErrorCode } from './elf-error.js';
export type { CostClass, LibraryFile, ProbeSite } from './model.js';
export { locate, locateProbes, type ProbeLocations } from './probe-sites.js';
export { chooseProbeSite, PROLOGUE_BYTES, type ProbeChoice } from './prologue.js';
