import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { confinedProcesses } from '../../src/discovery/confined.js';
import {
  type HostFacts,
  parseCapabilities,
  parseCgroupVersion,
  parseLockdown,
  readHostFacts,
} from '../../src/discovery/host.js';
import type { PackLibraries } from '../../src/discovery/pack-libraries.js';
import { readProcess } from '../../src/discovery/processes.js';
import { EXIT } from '../../src/errors.js';
import { tryBpf } from '../../src/loader/trial.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import {
  type BpfTrial,
  type CheckStatus,
  checkHost,
  formatReport,
  type HostEvidence,
  type HostReport,
} from '../../src/trust/host-check.js';
import { buildCli, type Cli } from '../support/cli.js';

/** Maps a library; its second argument says whether it, or one thread of it, is behind a seccomp filter (that allows everything). */
const CONFINED = `
#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <pthread.h>
#include <unistd.h>
static void *filtered(void *none) {
  struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog filter = {1, &allow};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) _exit(2);
  puts("ready");
  fflush(stdout);
  pause();
  return none;
}
int main(int argc, char **argv) {
  pthread_t thread;
  if (argc < 3 || !dlopen(argv[1], RTLD_NOW) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return 1;
  if (argv[2][0] == 'f') filtered(0);
  if (argv[2][0] == 't' && pthread_create(&thread, 0, filtered, 0)) return 3;
  if (argv[2][0] == 'n') puts("ready");
  fflush(stdout);
  pause();
}
`;

const caps = (...bits: number[]) => bits.reduce((set, bit) => set | (1n << BigInt(bit)), 0n);
const BPF = 39;
const PERFMON = 38;
const ADMIN = 21;

const facts: HostFacts = {
  platform: 'linux',
  arch: 'x64',
  kernel: '6.1.0-28-amd64',
  uid: 0,
  capabilities: 0x1ffffffffffn,
  btf: true,
  uprobes: true,
  lockdown: 'none',
  perfEventParanoid: 2,
  ptraceScope: 1,
  unprivilegedBpfDisabled: 2,
  cgroup: 'v2',
  hostPids: true,
  network: 'refused',
};
const trial: BpfTrial = { ok: true, uprobeMulti: true, detail: '9 programs', libbpf: 'libbpf.so.1 v1.1' };
const pack: PackLibraries = {
  pack: 'cuda-runtime',
  sonames: ['libcudart.so.*'],
  functions: 90,
  libraries: [
    {
      pack: 'cuda-runtime',
      path: '/usr/local/cuda-13.0/lib64/libcudart.so.13.0.96',
      soname: 'libcudart.so.13',
      version: '13.0.96',
      build_id: '2a12a4a442f0edf6eab8241fdeedb40019c4256c',
      found_by: 'ld.so.cache',
      probes: { emulated: 88, single_step: 0, missing: 2 },
      problem: null,
    },
  ],
  files: [],
  searched: ['/usr/lib'],
  ignored: [],
};
const gpu = {
  driverVersion: '550.163.01',
  gpus: [{ busId: '0000:01:00.0', model: 'NVIDIA H100', uuid: 'GPU-1', minor: 0 }],
};
const host: HostEvidence = {
  facts,
  trial,
  packs: [pack],
  gpu,
  policy: null,
  returns: { seen: false, known: 'tried' },
  confined: [],
};

const refused: BpfTrial = {
  ok: false,
  uprobeMulti: null,
  detail: 'bpf_object__load: Operation not permitted',
  libbpf: 'libbpf.so.1 v1.1',
};

function statuses(report: HostReport, status: CheckStatus): string[] {
  return report.checks.filter((check) => check.status === status).map((check) => check.name);
}

test('a host with everything is ready, and every row says so', () => {
  const report = checkHost(host);
  expect(report.ready).toBe(true);
  expect(statuses(report, 'ok')).toHaveLength(report.checks.length);
  expect(report.checks.every((check) => check.next === null)).toBe(true);
  expect(report.libraries).toEqual(pack.libraries);
  expect(report.gpus).toEqual([{ bus_id: '0000:01:00.0', model: 'NVIDIA H100', uuid: 'GPU-1', minor: 0 }]);
});

