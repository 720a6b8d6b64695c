import type { ElfFile, ElfSymbol, SymbolLookup } from './elf.js';
import type { ProbeSite } from './model.js';
import { chooseProbeSite, PROLOGUE_BYTES } from './prologue.js';

/** Where the probes of a file go, and why names that were asked for get none. */
export interface ProbeLocations {
  sites: ProbeSite[];
  /** Every name asked for without a site (aliases of a site not included) -> why. */
  missing: Map<string, string>;
}

/**
 * Finds the probe site of each function that exists in `elf`, in the order of `symbols`. Names at one address
 * give one site: NCCL's `ncclX` and `pncclX` are one function and two probes would count each call twice.
 * Throws ElfError when the file itself is damaged.
 * @param lookup where the names are, when that is known already; it may hold more of them
 */
export function locate(
  elf: ElfFile,
  symbols: readonly string[],
  { found, refused }: SymbolLookup = elf.lookup(new Set(symbols)),
): ProbeLocations {
  const missing = new Map<string, string>();
  const byAddress = new Map<bigint, { symbol: ElfSymbol; names: [string, ...string[]] }>();
  for (const name of new Set(symbols)) {
    const symbol = found.get(name);
    if (symbol === undefined) {
      missing.set(name, refused.get(name) ?? `not in ${elf.path}`);
      continue;
    }
    const group = byAddress.get(symbol.address);
    if (group === undefined) byAddress.set(symbol.address, { symbol, names: [name] });
    else group.names.push(name);
  }

  const sites: ProbeSite[] = [];
  for (const { symbol, names } of byAddress.values()) {
    const site = siteOf(elf, symbol, names);
    if (typeof site !== 'string') sites.push(site);
    else for (const name of names) missing.set(name, site);
  }
  return { sites, missing };
}

/** The sites of `locate`, for callers that do not report what is missing. */
export function locateProbes(elf: ElfFile, symbols: readonly string[]): ProbeSite[] {
  return locate(elf, symbols).sites;
}

function siteOf(elf: ElfFile, symbol: ElfSymbol, names: readonly [string, ...string[]]): ProbeSite | string {
  if (!elf.isExecutable(symbol.address)) return 'its address is not in an executable segment';
  const length = symbol.size === 0 ? PROLOGUE_BYTES : Math.min(PROLOGUE_BYTES, symbol.size);
  const choice = chooseProbeSite(elf.readUpTo(symbol.address, length), elf.machine);
  const name = preferredName(names);
  const aliases = names.filter((other) => other !== name);
  return {
    symbol: name,
    address: symbol.address,
    fileOffset: elf.fileOffset(symbol.address) + choice.skip,
    skip: choice.skip,
    cost: choice.cost,
    ...(aliases.length === 0 ? {} : { aliases }),
  };
}

/** The first name that is not another one with a profiling prefix: `ncclSend` rather than `pncclSend`. */
function preferredName(names: readonly [string, ...string[]]): string {
  const isPrefixed = (name: string) => name.startsWith('p') && names.includes(name.slice(1));
  return names.find((name) => !isPrefixed(name)) ?? names[0];
}
