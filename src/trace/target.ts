import { existsSync, readFileSync } from 'node:fs';
import { listPids, parentOf, pidsByComm } from '../discovery/index.js';
import { EXIT, IngeroError } from '../errors.js';
import type { BpfSettings } from '../loader/layout.js';
import type { Launcher } from './launcher.js';

/** Whose calls are recorded. */
export type Target =
  | { kind: 'all' }
  | { kind: 'pids'; pids: readonly number[] }
  | { kind: 'comm'; comm: string }
  | { kind: 'command'; argv: readonly string[] };

/** How the kernel filters for a target. Children of named processes and of the command are recorded too. */
export function bpfFilter(target: Target): Pick<BpfSettings, 'filterByProcess' | 'followChildren' | 'comm'> {
  return {
    filterByProcess: target.kind !== 'all',
    followChildren: target.kind === 'pids' || target.kind === 'command',
    comm: target.kind === 'comm' ? target.comm : '',
  };
}

/** Words for the `target` column of the capture. `whole`: with the arguments of a command. */
export function describeTarget(target: Target, whole = true): string {
  switch (target.kind) {
    case 'all':
      return 'all processes';
    case 'pids':
      return `pid ${target.pids.join(', ')}`;
    case 'comm':
      return `comm ${target.comm}`;
    case 'command':
      return `command ${whole ? target.argv.join(' ') : target.argv[0]}`;
  }
}

/**
 * Processes to record from the start; undefined: all. For a command: the launcher, which becomes it. Throws
 * `no-such-process` when a pid does not exist.
 */
export function initialPids(target: Target, launcher: Launcher | null): readonly number[] | undefined {
  switch (target.kind) {
    case 'all':
      return undefined;
    case 'pids': {
      const gone = target.pids.filter((pid) => !existsSync(`/proc/${pid}`));
      if (gone.length > 0) {
        throw new IngeroError(`There is no process ${gone.join(', ')}.`, {
          code: 'no-such-process',
          exitCode: EXIT.targetMissing,
          expected: 'the pid of a running process, as the host sees it',
          next: 'List processes with `ps -e`; inside a container pids differ from the host.',
        });
      }
      return [...target.pids, ...descendants(target.pids)];
    }
    case 'comm':
      return pidsByComm(target.comm);
    case 'command':
      return launcher?.pid === undefined ? [] : [launcher.pid];
  }
}

/** Processes descended from any of `roots`, the roots not included. */
export function descendants(roots: readonly number[]): number[] {
  const processes = listPids().map((pid) => ({ pid, ppid: parentOf(pid) }));
  const family = new Set(roots);
  for (let grown = true; grown; ) {
    grown = false;
    for (const { pid, ppid } of processes) {
      if (ppid === null || family.has(pid) || !family.has(ppid)) continue;
      family.add(pid);
      grown = true;
    }
  }
  for (const root of roots) family.delete(root);
  return [...family];
}

/** Whether a process exists and is not a zombie (state Z or X in /proc/PID/stat, proc(5)). */
export function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
  } catch {
    return false;
  }
}
