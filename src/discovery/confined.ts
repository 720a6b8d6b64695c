import { basename } from 'node:path';
import { mappedFiles } from './maps.js';
import { listPids } from './processes.js';
import { readProcText } from './procfs.js';
import { sonameMatcher } from './soname-glob.js';

/** A process behind a seccomp filter that maps a library packs name. */
export interface ConfinedProcess {
  pid: number;
  comm: string;
  /** Path of the library, as the process sees it. */
  library: string;
}

/** SECCOMP_MODE_FILTER, as /proc/PID/status tells it (proc(5)). */
const FILTERED = /^Seccomp:\s+2$/m;

/** Processes behind a seccomp filter that map a library of these names (globs). Those that cannot be read are left out. */
export function confinedProcesses(sonames: readonly string[]): ConfinedProcess[] {
  const { matches } = sonameMatcher(sonames);
  return listPids().flatMap((pid) => {
    if (!FILTERED.test(readProcText(`/proc/${pid}/status`) ?? '')) return [];
    const library = mappedFiles(pid)?.find(({ path }) => matches(basename(path)))?.path;
    return library === undefined
      ? []
      : [{ pid, comm: readProcText(`/proc/${pid}/comm`) ?? 'unknown', library }];
  });
}
