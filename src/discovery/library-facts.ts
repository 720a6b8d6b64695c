import { basename } from 'node:path';
import type { LibrarySelector } from '../packs/model.js';
import { type LibraryFacts, versionAmong } from '../packs/when.js';
import type { ElfFile } from './elf.js';
import type { LibraryFile } from './model.js';
import { sonameMatcher } from './soname-glob.js';

/**
 * What the `when:` conditions of a pack look at in a file. `libraries`: the pack's; `symbols`: all that its conditions
 * name, which are looked up together, and only when one is asked for. `defines` throws ElfError for a damaged file.
 */
export function libraryFacts(
  elf: ElfFile,
  file: LibraryFile,
  libraries: readonly LibrarySelector[],
  symbols: readonly string[],
): LibraryFacts {
  let found: ReadonlyMap<string, unknown> | undefined;
  return {
    get version() {
      return libraryVersion(elf, file, libraries);
    },
    defines: (symbol) => {
      const names = new Set(symbols);
      found ??= file.recovered === undefined ? elf.findSymbols(names) : elf.recover(names).found;
      return found.has(symbol);
    },
  };
}

/** The version as the selector that names the file says, else the one in its name. */
function libraryVersion(
  elf: ElfFile,
  file: LibraryFile,
  libraries: readonly LibrarySelector[],
): string | null {
  const selector = libraries.find(({ soname }) => {
    const matcher = sonameMatcher([soname]);
    return matcher.matches(basename(file.path)) || (file.soname !== null && matcher.matches(file.soname));
  });
  // A file given by hand may have any name.
  const pattern = (selector ?? libraries.find(({ version }) => version !== undefined))?.version;
  return pattern === undefined ? file.version : versionAmong(elf.versionDefinitions(), pattern);
}
