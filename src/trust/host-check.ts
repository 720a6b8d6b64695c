import type { ConfinedProcess } from '../discovery/confined.js';
import type { GpuInventory } from '../discovery/gpu.js';
import type { HostFacts } from '../discovery/host.js';
import type { LibraryReport, PackLibraries } from '../discovery/pack-libraries.js';
import type { Verdict } from '../policy/model.js';
import { visible, visibleLines } from '../query/visible.js';
import { CAPABILITIES, type Capability, capabilitySet } from './capabilities.js';
import type { FilteredReturns } from './return-probes.js';

/** What came of loading and attaching the BPF object for a moment. */
export interface BpfTrial {
  ok: boolean;
  /** Whether many probes can share one link; null when it was not reached. */
  uprobeMulti: boolean | null;
  /** What failed, in the loader's or the kernel's words; or what worked. */
  detail: string;
  /** libbpf that was loaded, with its version; null when none was found. */
  libbpf: string | null;
}

export type CheckStatus = 'ok' | 'warn' | 'fail';

/** One row of the report. */
export interface Check {
  /** Stable, documented in docs/check.md. */
  name: string;
  status: CheckStatus;
  value: string;
  /** What the value means for tracing; empty when it says enough. */
  detail: string;
  /** What to do; null when there is nothing to do. */
  next: string | null;
}

/** The report of `ingero check`, in the shape `--json` prints. */
export interface HostReport {
  /** True when no check failed: a trace can be started. */
  ready: boolean;
  checks: Check[];
  libraries: LibraryReport[];
  gpus: { bus_id: string; model: string | null; uuid: string | null; minor: number | null }[];
}

/** The policy of the host and what it says of it; or why it cannot be followed. */
export type PolicyEvidence = { path: string; verdicts: readonly Verdict[] } | { failure: string } | null;

export interface HostEvidence {
  policy: PolicyEvidence;
  facts: HostFacts;
  trial: BpfTrial;
  packs: readonly PackLibraries[];
  gpu: GpuInventory;
  returns: FilteredReturns;
  /** Processes behind seccomp filters that map a library of a pack. */
  confined: readonly ConfinedProcess[];
}

/** Judges what was found. Pure: the same evidence gives the same report. */
export function checkHost(evidence: HostEvidence): HostReport {
  const { facts, trial, packs, gpu, policy, returns, confined } = evidence;
  const checks = [
    systemCheck(facts),
    btfCheck(facts),
    uprobesCheck(facts),
    lockdownCheck(facts, trial),
    privilegesCheck(facts),
    processesCheck(facts),
    pidsCheck(facts),
    paranoidCheck(facts),
    settings(facts),
    libbpfCheck(trial),
    bpfCheck(facts, trial),
    multiCheck(trial),
    returnsCheck(returns, confined),
    networkCheck(facts),
    policyCheck(policy),
    ...packs.map(packCheck),
    gpuCheck(gpu),
  ];
  return {
    ready: checks.every((check) => check.status !== 'fail'),
    checks,
    libraries: packs.flatMap((pack) => pack.libraries),
    gpus: gpu.gpus.map(({ busId, ...rest }) => ({ bus_id: busId, ...rest })),
  };
}

const ok = (name: string, value: string, detail = ''): Check => ({
  name,
  status: 'ok',
  value,
  detail,
  next: null,
});
const warn = (name: string, value: string, detail: string, next: string | null = null): Check => ({
  name,
  status: 'warn',
  value,
  detail,
  next,
});
const fail = (name: string, value: string, detail: string, next: string): Check => ({
  name,
  status: 'fail',
  value,
  detail,
  next,
});

function systemCheck({ platform, arch, kernel }: HostFacts): Check {
  const value = `${platform} ${kernel} ${arch}`;
  if (platform === 'linux' && (arch === 'x64' || arch === 'arm64')) return ok('system', value);
  return fail(
    'system',
    value,
    'the kernel side is built for Linux on x86-64 and AArch64',
    'Run ingero on such a host.',
  );
}

