import type { CompiledPack, Pack } from '../packs/model.js';
import { ElfFile } from './elf.js';
import { ElfError } from './elf-error.js';
import { findLibraries } from './libraries.js';
import type { LibraryFile } from './model.js';
import { locate } from './probe-sites.js';

/** What a built-in pack finds on this host. */
export interface PackLibraries {
  pack: string;
  sonames: readonly string[];
  /** Functions the pack probes. */
  functions: number;
  libraries: readonly LibraryReport[];
  /** The same as they were found. */
  files: readonly LibraryFile[];
  searched: readonly string[];
  ignored: readonly { path: string; reason: string }[];
}

/** One library file, and the probes a pack would put into it. Field names are those of `--json`. */
export interface LibraryReport {
  pack: string;
  path: string;
  soname: string | null;
  version: string | null;
  build_id: string | null;
  found_by: string;
  /** Probes by what a hit costs; `missing` are functions this version of the library does not have. */
  probes: { emulated: number; single_step: number; missing: number };
  /** Why the file cannot be probed; null when it can. */
  problem: string | null;
}

/** Whether the library of a pack may be linked into programs. */
export function isEmbeddable(pack: Pack): boolean {
  return pack.libraries.some((library) => library.static === true);
}

/**
 * What a pack would attach to on this host: its libraries, and in each the probes by cost. Attaches nothing.
 * A library that cannot be read is reported with the reason.
 */
export function surveyPack({ pack, probes }: CompiledPack): PackLibraries {
  const sonames = pack.libraries.map((library) => library.soname);
  const symbols = [...new Set(probes.flatMap((probe) => probe.symbols))];
  const { files, searched, ignored } = findLibraries({
    sonames,
    ...(isEmbeddable(pack) ? { embeddedSymbols: symbols } : {}),
  });
  return {
    pack: pack.name,
    sonames,
    functions: probes.length,
    libraries: files.map((file) => surveyLibrary(pack.name, file, symbols)),
    files,
    searched,
    ignored: ignored.map(({ file, reason }) => ({ path: file.path, reason })),
  };
}

function surveyLibrary(pack: string, file: LibraryFile, symbols: readonly string[]): LibraryReport {
  const report: LibraryReport = {
    pack,
    path: file.path,
    soname: file.soname,
    version: file.version,
    build_id: file.buildId,
    found_by: file.foundBy,
    probes: { emulated: 0, single_step: 0, missing: 0 },
    problem: null,
  };
  let elf: ElfFile | null = null;
  try {
    elf = ElfFile.open(file.openPath);
    const { sites, missing } = locate(elf, symbols);
    const emulated = sites.filter((site) => site.cost === 'emulated').length;
    return { ...report, probes: { emulated, single_step: sites.length - emulated, missing: missing.size } };
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return { ...report, problem: error.message };
  } finally {
    elf?.close();
  }
}