describe('hosts that cannot trace', () => {
  const cases: [string, Partial<HostFacts>, Partial<BpfTrial>, string[], RegExp][] = [
    ['without privilege', { uid: 1000, capabilities: 0n }, refused, ['privileges', 'bpf'], /sudo/],
    ['with CAP_BPF but not CAP_PERFMON', { capabilities: caps(BPF) }, refused, ['privileges', 'bpf'], /sudo/],
    ['without type information', { btf: false }, refused, ['btf', 'bpf'], /CONFIG_DEBUG_INFO_BTF/],
    ['without uprobes', { uprobes: false }, refused, ['uprobes', 'bpf'], /CONFIG_UPROBE_EVENTS/],
    [
      'locked down for confidentiality',
      { lockdown: 'confidentiality' },
      refused,
      ['lockdown', 'bpf'],
      /lockdown=integrity/,
    ],
    ['without libbpf', {}, { ...refused, libbpf: null }, ['libbpf', 'bpf'], /apt-get install libbpf1/],
    ['refused by something else', {}, refused, ['bpf'], /[Ss]eccomp/],
    ['not sealed off the network', { network: 'allowed' }, {}, ['network'], /seccomp/],
    ['of another system', { platform: 'darwin' }, refused, ['system', 'bpf'], /such a host/],
    ['of another architecture', { arch: 'riscv64' }, refused, ['system', 'bpf'], /such a host/],
  ];
  test.each(cases)('%s', (_name, changed, tried, failing, advice) => {
    const report = checkHost({ ...host, facts: { ...facts, ...changed }, trial: { ...trial, ...tried } });
    expect(report.ready).toBe(false);
    expect(statuses(report, 'fail')).toEqual(failing);
    for (const check of report.checks) {
      if (check.status === 'fail') expect(check.next, check.name).toMatch(/\w{3}/);
    }
    expect(report.checks.find((check) => check.name === failing[0])?.next).toMatch(advice);
    const text = formatReport(report);
    expect(text.at(-1)).toBe(`Not ready: ${failing.join(', ')}.`);
    expect(text.filter((line) => line.startsWith('FAIL'))).toHaveLength(failing.length);
    expect(text.filter((line) => /^\s+next: /.test(line)).length).toBeGreaterThanOrEqual(failing.length);
  });

  test.each([
    [
      {
        path: '/etc/ingero/policy.yaml',
        verdicts: [{ rule: 'host.kernel', ok: false, detail: 'kernel 6.1, at least 6.6' }],
      },
      'host.kernel: kernel 6.1, at least 6.6',
    ],
    [{ failure: 'The policy cannot be relied on.' }, 'The policy cannot be relied on.'],
  ])('a policy that does not allow it: %j', (policy, detail) => {
    const report = checkHost({ ...host, policy });
    expect(statuses(report, 'fail')).toEqual(['policy']);
    expect(report.checks.find(({ name }) => name === 'policy')).toMatchObject({ detail });
  });

  test('the refusal points at what is missing before it', () => {
    const report = checkHost({
      ...host,
      facts: { ...facts, capabilities: 0n, btf: false },
      trial: { ...refused, libbpf: null },
    });
    expect(report.checks.find((check) => check.name === 'bpf')).toMatchObject({
      detail: refused.detail,
      next: 'Mend libbpf, btf, privileges first, then check again.',
    });
  });
});

describe('hosts that can trace, with something to know', () => {
  const ready = (changed: Partial<HostFacts>, rest: Partial<HostEvidence> = {}) => {
    const report = checkHost({ ...host, ...rest, facts: { ...facts, ...changed } });
    expect(report.ready).toBe(true);
    return statuses(report, 'warn');
  };
  test.each<[string, Partial<HostFacts>, string[]]>([
    ['only the two capabilities', { capabilities: caps(BPF, PERFMON) }, ['processes']],
    ['CAP_SYS_ADMIN alone, as before Linux 5.8', { capabilities: caps(ADMIN) }, ['processes']],
    ['a pid namespace of its own', { hostPids: false }, ['pids']],
    [
      'a paranoid level that may refuse',
      { perfEventParanoid: 4, capabilities: caps(BPF, PERFMON, 19, 2, 40) },
      ['perf_event_paranoid'],
    ],
    ['the same level as root', { perfEventParanoid: 4 }, []],
    ['lockdown for integrity', { lockdown: 'integrity' }, []],
    ['lockdown that did not stop the trial', { lockdown: 'confidentiality' }, ['lockdown']],
    [
      'nothing known of the settings',
      {
        lockdown: null,
        perfEventParanoid: null,
        ptraceScope: null,
        unprivilegedBpfDisabled: null,
        cgroup: null,
        hostPids: null,
      },
      [],
    ],
  ])('%s', (_name, changed, expected) => expect(ready(changed)).toEqual(expected));

  test('no GPU, no driver', () => {
    expect(ready({}, { gpu: { driverVersion: null, gpus: [] } })).toEqual(['gpu']);
    expect(ready({}, { gpu: { driverVersion: '550.163.01', gpus: [] } })).toEqual(['gpu']);
  });

  test('a kernel without multi-uprobe links', () => {
    expect(ready({}, { trial: { ...trial, uprobeMulti: false } })).toEqual(['uprobe_multi']);
  });

  test('no library yet: what was ignored is told', () => {
    const ignored = [{ path: '/x/stubs/libcudart.so.13', reason: 'a link-time stub' }];
    const report = checkHost({ ...host, packs: [{ ...pack, libraries: [], ignored }] });
    expect(report.ready).toBe(true);
    expect(report.checks.find((check) => check.name === 'pack cuda-runtime')).toMatchObject({
      status: 'warn',
      value: 'no libcudart.so.*',
      detail: '/x/stubs/libcudart.so.13: a link-time stub',
    });
  });

  test('a library that cannot be read, and one that is dear to probe', () => {
    const [library] = pack.libraries;
    if (library === undefined) throw new Error('no library');
    const withLibrary = (changed: Partial<typeof library>) =>
      checkHost({ ...host, packs: [{ ...pack, libraries: [{ ...library, ...changed }] }] }).checks.find(
        (check) => check.name === 'pack cuda-runtime',
      );
    expect(withLibrary({ problem: '/x: section header 0 lies outside the file' })).toMatchObject({
      status: 'warn',
      value: '0 libraries, 0 probes',
    });
    expect(withLibrary({ probes: { emulated: 80, single_step: 8, missing: 2 } })).toMatchObject({
      status: 'ok',
      value: '1 library, 88 probes',
      detail: expect.stringContaining('8 of them single-stepped'),
    });
  });
});

