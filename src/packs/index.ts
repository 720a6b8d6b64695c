/** Probe packs: read, checked and compiled to argument locations. */
export { compilePack, withoutReturns, withStacks } from './compile.js';
export { formatProblems } from './format.js';
export { GRAMMAR_VERSION } from './grammar.js';
export { loadBuiltinPacks, loadPackFile, type ParsedPack, parsePack } from './load.js';
export * from './model.js';
export { MAX_PACK_BYTES } from './pack-text.js';
