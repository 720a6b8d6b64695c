import { numericEntries, readProcLink, readProcText } from './procfs.js';

/** A process as the `processes` table of a capture describes it; null where /proc did not tell. */
export interface ProcessInfo {
  pid: number;
  ppid: number | null;
  /** Real user id. */
  uid: number | null;
  comm: string | null;
  exe: string | null;
  commandLine: string[] | null;
  /** Start as nanoseconds since 1970 UTC; /proc resolves it to 10 ms. */
  startedAtNs: bigint | null;
  /** The same in ticks since boot: with the pid it tells a process from any other of this boot. */
  startTicks: bigint | null;
  /** Whether system calls of its main thread are filtered. */
  seccomp: 'none' | 'strict' | 'filter' | null;
  cgroup: string | null;
  containerId: string | null;
  rank: number | null;
  localRank: number | null;
  worldSize: number | null;
  /** CUDA_VISIBLE_DEVICES. */
  visibleDevices: string | null;
}

/** Launchers' environment variables, the most specific first: torchrun, Open MPI, Slurm, PMI (MPICH, Intel MPI). */
const RANK = ['RANK', 'OMPI_COMM_WORLD_RANK', 'SLURM_PROCID', 'PMI_RANK'];
const LOCAL_RANK = [
  'LOCAL_RANK',
  'OMPI_COMM_WORLD_LOCAL_RANK',
  'SLURM_LOCALID',
  'MPI_LOCALRANKID',
  'MV2_COMM_WORLD_LOCAL_RANK',
];
const WORLD_SIZE = ['WORLD_SIZE', 'OMPI_COMM_WORLD_SIZE', 'SLURM_NTASKS', 'PMI_SIZE'];

/** USER_HZ: the unit of times in /proc/PID/stat, 100 on every Linux this runs on (see proc(5), sysconf(3)). */
export const NS_PER_TICK = 10_000_000n;

/** Pids of all processes visible here, ascending. */
export function listPids(): number[] {
  return numericEntries('/proc');
}

/** Thread ids of a process, ascending; [] when it is gone. */
export function threadsOf(pid: number): number[] {
  return numericEntries(`/proc/${pid}/task`);
}

/** Pids whose command name is `name`. The kernel keeps 15 bytes of it: longer names match by their first 15. */
export function pidsByComm(name: string): number[] {
  const kept = Buffer.from(name, 'utf8').subarray(0, 15).toString('utf8');
  return listPids().filter((pid) => readProcText(`/proc/${pid}/comm`) === kept);
}

/** Name of a thread, or null. */
export function threadName(pid: number, tid: number): string | null {
  return readProcText(`/proc/${pid}/task/${tid}/comm`);
}

/**
 * Environment a process was started with, or null when it may not be read. What it changed since
 * (`os.environ[...] = ` in Python) is not in it.
 */
export function environmentOf(pid: number): Map<string, string> | null {
  const text = readProcText(`/proc/${pid}/environ`);
  if (text === null) return null;
  const environment = new Map<string, string>();
  for (const entry of text.split('\0')) {
    const at = entry.indexOf('=');
    if (at > 0) environment.set(entry.slice(0, at), entry.slice(at + 1));
  }
  return environment;
}

/** Describes a process from /proc (see proc(5)). Never throws: a process that has ended gives nulls. */
export function readProcess(pid: number): ProcessInfo {
  const stat = parseStat(readProcText(`/proc/${pid}/stat`));
  const environment = environmentOf(pid) ?? new Map<string, string>();
  const cgroup = parseCgroup(readProcText(`/proc/${pid}/cgroup`));
  const status = readProcText(`/proc/${pid}/status`);
  return {
    pid,
    ppid: stat?.ppid ?? null,
    uid: parseUid(status),
    comm: stat?.comm ?? null,
    exe: readProcLink(`/proc/${pid}/exe`),
    commandLine: commandLineOf(pid),
    startedAtNs: stat === null ? null : wallClock(stat.startTicks),
    startTicks: stat?.startTicks ?? null,
    seccomp: parseSeccomp(status),
    cgroup,
    containerId: cgroup === null ? null : containerIdOf(cgroup),
    rank: integerOf(environment, RANK),
    localRank: integerOf(environment, LOCAL_RANK),
    worldSize: integerOf(environment, WORLD_SIZE),
    visibleDevices: environment.get('CUDA_VISIBLE_DEVICES') ?? null,
  };
}

