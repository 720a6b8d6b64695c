import { DemangledPattern } from '../demangle/pattern.js';
import { DEFAULT_AT_MOST, type SymbolPattern } from '../packs/model.js';
import type { ElfFile } from './elf.js';

/** What patterns on demangled names stand for in a file. */
export interface PatternSymbols {
  symbols: readonly string[];
  /** Why a pattern stands for nothing. */
  problem: { reason: string; isError: boolean } | null;
}

/** Resolves patterns, each once, with one pass over the symbols of the file. Throws ElfError for a damaged file. */
export function resolvePatterns(
  elf: ElfFile,
  patterns: readonly SymbolPattern[],
): ReadonlyMap<SymbolPattern, PatternSymbols> {
  if (patterns.length === 0) return new Map();
  const functions = elf.cppFunctions();
  return new Map(patterns.map((pattern) => [pattern, resolve(elf, pattern, functions)]));
}

function resolve(elf: ElfFile, pattern: SymbolPattern, functions: ReadonlySet<string>): PatternSymbols {
  const { demangled, at_most = DEFAULT_AT_MOST } = pattern;
  const { symbols, unread } = new DemangledPattern(demangled).matches(functions);
  const addresses = new Set([...elf.findSymbols(new Set(symbols)).values()].map(({ address }) => address));
  const none = (reason: string, isError: boolean): PatternSymbols => ({
    symbols: [],
    problem: { reason, isError },
  });
  if (addresses.size > at_most) {
    const count = `${addresses.size} functions have such a name, and at most ${at_most} are probed`;
    return none(`${count}: narrow the pattern, or raise at_most`, true);
  }
  if (addresses.size === 0) {
    const hint = unread === 0 ? '' : `; ${unread} similar names could not be read`;
    return none(`no function of ${elf.path} has such a name${hint}`, false);
  }
  return { symbols: symbols.sort(), problem: null };
}
