import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { capabilitySet } from '../../src/trust/capabilities.js';
import { planPrivileges } from '../../src/trust/privileges.js';
import { expectComplete, one, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type RunningTrace, type Tracer, truthOf } from './support/tracer.js';
import { copyWorkload, startWaiting, type Truth, type Waiting, type Workload } from './support/workload.js';

/** The user `nobody`, which every system has. */
const NOBODY = 65534;
const SUDO = { SUDO_UID: String(NOBODY), SUDO_GID: String(NOBODY), SUDO_USER: 'nobody' };

/** Loads the library named by its argument after a while, and calls it a while later. */
const LATE = `
#include <dlfcn.h>
#include <unistd.h>
int main(int argc, char **argv) {
  usleep(1000000);
  void *handle = argc > 1 ? dlopen(argv[1], RTLD_NOW) : 0;
  if (!handle) return 1;
  int (*synchronize)(void) = (int (*)(void))dlsym(handle, "cudaDeviceSynchronize");
  usleep(1000000);
  for (int i = 0; i < 7; i++) synchronize();
  return 0;
}
`;

/** Lines of /proc/PID/status that say what a thread may do. */
function rights(status: string): Record<string, string> {
  const lines = [
    ...status.matchAll(
      /^(Uid|Gid|Groups|Cap\w+|NoNewPrivs|Seccomp|Seccomp_filters|SigIgn|SigBlk):[ \t]*(.*?)[ \t]*$/gm,
    ),
  ];
  return Object.fromEntries(lines.map(([, name, value]) => [name as string, value as string]));
}

