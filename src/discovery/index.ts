export { fileKey, type IgnoredLibrary } from './candidates.js';
export { ElfFile, type ElfSymbol, isFunctionFragment, type SymbolLookup } from './elf.js';
export { ElfError, type ElfErrorCode } from './elf-error.js';
export { type GpuInfo, type GpuInventory, readGpuInventory } from './gpu.js';
export { type HostFacts, readHostFacts } from './host.js';
export { HOST_ARCH } from './host-arch.js';
export { findLibraries, type LibrarySearch, type LibrarySearchResult, rescanProcesses } from './libraries.js';
export { libraryFacts } from './library-facts.js';
export { isLoader, LOADER_NAMES, loaderSite } from './loaders.js';
export type { CostClass, LibraryFile, ProbeSite } from './model.js';
export { type CommandLine, findProgram, toEnvironment } from './needed.js';
export { isEmbeddable, type LibraryReport, type PackLibraries, surveyPack } from './pack-libraries.js';
export { locate, locateProbes, type ProbeLocations } from './probe-sites.js';
export {
  listPids,
  type ProcessInfo,
  parentOf,
  pidsByComm,
  readProcess,
  threadName,
  threadsOf,
} from './processes.js';
export { chooseProbeSite, PROLOGUE_BYTES, type ProbeChoice } from './prologue.js';
export { type PatternSymbols, resolvePatterns } from './symbol-patterns.js';
