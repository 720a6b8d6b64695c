import { basename } from 'node:path';
import { mappedFiles } from './maps.js';
import type { LibraryFile } from './model.js';
import { listPids, parseSeccomp, threadsOf } from './processes.js';
import { readProcText } from './procfs.js';

/** A process with a thread behind a seccomp filter that maps a file to be probed. */
export interface ConfinedProcess {
  pid: number;
  comm: string;
  /** Path of the file, as the process sees it. */
  library: string;
}

/** Processes with a thread behind a seccomp filter that map one of these files. Those that cannot be read are left out. */
export function confinedProcesses(files: readonly Pick<LibraryFile, 'path' | 'inode'>[]): ConfinedProcess[] {
  // Without the device: on overlay and btrfs the one in maps is not the one stat reports.
  const wanted = new Set(files.map(({ path, inode }) => `${inode} ${basename(path)}`));
  return listPids().flatMap((pid) => {
    const library = mappedFiles(pid)?.find(({ path, inode }) =>
      wanted.has(`${inode} ${basename(path)}`),
    )?.path;
    if (library === undefined || !threadsOf(pid).some((tid) => isConfined(pid, tid))) return [];
    return [{ pid, comm: readProcText(`/proc/${pid}/comm`) ?? 'unknown', library }];
  });
}

/** Threads are filtered one by one; a program may spare its main thread. */
function isConfined(pid: number, tid: number): boolean {
  const mode = parseSeccomp(readProcText(`/proc/${pid}/task/${tid}/status`));
  return mode === 'strict' || mode === 'filter';
}
