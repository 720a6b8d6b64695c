/**
 * Whether the kernel shows the returns of probed functions to the seccomp filters of the process. On x86-64 since Linux
 * 6.11 a return probe enters the kernel by a system call, uretprobe() (commit ff474a78cef5). Filters saw it like any
 * other, and killed or broke processes they confine, until Linux 6.14 let it pass them (commit cf6cb56ef244, carried
 * back to some releases of 6.12 and 6.13).
 */
import { Worker } from 'node:worker_threads';
import { readProcText } from '../discovery/procfs.js';
import { compareVersions } from '../packs/when.js';
import { ownFilters } from './seccomp.js';

/** Whether filters see return probes, and how that is known. */
export interface FilteredReturns {
  seen: boolean;
  known: 'tried' | 'by its version';
}

/** What became of two uretprobe() calls that no return probe made: without a filter, and behind one that refuses it. */
export interface ReturnsTrial {
  /** Whether the kernel has the system call. */
  exists: boolean;
  /** Whether the filter was asked. */
  filtered: boolean;
}

/** The first kernel with uretprobe(), and the first whose filters let it pass whatever its distribution did. */
const FILTERED = { from: '6.11', until: '6.14' };
const PATIENCE_MS = 5000;

/**
 * Finds out, for an architecture as in process.arch and a kernel as `uname -r` prints it. From 6.14 on no filter sees
 * return probes. Before, it is tried: a thread of this process puts a filter on itself and makes the call. The kernel
 * answers a call that comes from no return probe with SIGILL, for which there is a handler meanwhile. Where this process
 * is behind a filter of somebody else's, that one might kill: there the version decides alone.
 */
export async function filteredReturns(arch: string, kernel: string): Promise<FilteredReturns> {
  const filters = /^Seccomp_filters:\s+(\d+)$/m.exec(readProcText('/proc/self/status') ?? '')?.[1];
  const isOpen = arch === 'x64' && !isAtLeast(kernel, FILTERED.until);
  const canTry = isOpen && filters === String(ownFilters());
  return judgeReturns(arch, kernel, canTry ? await tryReturns() : null);
}

/** Judges a trial, or without one the version. Pure. */
export function judgeReturns(arch: string, kernel: string, trial: ReturnsTrial | null): FilteredReturns {
  if (trial !== null) return { seen: trial.exists && trial.filtered, known: 'tried' };
  const isConcerned = isAtLeast(kernel, FILTERED.from) && !isAtLeast(kernel, FILTERED.until);
  return { seen: arch === 'x64' && isConcerned, known: 'by its version' };
}

function isAtLeast(kernel: string, version: string): boolean {
  return (compareVersions(/^\d+\.\d+/.exec(kernel)?.[0] ?? '0.0', version) ?? -1) >= 0;
}

/** Null when the thread could not be started or filtered. */
async function tryReturns(): Promise<ReturnsTrial | null> {
  const survive = (): void => undefined;
  process.on('SIGILL', survive);
  const worker = new Worker(new URL('./returns-trial-worker.js', import.meta.url));
  const timer = setTimeout(() => void worker.terminate(), PATIENCE_MS);
  try {
    return await new Promise<ReturnsTrial | null>((resolve) => {
      let trial: ReturnsTrial | null = null;
      worker.once('message', (message: ReturnsTrial) => {
        trial = message;
      });
      worker.once('error', () => undefined);
      // Its filter ends with the thread; the next one for all threads needs it gone.
      worker.once('exit', () => resolve(trial));
    });
  } finally {
    clearTimeout(timer);
    process.off('SIGILL', survive);
  }
}