function btfCheck({ btf }: HostFacts): Check {
  if (btf) return ok('btf', '/sys/kernel/btf/vmlinux');
  return fail(
    'btf',
    'missing',
    'the BPF object is fitted to the kernel by its type information',
    'Boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (the default of current distributions).',
  );
}

function uprobesCheck({ uprobes }: HostFacts): Check {
  if (uprobes) return ok('uprobes', 'available');
  return fail(
    'uprobes',
    'missing',
    'the kernel cannot stop at a user-space function, or /sys is not mounted here',
    'Boot a kernel built with CONFIG_UPROBE_EVENTS=y; in a container, mount /sys.',
  );
}

function lockdownCheck({ lockdown }: HostFacts, trial: BpfTrial): Check {
  if (lockdown !== 'confidentiality') return ok('lockdown', lockdown ?? 'not in this kernel');
  const detail = 'confidentiality keeps BPF programs from reading kernel memory';
  // Which reads are refused differs between kernels: what was tried counts more than the mode.
  if (trial.ok) return warn('lockdown', lockdown, `${detail}; the programs loaded all the same`);
  return fail(
    'lockdown',
    lockdown,
    detail,
    'Boot with lockdown=integrity, or without lockdown=; Secure Boot alone gives integrity.',
  );
}

function held(facts: HostFacts, ...names: Capability[]): boolean {
  const { capabilities } = facts;
  if (capabilities === null) return false;
  return (capabilities & capabilitySet(names)) !== 0n;
}

function listHeld(facts: HostFacts): string {
  const names = (Object.keys(CAPABILITIES) as Capability[]).filter((name) => held(facts, name));
  return names.length === 0 ? 'none of those needed' : names.join(' ');
}

function privilegesCheck(facts: HostFacts): Check {
  const missing = [
    held(facts, 'CAP_BPF', 'CAP_SYS_ADMIN') ? '' : 'CAP_BPF',
    held(facts, 'CAP_PERFMON', 'CAP_SYS_ADMIN') ? '' : 'CAP_PERFMON',
  ].filter((name) => name !== '');
  const value = `uid ${facts.uid ?? 'unknown'}`;
  if (missing.length === 0) return ok('privileges', value, listHeld(facts));
  return fail(
    'privileges',
    value,
    `missing ${missing.join(' and ')}: loading BPF and attaching probes needs them`,
    'Run with sudo, or from a systemd unit with AmbientCapabilities=CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_DAC_READ_SEARCH.',
  );
}

function processesCheck(facts: HostFacts): Check {
  const lacks = [
    ...(held(facts, 'CAP_SYS_PTRACE') ? [] : ["memory maps of other users' processes (CAP_SYS_PTRACE)"]),
    ...(held(facts, 'CAP_DAC_READ_SEARCH', 'CAP_DAC_OVERRIDE')
      ? []
      : ['libraries other users keep private (CAP_DAC_READ_SEARCH)']),
    ...(held(facts, 'CAP_CHECKPOINT_RESTORE', 'CAP_SYS_ADMIN')
      ? []
      : ['deleted libraries still in use (CAP_CHECKPOINT_RESTORE)']),
  ];
  if (lacks.length === 0) return ok('processes', 'all readable');
  return warn(
    'processes',
    'partly readable',
    `out of reach: ${lacks.join('; ')}`,
    'Run with sudo to trace what other users run.',
  );
}

function pidsCheck({ hostPids }: HostFacts): Check {
  if (hostPids !== false) return ok('pids', hostPids === null ? 'unknown namespace' : 'host namespace');
  return warn(
    'pids',
    'own namespace',
    'process ids seen here differ from those of the kernel: choosing processes by id would miss them',
    'Share the pid namespace of the host with the container (docker run --pid=host, Kubernetes hostPID: true).',
  );
}

