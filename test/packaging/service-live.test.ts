import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { capabilitySet } from '../../src/trust/capabilities.js';
import { expectComplete, one } from '../trace/support/capture.js';
import { requireRootAndBpf } from '../trace/support/root.js';
import { copyWorkload, type Workload } from '../trace/support/workload.js';

const SYSTEMD = '/lib/systemd/systemd';
const UNIT = 'ingero-trace';
/** Where the kernel's one hierarchy of control groups is mounted, for systemd to have a part of it. */
const CGROUP = readFileSync('/proc/mounts', 'utf8')
  .split('\n')
  .map((line) => line.split(' '))
  .find(([, , type, options]) => type === 'cgroup2' && options?.startsWith('rw'))?.[1];

const canBoot = requireRootAndBpf() && existsSync(SYSTEMD) && CGROUP !== undefined;

describe.skipIf(!canBoot)('the service under a systemd of its own', () => {
  const dir = mkdtempSync(join(tmpdir(), 'ingero-systemd-'));
  const group = join(CGROUP ?? '', `ingero-${process.pid}`);
  let workload: Workload;
  let outside: ReturnType<typeof spawn>;
  let init = 0;

  /** Runs a command beside systemd, as root, and returns what it printed. */
  const inside = (...command: string[]): string =>
    spawnSync('nsenter', ['-t', String(init), '-m', '-p', '-C', '-n', '-i', '-u', ...command], {
      encoding: 'utf8',
      timeout: 30_000,
    }).stdout;
  const shown = (property: string): string =>
    inside('systemctl', 'show', '--property', property, '--value', UNIT).trim();
  const state = (): string => `/proc/${init}/root/var/lib/ingero`;
  const captures = (): string[] =>
    existsSync(state())
      ? readdirSync(state())
          .filter((name) => name.endsWith('.duckdb'))
          .sort()
      : [];
  /** A copy that DuckDB finds: it follows the link to the root and loses the way. */
  const copied = (name: string): string => {
    cpSync(join(state(), name), join(dir, name));
    return join(dir, name);
  };
  const until = async (what: string, holds: () => boolean): Promise<void> => {
    for (const deadline = Date.now() + 60_000; !holds(); await sleep(200)) {
      if (Date.now() > deadline) {
        throw new Error(`too late: ${what}\n${inside('systemctl', 'status', '--no-pager', '--full', UNIT)}`);
      }
    }
  };
  const settings = (lines: readonly string[]): void =>
    writeFileSync(`/proc/${init}/root/etc/ingero/service.env`, `${lines.join('\n')}\n`);

  beforeAll(async () => {
    workload = copyWorkload();
    const folder = join(dir, 'package');
    execFileSync(process.execPath, ['packaging/bundle.mjs', folder], { cwd: PACKAGE_ROOT });
    cpSync(join(PACKAGE_ROOT, 'packaging/service'), join(folder, 'service'), { recursive: true });
    mkdirSync(join(folder, 'runtime'));
    cpSync(process.execPath, join(folder, 'runtime/node'));
    chmodSync(dir, 0o755);
    mkdirSync(join(dir, 'mount'));
    const script = join(PACKAGE_ROOT, 'test/packaging/support/boot-systemd.sh');
    outside = spawn('sh', [script, join(dir, 'mount'), folder, workload.dir, group], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const children = `/proc/${outside.pid}/task/${outside.pid}/children`;
    await until('the first process', () => {
      init = Number(readFileSync(children, 'utf8').trim().split(' ')[0]);
      return init > 0 && readFileSync(`/proc/${init}/comm`, 'utf8') === 'systemd\n';
    });
    await until('systemd is up', () => /running|degraded/.test(inside('systemctl', 'is-system-running')));
  });
  afterAll(async () => {
    // With the first process of their namespace all others go.
    outside?.kill('SIGKILL');
    for (let tries = 0; tries < 50 && existsSync(`/proc/${init}`); tries++) await sleep(100);
    spawnSync('find', [group, '-depth', '-type', 'd', '-exec', 'rmdir', '{}', ';'], { stdio: 'ignore' });
    rmSync(dir, { recursive: true, force: true });
    workload?.remove();
  });

  test('runs with the rights the unit gives, round after round, and stops when told to', {
    timeout: 120_000,
  }, async () => {
    settings(['INGERO_ROUND=3s', 'INGERO_ROUND_MIB=64']);
    inside('systemd-run', '--unit=job', '/opt/job/gpu-scenarios', 'steady', '1000000', '--pause-us', '2000');
    expect(inside('systemctl', 'start', UNIT)).toBe('');
    await until('a capture', () => captures().length > 0);

    const main = shown('MainPID');
    const status = inside('cat', `/proc/${main}/status`);
    const uid = inside('id', '-u', 'ingero').trim();
    const field = (name: string): string | undefined =>
      new RegExp(`^${name}:\\s+(.*)$`, 'm').exec(status)?.[1];
    const finding = capabilitySet(['CAP_SYS_PTRACE', 'CAP_DAC_READ_SEARCH']);
    expect(Number(uid)).toBeGreaterThan(0);
    expect(field('Uid')?.split('\t')).toEqual([uid, uid, uid, uid]);
    expect(field('NoNewPrivs')).toBe('1');
    expect(field('Seccomp')).toBe('2');
    expect(BigInt(`0x${field('CapEff')}`)).toBe(finding);
    expect(BigInt(`0x${field('CapPrm')}`)).toBe(finding);
    expect(BigInt(`0x${field('CapAmb')}`)).toBe(0n);
    expect(BigInt(`0x${field('CapBnd')}`)).toBe(finding | capabilitySet(['CAP_BPF', 'CAP_PERFMON']));

    const network = (pid: string): string => inside('readlink', `/proc/${pid}/ns/net`);
    expect(network(main)).not.toBe(network('1'));
    expect(inside('cat', `/proc/${main}/net/dev`).match(/^\s*\S+:/gm)).toHaveLength(1);
    const mounts = inside('cat', `/proc/${main}/mountinfo`)
      .trim()
      .split('\n')
      .map((line) => line.split(' '));
    const writable = (path: string): boolean | undefined =>
      mounts
        .filter((mount) => mount[4] === path)
        .at(-1)?.[5]
        ?.startsWith('rw');
    expect([writable('/'), writable('/var/lib/ingero')]).toEqual([false, true]);

    await until('a second round', () => captures().length > 1);
    const [first] = captures() as [string];
    const { uid: owner, mode } = statSync(join(state(), first));
    expect([String(owner), mode & 0o777, statSync(state()).mode & 0o777]).toEqual([uid, 0o600, 0o700]);
    const capture = copied(first);
    await expectComplete(capture);
    expect(
      await one(
        capture,
        `SELECT end_reason::VARCHAR AS ended, target, privileges, return_probes, (SELECT count(*) > 0 FROM cuda_events) AS calls
         FROM capture`,
      ),
    ).toEqual({
      ended: 'duration',
      target: 'all processes',
      privileges: 'same user, only CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH',
      return_probes: 'placed',
      calls: true,
    });

    inside('systemctl', 'stop', UNIT);
    expect([shown('ActiveState'), shown('Result')]).toEqual(['inactive', 'success']);
    const last = copied(captures().at(-1) as string);
    await expectComplete(last);
    expect(await one(last, 'SELECT end_reason::VARCHAR AS ended FROM capture')).toEqual({
      ended: 'terminated',
    });
    expect(inside('journalctl', '--no-pager', '--unit', UNIT)).toMatch(/rows; ended: duration/);
  });

  test('stays down where another try would not help', async () => {
    settings(['INGERO_OPTIONS=--no-such-option']);
    inside('systemctl', 'start', UNIT);
    await until('the failure', () => shown('ActiveState') === 'failed');
    expect([shown('ExecMainStatus'), shown('NRestarts')]).toEqual(['2', '0']);
  });
});