/** Rights of every thread of a process. */
function threadsOf(pid: number): Record<string, string>[] {
  return readdirSync(`/proc/${pid}/task`).map((tid) =>
    rights(readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8')),
  );
}

describe('the plan', () => {
  const all = capabilitySet([
    'CAP_SYS_PTRACE',
    'CAP_DAC_READ_SEARCH',
    'CAP_PERFMON',
    'CAP_BPF',
    'CAP_SYS_ADMIN',
  ]);
  const user = { uid: 1000, gid: 1000, name: 'op', home: '/home/op', shell: '/bin/sh' };
  const request = {
    keep: 'auto',
    user,
    uid: 0,
    othersToo: false,
    attachMethod: 'uprobe-multi',
    held: all,
  } as const;

  test('nothing is kept where processes of one user are traced, nor where nothing may be kept', () => {
    expect(planPrivileges(request).keep).toEqual([]);
    expect(planPrivileges({ ...request, user: null, uid: 1000 }).keep).toEqual([]);
    expect(planPrivileges({ ...request, othersToo: true, keep: 'none' })).toMatchObject({
      keep: [],
      reason: 'libraries that appear later in processes of other users are not looked for',
    });
  });

  test('looking into processes of others, and of root, takes two; perf links one more', () => {
    const finding = ['CAP_SYS_PTRACE', 'CAP_DAC_READ_SEARCH'];
    expect(planPrivileges({ ...request, othersToo: true }).keep).toEqual(finding);
    expect(planPrivileges({ ...request, user: null }).keep).toEqual(finding);
    expect(planPrivileges({ ...request, keep: 'find' }).keep).toEqual(finding);
    expect(planPrivileges({ ...request, keep: 'find', attachMethod: 'perf-link' }).keep).toEqual([
      ...finding,
      'CAP_PERFMON',
      'CAP_SYS_ADMIN',
    ]);
  });

  test('what is not held cannot be kept', () => {
    expect(planPrivileges({ ...request, keep: 'find', held: capabilitySet(['CAP_BPF']) }).keep).toEqual([]);
  });
});

describe.skipIf(!requireRootAndBpf())('privileges', () => {
  let tracer: Tracer;
  let workload: Workload;
  /** In a folder only root may look into. */
  let privateCopy: Workload;
  const started: Waiting[] = [];
  beforeAll(async () => {
    workload = copyWorkload();
    privateCopy = copyWorkload();
    tracer = await buildTracer();
    chmodSync(tracer.dir, 0o755);
    chmodSync(workload.dir, 0o755);
  });
  afterEach(() => {
    for (const process of started.splice(0)) process.kill();
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
    privateCopy?.remove();
  });

  /** A path in a folder of the user nobody. */
  function outOfNobody(name: string): string {
    const dir = join(tracer.dir, name);
    mkdirSync(dir);
    chownSync(dir, NOBODY, NOBODY);
    return join(dir, 'run.duckdb');
  }

  async function eventsFlow(trace: RunningTrace): Promise<void> {
    await trace.recording();
    const size = (): number =>
      statSync(trace.capture).size + (statSync(`${trace.capture}.wal`, { throwIfNoEntry: false })?.size ?? 0);
    const before = size();
    for (let tries = 0; size() < before + 20_000; tries++) {
      if (tries > 200) throw new Error('no events arrive');
      await sleep(50);
    }
  }

  test('under sudo: while events flow every thread is the calling user, without any capability', async () => {
    const out = outOfNobody('sudo');
    const trace = tracer.start(['--', workload.gpuScenarios, 'steady', '1000000', '--pause-us', '300'], {
      out,
      env: SUDO,
    });
    await eventsFlow(trace);
    const threads = threadsOf(trace.pid);
    expect(threads.length).toBeGreaterThan(3);
    for (const thread of threads) {
      expect(thread).toMatchObject({
        Uid: [NOBODY, NOBODY, NOBODY, NOBODY].join('\t'),
        Gid: [NOBODY, NOBODY, NOBODY, NOBODY].join('\t'),
        CapInh: '0000000000000000',
        CapPrm: '0000000000000000',
        CapEff: '0000000000000000',
        CapAmb: '0000000000000000',
        NoNewPrivs: '1',
        Seccomp: '2',
        Seccomp_filters: '2',
      });
    }
    trace.signal('SIGINT');
    const result = await trace.ended;
    execFileSync('pkill', ['-f', workload.gpuScenarios]);
    expect(result.code).toBe(0);
    await expectComplete(out);
    const { uid, gid, mode } = statSync(out);
    expect([uid, gid, mode & 0o777]).toEqual([NOBODY, NOBODY, 0o600]);
    expect(readdirSync(join(out, '..'))).toEqual(['run.duckdb']);
    expect(await query(out, 'SELECT DISTINCT uid, exe FROM processes')).toEqual([
      { uid: NOBODY, exe: workload.gpuScenarios },
    ]);
  });

  test('a library that the command of another user loads late is found without any capability', async () => {
    const out = outOfNobody('late');
    const program = join(workload.dir, 'late');
    writeFileSync(`${program}.c`, LATE);
    execFileSync(process.env.CC ?? 'cc', ['-o', program, `${program}.c`, '-ldl']);
    const result = await tracer.run(['--', program, workload.cudart], { out, env: SUDO });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(out);
    expect(await one(out, 'SELECT count(*)::INTEGER AS calls FROM cuda_events')).toEqual({ calls: 7 });
  });

  test('the command has none of it: rights, environment and streams are as if started by hand', async () => {
    const out = outOfNobody('untouched');
    const script = `cat /proc/self/status; echo "$HOME $USER $LOGNAME"; umask; pwd; ls /proc/self/fd | tr '\\n' ' '; echo`;
    const hand = execFileSync(
      'setpriv',
      ['--reuid', `${NOBODY}`, '--regid', `${NOBODY}`, '--init-groups', '/bin/sh', '-c', script],
      {
        encoding: 'utf8',
        env: { ...process.env, HOME: '/nonexistent', USER: 'nobody', LOGNAME: 'nobody' },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const { stdout } = await tracer.run(['--', '/bin/sh', '-c', script], { out, env: SUDO });
    expect(rights(stdout)).toEqual(rights(hand));
    expect(rights(hand)).toMatchObject({ NoNewPrivs: '0', Seccomp: '0' });
    const rest = (text: string): string[] =>
      text.split('\n').slice(text.split('\n').findIndex((line) => line.startsWith('/nonexistent')));
    expect(rest(stdout).slice(0, 4)).toEqual(rest(hand).slice(0, 4));
  });

  test('the command of root keeps what root has, and can open an internet socket', async () => {
    const script = `const { readFileSync } = require('node:fs');
      require('node:dgram').createSocket('udp4').bind(0, '127.0.0.1', function () {
        this.close();
        process.stdout.write('bound\\n' + readFileSync('/proc/self/status', 'utf8'));
      });`;
    const { stdout } = await tracer.run(['--', process.execPath, '-e', script]);
    expect(stdout).toContain('bound\n');
    const own = rights(readFileSync('/proc/self/status', 'utf8'));
    expect(rights(stdout)).toEqual({ ...own, SigIgn: expect.any(String), SigBlk: expect.any(String) });
  });

  test('--user names whom to become; root alone can', async () => {
    const out = outOfNobody('named');
    const result = await tracer.run(['--user', 'nobody', '--', '/bin/sh', '-c', 'id -u'], { out });
    expect(result.stdout.split('\n')[0]).toBe(String(NOBODY));
    const unknown = await tracer.run(['--json', '--user', 'no-such-user', '--', '/bin/true']);
    expect(unknown.code).toBe(4);
    expect(JSON.parse(unknown.stdout)).toMatchObject({ error: { code: 'no-such-user' } });
    const wrapper = ['setpriv', '--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'];
    const refused = await tracer.run(['--json', '--user', 'root', '--', '/bin/true'], { wrapper });
    expect(JSON.parse(refused.stdout)).toMatchObject({ error: { code: 'not-root' } });
  });

  test.each([
    ['auto', capabilitySet(['CAP_SYS_PTRACE', 'CAP_DAC_READ_SEARCH'])],
    ['none', 0n],
  ])('root itself, --keep-privileges %s', async (keep, expected) => {
    const process = await startWaiting(workload.gpuScenarios, ['steady', '1000000', '--pause-us', '300']);
    started.push(process);
    const trace = tracer.start(['--keep-privileges', keep, '--pid', String(process.pid)]);
    await trace.attached(workload.cudart);
    process.go();
    await eventsFlow(trace);
    const main = rights(readFileSync(`/proc/${trace.pid}/status`, 'utf8'));
    expect(main).toMatchObject({
      CapEff: expected.toString(16).padStart(16, '0'),
      CapPrm: expected.toString(16).padStart(16, '0'),
      NoNewPrivs: '1',
      Seccomp_filters: '2',
    });
    trace.signal('SIGINT');
    expect((await trace.ended).code).toBe(0);
    await expectComplete(trace.capture);
  });

  describe('without root', () => {
    const as = (...caps: string[]): string[] => {
      const set = caps.map((name) => `+${name}`).join(',');
      return [
        'setpriv',
        ...['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups'],
        ...(caps.length === 0 ? [] : ['--inh-caps', set, '--ambient-caps', set]),
      ];
    };

    test('CAP_BPF and CAP_PERFMON are enough to trace what the user runs', async () => {
      const out = outOfNobody('ambient');
      const result = await tracer.run(['--', workload.gpuScenarios, 'steady', '20'], {
        out,
        wrapper: as('bpf', 'perfmon'),
        env: { HOME: tracer.dir },
      });
      expect(result).toMatchObject({ code: 0, stderr: '' });
      await expectComplete(out);
      expect(truthOf<Truth>(result).calls).toBeGreaterThan(100);
      const { rows } = await one(out, 'SELECT count(*)::INTEGER AS rows FROM cuda_events');
      expect(rows).toBeGreaterThan(100);
    });

    test.each([['bpf'], ['perfmon'], ['sys_ptrace']])('%s alone is not', async (name) => {
      const out = outOfNobody(`only-${name}`);
      const result = await tracer.run(['--json', '--', '/bin/true'], { out, wrapper: as(name) });
      expect(result.code).toBe(3);
      expect(JSON.parse(result.stdout)).toMatchObject({ error: { code: 'bpf-load' } });
    });

    test.each([
      ['where everybody may read', ['bpf', 'perfmon', 'sys_ptrace'], true],
      ['in a private folder', ['bpf', 'perfmon', 'sys_ptrace'], false],
      ['in a private folder', ['bpf', 'perfmon', 'sys_ptrace', 'dac_read_search'], true],
      ['in another mount namespace', ['bpf', 'perfmon', 'dac_read_search'], false],
      ['in another mount namespace', ['bpf', 'perfmon', 'sys_ptrace'], true],
    ])('a library of another user %s, with %j: found %j', async (place, held, isFound) => {
      const program = {
        'where everybody may read': workload.gpuScenarios,
        'in a private folder': privateCopy.gpuScenarios,
        'in another mount namespace': join(workload.dir, 'elsewhere'),
      }[place] as string;
      writeFileSync(
        join(workload.dir, 'elsewhere'),
        `#!/bin/sh
         exec unshare --mount sh -c 'mount -t tmpfs none /mnt && cp -a ${workload.dir} /mnt/job &&
           exec /mnt/job/gpu-scenarios "$@"' sh "$@"`,
        { mode: 0o755 },
      );
      const process = await startWaiting(program, ['steady', '1000000', '--pause-us', '300']);
      started.push(process);
      process.go();
      const out = outOfNobody([...place.split(' '), ...held].join('-'));
      const result = await tracer.run(['--pid', String(process.pid), '--duration', '1500ms'], {
        out,
        wrapper: as(...held),
        env: { HOME: tracer.dir },
      });
      expect(result.stderr).toBe('');
      const { calls } = await one(out, 'SELECT count(*)::INTEGER AS calls FROM cuda_events');
      expect([(calls as number) > 0, result.code]).toEqual([isFound, expect.any(Number)]);
    });

    test('file capabilities of Node.js do as well; the command has none of them', async ({ skip }) => {
      const node = join(tracer.dir, 'node');
      copyFileSync(process.execPath, node);
      const { status } = spawnSync('setcap', ['cap_bpf,cap_perfmon+ep', node]);
      if (status !== 0) skip('no setcap (libcap2-bin), or a file system without extended attributes');
      const out = outOfNobody('file');
      const options = { out, node, wrapper: as(), env: { HOME: tracer.dir } };
      const result = await tracer.run(['--', workload.gpuScenarios, 'steady', '20'], options);
      expect(result).toMatchObject({ code: 0, stderr: '' });
      await expectComplete(out);
      const { calls } = await one(out, 'SELECT count(*)::INTEGER AS calls FROM cuda_events');
      expect(calls).toBeGreaterThan(100);
      const { stdout } = await tracer.run(['--force', '--', '/bin/cat', '/proc/self/status'], options);
      expect(rights(stdout)).toMatchObject({ CapPrm: '0000000000000000', CapAmb: '0000000000000000' });
    });

    test('perf links take CAP_SYS_ADMIN, and what is refused is said before there is a capture', async () => {
      const out = outOfNobody('perf');
      // One function: hundreds of perf links take the kernel a minute to remove.
      const pack = join(tracer.dir, 'one.yaml');
      writeFileSync(
        pack,
        `name: one
version: 1.0.0
description: One function
layer: runtime
libraries:
  - soname: libcudart.so.*
table: cuda_events
probes:
  - prototype: int cudaMalloc(void **devPtr, size_t size)
`,
      );
      const run = (...caps: string[]) =>
        tracer.run(
          [
            ...['--json', '--force', '--attach-method', 'perf-link', '--pack', pack],
            ...['--', workload.gpuScenarios, 'steady', '20'],
          ],
          { out, wrapper: as(...caps), env: { HOME: tracer.dir } },
        );
      const { code, stdout } = await run('bpf', 'perfmon');
      // Kernels without the correction of 2025 take CAP_PERFMON.
      if (code !== 0) {
        expect([code, JSON.parse(stdout)]).toMatchObject([3, { error: { code: 'probes-refused' } }]);
        expect(readdirSync(join(out, '..'))).toEqual([]);
      }
      expect((await run('bpf', 'sys_admin')).code).toBe(0);
      await expectComplete(out);
    });
  });
});
