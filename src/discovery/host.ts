import { existsSync } from 'node:fs';
import { arch, platform, release } from 'node:os';
import { opensInternetSockets } from '../trust/seal.js';
import { readProcLink, readProcText } from './procfs.js';

/** What decides whether this host can trace, as read from /proc and /sys. null: the file is not there. */
export interface HostFacts {
  platform: string;
  arch: string;
  /** Kernel release, as `uname -r`. */
  kernel: string;
  uid: number | null;
  /** Effective capabilities, one bit each (linux/capability.h). */
  capabilities: bigint | null;
  /** Whether the kernel describes its types in /sys/kernel/btf/vmlinux. */
  btf: boolean;
  /** Whether the kernel has uprobe events. */
  uprobes: boolean;
  /** Active lockdown mode: none, integrity or confidentiality. */
  lockdown: string | null;
  perfEventParanoid: number | null;
  /** Yama's kernel.yama.ptrace_scope. */
  ptraceScope: number | null;
  unprivilegedBpfDisabled: number | null;
  cgroup: 'v1' | 'v2' | 'hybrid' | null;
  /** Whether this process sees the host's process ids, which the kernel side uses. */
  hostPids: boolean | null;
  /** Whether this process could open an internet socket (tried; nothing is sent). */
  network: 'refused' | 'allowed';
}

/** PROC_PID_INIT_INO of linux/proc_ns.h: the inode of the first pid namespace. */
const INITIAL_PID_NAMESPACE = 'pid:[4026531836]';

/** Reads the facts. Changes nothing, runs nothing, needs no privilege. */
export function readHostFacts(): HostFacts {
  const pidNamespace = readProcLink('/proc/self/ns/pid');
  return {
    platform: platform(),
    arch: arch(),
    kernel: release(),
    uid: process.getuid?.() ?? null,
    capabilities: parseCapabilities(readProcText('/proc/self/status')),
    btf: existsSync('/sys/kernel/btf/vmlinux'),
    uprobes: existsSync('/sys/bus/event_source/devices/uprobe/type'),
    lockdown: parseLockdown(readProcText('/sys/kernel/security/lockdown')),
    perfEventParanoid: integer('/proc/sys/kernel/perf_event_paranoid'),
    ptraceScope: integer('/proc/sys/kernel/yama/ptrace_scope'),
    unprivilegedBpfDisabled: integer('/proc/sys/kernel/unprivileged_bpf_disabled'),
    cgroup: parseCgroupVersion(readProcText('/proc/self/mounts')),
    hostPids: pidNamespace === null ? null : pidNamespace === INITIAL_PID_NAMESPACE,
    network: opensInternetSockets() ? 'allowed' : 'refused',
  };
}

/** CapEff of /proc/PID/status as a bit set, or null. */
export function parseCapabilities(status: string | null): bigint | null {
  const hex = status === null ? undefined : /^CapEff:\s+([0-9a-f]+)$/m.exec(status)?.[1];
  return hex === undefined ? null : BigInt(`0x${hex}`);
}

/** The mode in brackets in /sys/kernel/security/lockdown: `none [integrity] confidentiality`. */
export function parseLockdown(text: string | null): string | null {
  return text === null ? null : (/\[(\w+)\]/.exec(text)?.[1] ?? null);
}

/** Which cgroup hierarchies are mounted, from /proc/self/mounts. */
export function parseCgroupVersion(mounts: string | null): HostFacts['cgroup'] {
  if (mounts === null) return null;
  const types = new Set(mounts.split('\n').map((line) => line.split(' ')[2]));
  if (types.has('cgroup') && types.has('cgroup2')) return 'hybrid';
  if (types.has('cgroup2')) return 'v2';
  return types.has('cgroup') ? 'v1' : null;
}

function integer(path: string): number | null {
  const text = readProcText(path);
  return text !== null && /^-?\d+$/.test(text) ? Number(text) : null;
}