describe('return probes of confined processes', () => {
  const confined = [{ pid: 42, comm: 'python3\u001b[2J', library: '/opt/libcudart.so.13' }];
  const row = (seen: boolean, processes = confined) =>
    checkHost({ ...host, returns: { seen, known: 'tried' }, confined: processes }).checks.find(
      ({ name }) => name === 'return probes',
    );

  test('a kernel that lets filters see them: said, with the processes', () => {
    expect(row(true)).toMatchObject({
      status: 'warn',
      value: '1 confined process',
      detail: expect.stringMatching(/: python3\\x1b\[2J \(42, \/opt\/libcudart\.so\.13\)$/),
      next: expect.stringContaining('--return-probes always'),
    });
    expect(row(true, [])).toMatchObject({ status: 'warn', value: '0 confined processes' });
  });

  test('any other kernel: nothing to fear', () => {
    expect(row(false)).toMatchObject({ status: 'ok', value: '1 confined process', next: null });
  });

  test('they are found by their filter and the library they map', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'ingero-confined-'));
    const library = join(dir, 'libcudart.so.13');
    const program = join(dir, 'program');
    const cc = process.env.CC ?? 'cc';
    execFileSync(cc, ['-shared', '-o', library, '-xc', '-'], { input: 'int stub;' });
    execFileSync(cc, ['-o', program, '-xc', '-', '-ldl', '-pthread'], { input: CONFINED });
    const children = ['filter', 'thread', 'none'].map((mode) =>
      spawn(program, [library, mode], { stdio: ['ignore', 'pipe', 'inherit'] }),
    );
    try {
      await Promise.all(children.map((child) => once(child.stdout, 'data')));
      const [filtered, withFilteredThread] = children.map(({ pid }) => pid as number);
      const found = confinedProcesses([{ path: library, inode: statSync(library).ino }]);
      expect(found).toEqual([filtered, withFilteredThread].map((pid) => ({ pid, comm: 'program', library })));
      expect(children.map(({ pid }) => readProcess(pid as number).seccomp)).toEqual([
        'filter',
        'none',
        'none',
      ]);
    } finally {
      for (const child of children) child.kill('SIGKILL');
      rmSync(dir, { recursive: true });
    }
  });
});

test('a file another user has named cannot act on the terminal', () => {
  const ignored = [{ path: '/tmp/\x1b[2J/libcudart.so.13', reason: 'a link-time stub' }];
  const text = formatReport(checkHost({ ...host, packs: [{ ...pack, libraries: [], ignored }] })).join('\n');
  expect(text).toContain('/tmp/\\x1b[2J/libcudart.so.13');
  expect(text).not.toContain('\x1b');
});

