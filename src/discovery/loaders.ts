import { basename } from 'node:path';
import { ElfFile } from './elf.js';
import { ElfError } from './elf-error.js';
import type { LibraryFile } from './model.js';
import { locateProbes } from './probe-sites.js';
import { sonameMatcher } from './soname-glob.js';

/** File names of glibc's dynamic loader. That of musl has no such function to probe. */
export const LOADER_NAMES: readonly string[] = ['ld-linux*.so.*'];
/** Called, empty, whenever the list of loaded libraries changed (glibc, elf/dl-debug.c; gdb stops at it). */
const DEBUG_STATE = '_dl_debug_state';
const matcher = sonameMatcher(LOADER_NAMES);

/** Whether a library of this name is a dynamic loader, which nearly every file needs. */
export function isLoaderName(name: string): boolean {
  return matcher.matches(name);
}

/** Whether a file found is a dynamic loader. */
export function isLoader(file: LibraryFile): boolean {
  return matcher.matches(basename(file.path));
}

/** File offset of the function a loader calls when its list of libraries changed; null when it has none. */
export function loaderSite(file: LibraryFile): number | null {
  let elf: ElfFile | undefined;
  try {
    elf = ElfFile.open(file.openPath);
    return locateProbes(elf, [DEBUG_STATE])[0]?.fileOffset ?? null;
  } catch (error) {
    if (!(error instanceof ElfError)) throw error;
    return null;
  } finally {
    elf?.close();
  }
}