function paranoidCheck(facts: HostFacts): Check {
  const level = facts.perfEventParanoid;
  const value = level === null ? 'unknown' : String(level);
  // Levels above 2 are distribution patches; some of them accept CAP_SYS_ADMIN only.
  if (level === null || level <= 2 || held(facts, 'CAP_SYS_ADMIN')) return ok('perf_event_paranoid', value);
  return warn(
    'perf_event_paranoid',
    value,
    'this level may refuse probes to a process without CAP_SYS_ADMIN',
    'sysctl kernel.perf_event_paranoid=2, or run with sudo.',
  );
}

/** Settings that decide nothing by themselves and that an auditor asks for. */
function settings(facts: HostFacts): Check {
  const shown = (value: number | string | null) => value ?? 'absent';
  return ok(
    'settings',
    `cgroup ${shown(facts.cgroup)}`,
    `ptrace_scope ${shown(facts.ptraceScope)}, unprivileged_bpf_disabled ${shown(facts.unprivilegedBpfDisabled)}`,
  );
}

function libbpfCheck({ libbpf }: BpfTrial): Check {
  if (libbpf !== null) return ok('libbpf', libbpf);
  return fail(
    'libbpf',
    'not found',
    'libbpf.so.1 (1.0 or newer) loads the BPF object',
    'Install it: apt-get install libbpf1 (Debian, Ubuntu), dnf install libbpf (RHEL, Fedora), zypper install libbpf1 (SUSE).',
  );
}

function bpfCheck(facts: HostFacts, trial: BpfTrial): Check {
  if (trial.ok) return ok('bpf', 'loads and attaches', trial.detail);
  const prerequisites = [
    trial.libbpf === null ? 'libbpf' : '',
    facts.btf ? '' : 'btf',
    held(facts, 'CAP_BPF', 'CAP_SYS_ADMIN') && held(facts, 'CAP_PERFMON', 'CAP_SYS_ADMIN')
      ? ''
      : 'privileges',
    facts.lockdown === 'confidentiality' ? 'lockdown' : '',
  ].filter((name) => name !== '');
  return fail(
    'bpf',
    'refused',
    trial.detail,
    prerequisites.length > 0
      ? `Mend ${prerequisites.join(', ')} first, then check again.`
      : 'Linux 5.15 or newer is needed, and before 6.6 CAP_SYS_ADMIN (there are no multi-uprobe links). Seccomp profiles of containers and security modules refuse bpf(2) too; if it is none of these, report the message.',
  );
}

function multiCheck({ uprobeMulti }: BpfTrial): Check {
  if (uprobeMulti === null) return warn('uprobe_multi', 'not tried', 'the BPF object did not load');
  if (uprobeMulti) return ok('uprobe_multi', 'available', 'one link per library file');
  return warn(
    'uprobe_multi',
    'not in this kernel',
    'one perf link per probe is used: attaching takes longer, hits cost the same',
  );
}

function returnsCheck({ seen, known }: FilteredReturns, confined: readonly ConfinedProcess[]): Check {
  const count = `${confined.length} confined ${confined.length === 1 ? 'process' : 'processes'}`;
  if (!seen) return ok('return probes', count, `seccomp filters do not see them on this kernel (${known})`);
  const named = confined.map(({ pid, comm, library }) => visible(`${comm} (${pid}, ${library})`)).join(', ');
  return warn(
    'return probes',
    count,
    `on this kernel (${known}) a seccomp filter that does not allow uretprobe() kills a process when a probed function returns, so trace leaves return probes out and calls have no duration${named === '' ? '' : `: ${named}`}`,
    'Boot Linux 6.14 or newer, or a release of 6.12 or 6.13 with its correction; where no traced process is behind a filter, trace with --return-probes always.',
  );
}

function networkCheck({ network }: HostFacts): Check {
  if (network === 'refused') {
    return ok(
      'network',
      'refused',
      'the kernel refuses this process every socket that leaves the host (seccomp)',
    );
  }
  return fail(
    'network',
    'not refused',
    'this process could open an internet socket: it could not be sealed, and no other command runs',
    'Allow seccomp(2) where a sandbox refuses it, or boot a kernel built with CONFIG_SECCOMP_FILTER=y.',
  );
}