test('the report fits a screen and lines up', () => {
  const text = formatReport(checkHost(host));
  expect(text.length).toBeLessThan(24);
  expect(text.slice(0, 4)).toEqual([
    'ok    system               linux 6.1.0-28-amd64 x64',
    'ok    btf                  /sys/kernel/btf/vmlinux',
    'ok    uprobes              available',
    'ok    lockdown             none',
  ]);
  expect(text.join('\n')).toContain(
    '  /usr/local/cuda-13.0/lib64/libcudart.so.13.0.96  build-id 2a12a4a442f0edf6eab8241fdeedb40019c4256c  88 cheap, 0 single-stepped, 2 not in this version',
  );
  expect(text.at(-1)).toBe('Ready to trace.');
});

test('facts are read as the kernel writes them', async () => {
  expect(parseCapabilities('Name:\tx\nCapPrm:\t0000000000000001\nCapEff:\t000000c000200000\n')).toBe(
    caps(BPF, PERFMON, ADMIN),
  );
  expect(parseCapabilities(null)).toBeNull();
  expect(parseLockdown('none [integrity] confidentiality')).toBe('integrity');
  expect(parseLockdown('[none] integrity confidentiality')).toBe('none');
  expect(parseLockdown(null)).toBeNull();
  expect(parseCgroupVersion('cgroup2 /sys/fs/cgroup cgroup2 rw 0 0')).toBe('v2');
  expect(
    parseCgroupVersion('tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/cpu cgroup rw 0 0'),
  ).toBe('v1');
  expect(parseCgroupVersion('cgroup /a cgroup rw 0 0\ncgroup2 /b cgroup2 rw 0 0')).toBe('hybrid');
  expect(parseCgroupVersion('proc /proc proc rw 0 0')).toBeNull();
  const read = await readHostFacts();
  expect(read).toMatchObject({ platform: 'linux', arch: process.arch, uid: process.getuid?.() });
  expect(read.capabilities).not.toBeNull();
});

describe('the command', () => {
  let cli: Cli;
  beforeAll(async () => {
    cli = await buildCli();
    // The BPF object is package data under src/.
    const sources = join(dirname(dirname(cli.bin)), 'src');
    if (!existsSync(sources)) symlinkSync(join(PACKAGE_ROOT, 'src'), sources);
  });
  afterAll(() => cli.remove());

  test('--json has a stable shape, and its exit code agrees with it', async () => {
    const { code, stdout } = await cli.run(['check', '--json']);
    const report = JSON.parse(stdout) as HostReport;
    expect(Object.keys(report)).toEqual(['ready', 'checks', 'libraries', 'gpus']);
    expect(code).toBe(report.ready ? EXIT.ok : EXIT.notReady);
    const bpf = report.checks.find((check) => check.name === 'bpf');
    const tried = tryBpf();
    expect(bpf?.status, bpf?.detail).toBe(tried.ok ? 'ok' : 'fail');
    expect(report.ready).toBe(tried.ok);
    for (const check of report.checks) {
      expect(Object.keys(check)).toEqual(['name', 'status', 'value', 'detail', 'next']);
    }
    expect(report.checks.map((check) => check.name)).toEqual(
      expect.arrayContaining([
        'system',
        'btf',
        'uprobes',
        'lockdown',
        'privileges',
        'libbpf',
        'bpf',
        'pack cuda-runtime',
        'gpu',
      ]),
    );
    for (const library of report.libraries) {
      expect(library.probes.emulated + library.probes.single_step).toBeGreaterThan(50);
    }
  });

  test('as text it fits a screen and says what follows', async () => {
    const { code, stdout, stderr } = await cli.run(['check']);
    const lines = stdout.trimEnd().split('\n');
    expect(stderr).toBe('');
    expect(lines.length).toBeLessThan(45);
    expect(lines.at(-1)).toMatch(code === EXIT.ok ? /^Ready to trace\.$/ : /^Not ready: /);
    const verbose = await cli.run(['check', '--verbose']);
    expect(verbose.stdout).toContain('Searched for cuda-runtime:');
    expect(verbose.stdout).toContain('/etc/ld.so.cache');
  });

  test.skipIf(process.getuid?.() !== 0)(
    'without privilege it is not ready, and says what to do',
    async () => {
      // Root with an empty capability bounding set: the files stay readable, the privileges are gone.
      const { status, stdout } = spawnSync(
        'setpriv',
        ['--bounding-set=-all', process.execPath, cli.bin, 'check', '--json'],
        { encoding: 'utf8' },
      );
      expect(status).toBe(EXIT.notReady);
      const report = JSON.parse(stdout) as HostReport;
      expect(report.ready).toBe(false);
      expect(statuses(report, 'fail')).toEqual(expect.arrayContaining(['privileges', 'bpf']));
      expect(statuses(report, 'warn')).toContain('processes');
    },
  );
});