/** What is known of a process that ended before it could be looked at. */
export function unknownProcess(pid: number): ProcessInfo {
  return {
    pid,
    ppid: null,
    uid: null,
    comm: null,
    exe: null,
    commandLine: null,
    startedAtNs: null,
    startTicks: null,
    seccomp: null,
    cgroup: null,
    containerId: null,
    rank: null,
    localRank: null,
    worldSize: null,
    visibleDevices: null,
  };
}

/** Parent of a process; null when it is gone. Cheaper than all that `readProcess` reads. */
export function parentOf(pid: number): number | null {
  return parseStat(readProcText(`/proc/${pid}/stat`))?.ppid ?? null;
}

/** Arguments of a process; null when unreadable, or empty as for kernel threads. */
export function commandLineOf(pid: number): string[] | null {
  const text = readProcText(`/proc/${pid}/cmdline`);
  return text === null || text === '' ? null : text.replace(/\0$/, '').split('\0');
}

/** Fields of /proc/PID/stat. The command name stands in parentheses and may contain some itself. */
export function parseStat(text: string | null): { comm: string; ppid: number; startTicks: bigint } | null {
  if (text === null) return null;
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  const fields = text.slice(close + 2).split(' ');
  const ppid = fields[1];
  const start = fields[19];
  if (open < 0 || close < open || ppid === undefined || start === undefined || !/^\d+$/.test(start))
    return null;
  return { comm: text.slice(open + 1, close), ppid: Number(ppid), startTicks: BigInt(start) };
}

/**
 * The control group to show: the unified one, or on hosts with version 1 hierarchies the systemd one, or the
 * first that is not the root.
 */
export function parseCgroup(text: string | null): string | null {
  if (text === null) return null;
  const groups = text.split('\n').flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    return controllers === undefined || path === undefined ? [] : [{ controllers, path }];
  });
  const used = groups.filter((group) => group.path !== '/');
  const best =
    used.find((group) => group.controllers === '') ??
    used.find((group) => group.controllers === 'name=systemd') ??
    used[0] ??
    groups[0];
  return best?.path ?? null;
}

/**
 * Container id in a control group path: the innermost 64-digit hex name as Docker, containerd, CRI-O and Podman
 * write it (`/docker/ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `kubepods...:cri-containerd:ID`,
 * `/kubepods/.../podUID/ID`, `crio-ID.scope`, `libpod-ID.scope`), or the task id of AWS Fargate. Monitors
 * (`crio-conmon-ID.scope`) run beside the container, not in it.
 */
export function containerIdOf(cgroup: string): string | null {
  for (const part of cgroup.split('/').reverse()) {
    if (/(^|-)conmon-/.test(part)) continue;
    const id =
      /(?:^|[-:])([0-9a-f]{64})(?:\.scope)?$/.exec(part)?.[1] ?? /^([0-9a-f]{32}-\d+)$/.exec(part)?.[1];
    if (id !== undefined) return id;
  }
  return null;
}

function parseUid(status: string | null): number | null {
  const uid = status === null ? undefined : /^Uid:\s+(\d+)/m.exec(status)?.[1];
  return uid === undefined ? null : Number(uid);
}

/** What /proc/PID/status says of seccomp (proc(5)); null where it says nothing. */
export function parseSeccomp(status: string | null): ProcessInfo['seccomp'] {
  const mode = status === null ? undefined : /^Seccomp:\s+([012])$/m.exec(status)?.[1];
  return (['none', 'strict', 'filter'] as const)[Number(mode)] ?? null;
}

function integerOf(environment: ReadonlyMap<string, string>, names: readonly string[]): number | null {
  for (const name of names) {
    const value = environment.get(name);
    if (value !== undefined && /^\d{1,9}$/.test(value)) return Number(value);
  }
  return null;
}

/** /proc/uptime counts like starttime (since boot, suspended time included), so their difference is the age. */
function wallClock(startTicks: bigint): bigint | null {
  const uptime = /^(\d+)\.(\d\d)/.exec(readProcText('/proc/uptime') ?? '');
  if (uptime === null) return null;
  const uptimeTicks = BigInt(uptime[1] ?? 0) * 100n + BigInt(uptime[2] ?? 0);
  return BigInt(Date.now()) * 1_000_000n - (uptimeTicks - startTicks) * NS_PER_TICK;
}