function policyCheck(policy: PolicyEvidence): Check {
  if (policy === null)
    return ok('policy', 'none', 'this host does not restrict ingero (/etc/ingero/policy.yaml)');
  if ('failure' in policy) {
    return fail(
      'policy',
      'cannot be followed',
      policy.failure,
      'Have it mended by who looks after this host.',
    );
  }
  const broken = policy.verdicts.filter((verdict) => !verdict.ok);
  const told = (broken.length > 0 ? broken : policy.verdicts)
    .map(({ rule, detail }) => `${rule}: ${detail}`)
    .join('; ');
  if (broken.length === 0) return ok('policy', policy.path, told);
  return fail(
    'policy',
    policy.path,
    told,
    'Tracing is not allowed on a host like this one; docs/policy.md explains the rules.',
  );
}

function packCheck(pack: PackLibraries): Check {
  const name = `pack ${pack.pack}`;
  const usable = pack.libraries.filter((library) => library.problem === null);
  const broken = pack.libraries.filter((library) => library.problem !== null);
  const probes = usable.reduce((sum, { probes: p }) => sum + p.emulated + p.single_step, 0);
  const slow = usable.reduce((sum, library) => sum + library.probes.single_step, 0);
  const value = `${usable.length} ${usable.length === 1 ? 'library' : 'libraries'}, ${probes} probes`;
  if (broken.length > 0) {
    return warn(name, value, broken.map((library) => library.problem).join('; '));
  }
  if (usable.length === 0) {
    const ignored = pack.ignored.map(({ path, reason }) => `${path}: ${reason}`).join('; ');
    return warn(
      name,
      `no ${pack.sonames.join(', ')}`,
      ignored === '' ? 'a program may still bring its own, in a container or an environment' : ignored,
      'Start the program first and trace it by --pid, or let ingero start it; --verbose lists the places searched.',
    );
  }
  return ok(
    name,
    value,
    slow === 0 ? 'all cheap to hit' : `${slow} of them single-stepped: a hit costs several times more`,
  );
}

function gpuCheck({ driverVersion, gpus }: GpuInventory): Check {
  if (driverVersion === null) {
    return warn('gpu', 'no NVIDIA driver', 'calls are traced without one; they will return errors');
  }
  const models = [...new Set(gpus.map((gpu) => gpu.model ?? 'unknown model'))].join(', ');
  if (gpus.length === 0) return warn('gpu', `driver ${driverVersion}`, 'the driver lists no GPU');
  return ok('gpu', `${gpus.length} x ${models}`, `driver ${driverVersion}`);
}

const MARKS: Readonly<Record<CheckStatus, string>> = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' };

/**
 * The report as aligned lines for a terminal; what has to be mended says how on a line of its own. Files are named by whoever
 * made them: nothing in a name acts on the terminal.
 */
export function formatReport(report: HostReport): string[] {
  const names = Math.max(...report.checks.map((check) => check.name.length));
  const values = Math.min(36, Math.max(...report.checks.map((check) => check.value.length)));
  const lines = report.checks.flatMap((check) => {
    const head = `${MARKS[check.status]}  ${check.name.padEnd(names)}  ${check.value.padEnd(values)}`;
    const line = check.detail === '' ? head.trimEnd() : `${head}  ${check.detail}`;
    return check.next === null ? [line] : [line, `      ${' '.repeat(names)}  next: ${check.next}`];
  });
  const libraries = report.libraries.map((library) => {
    const { emulated, single_step, missing } = library.probes;
    const counts =
      library.problem ?? `${emulated} cheap, ${single_step} single-stepped, ${missing} not in this version`;
    return `  ${library.path}  build-id ${library.build_id ?? 'none'}  ${counts}`;
  });
  const failed = report.checks.filter((check) => check.status === 'fail').map((check) => check.name);
  return [
    ...lines,
    ...(libraries.length === 0 ? [] : ['', 'Libraries:', ...libraries]),
    '',
    report.ready ? 'Ready to trace.' : `Not ready: ${failed.join(', ')}.`,
  ].map(visibleLines);
}
