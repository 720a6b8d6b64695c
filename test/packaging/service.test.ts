import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { available } from '../packs/support/tools.js';

const SERVICE = join(PACKAGE_ROOT, 'packaging/service');
const UNIT = readFileSync(join(SERVICE, 'ingero-trace.service'), 'utf8');
const EXPOSURE_LIMIT = 2;
const MIB = 2 ** 20;

let work: string;
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'ingero-service-'));
});
afterEach(() => rmSync(work, { recursive: true, force: true }));

/** Values of a key of the unit, in order. */
const settings = (key: string): string[] =>
  [...UNIT.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value]) => value as string);

describe('the unit', () => {
  test('gives four capabilities, no network, and one folder to write', () => {
    const four = ['CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_DAC_READ_SEARCH'];
    expect(settings('AmbientCapabilities')).toEqual(four);
    expect(settings('CapabilityBoundingSet')).toEqual(four);
    for (const [key, value] of [
      ['User', 'ingero'],
      ['NoNewPrivileges', 'yes'],
      ['PrivateNetwork', 'yes'],
      ['RestrictAddressFamilies', 'AF_UNIX'],
      ['ProtectSystem', 'strict'],
      ['StateDirectory', 'ingero'],
      ['StateDirectoryMode', '0700'],
      ['Restart', 'always'],
    ] as const)
      expect([key, settings(key)]).toEqual([key, [value]]);
    expect(settings('ReadWritePaths')).toEqual([]);
  });

  describe.skipIf(!available('systemd-analyze', '--version'))('as systemd reads it', () => {
    test('is valid', () => {
      const unit = join(work, 'ingero-trace.service');
      // Neither the program nor its manual are installed here.
      writeFileSync(
        unit,
        UNIT.replace(/^Documentation=.*$/m, '').replace(
          /^ExecStart=.*$/m,
          `ExecStart=${SERVICE}/trace-round`,
        ),
      );
      const verified = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
      expect(verified.stderr.split('\n').filter((line) => line.includes('ingero-trace'))).toEqual([]);
      expect(verified.status).toBe(0);
    });

    test('is exposed to little', () => {
      const rated = execFileSync(
        'systemd-analyze',
        ['security', '--offline=yes', join(SERVICE, 'ingero-trace.service')],
        { encoding: 'utf8' },
      );
      expect(Number(/exposure level[^:]*: ([\d.]+)/.exec(rated)?.[1])).toBeLessThan(EXPOSURE_LIMIT);
    });
  });
});

describe('a round', () => {
  /** An installation whose ingero prints its arguments, and the folder of its captures. */
  function install(): { state: string; round(env?: Record<string, string>): ReturnType<typeof run> } {
    for (const folder of ['bin', 'service', 'state']) mkdirSync(join(work, folder));
    cpSync(join(SERVICE, 'trace-round'), join(work, 'service/trace-round'));
    writeFileSync(join(work, 'bin/ingero'), '#!/bin/sh\nprintf "%s\\n" "$@"\n');
    chmodSync(join(work, 'bin/ingero'), 0o755);
    const state = join(work, 'state');
    return { state, round: (env) => run({ STATE_DIRECTORY: state, ...env }) };
  }
  const run = (env: Record<string, string>) =>
    spawnSync(join(work, 'service/trace-round'), {
      encoding: 'utf8',
      env: { PATH: '/usr/bin:/bin', ...env },
    });
  /** A capture of so many MiB (without blocks on the disk) that ended so many days ago. */
  function capture(path: string, mib: number, days = 0): void {
    writeFileSync(path, '');
    truncateSync(path, mib * MIB);
    const ended = Date.now() / 1000 - days * 86_400 - 3600;
    utimesSync(path, ended, ended);
  }

  test('is one capture, named by its start, within its bounds', () => {
    const { state, round } = install();
    const { status, stdout, stderr } = round({
      INGERO_ROUND: '5m',
      INGERO_ROUND_MIB: '64',
      INGERO_OPTIONS: '--pack nccl',
    });
    expect([status, stderr]).toEqual([0, '']);
    const [command, , out, ...rest] = stdout.trim().split('\n');
    expect(command).toBe('trace');
    expect(out?.replace(/\d/g, '0')).toBe(`${state}/trace-00000000T000000Z.duckdb`.replace(/\d/g, '0'));
    expect(rest).toEqual([
      ...['--duration', '5m', '--max-size', '64MiB', '--keep-privileges', 'find', '--pack', 'nccl'],
    ]);
  });

  test('removes captures by age, then the oldest until a round fits, and nothing else', () => {
    const { state, round } = install();
    capture(join(state, 'trace-20260101T000000Z.duckdb'), 1, 8);
    capture(join(state, 'trace-20260101T000000Z.duckdb.wal'), 1, 8);
    capture(join(state, 'trace-20260102T000000Z.duckdb'), 40, 3);
    capture(join(state, 'trace-20260102T000000Z.duckdb.wal'), 30, 3);
    capture(join(state, 'trace-20260103T000000Z.duckdb'), 30, 2);
    capture(join(state, 'trace-20260104T000000Z.duckdb'), 40, 1);
    capture(join(state, 'kept.duckdb'), 500, 30);
    expect(round({ INGERO_ROUND_MIB: '30', INGERO_KEEP_MIB: '100' }).status).toBe(0);
    expect(readdirSync(state).sort()).toEqual([
      'kept.duckdb',
      'trace-20260103T000000Z.duckdb',
      'trace-20260104T000000Z.duckdb',
    ]);
    expect(round({ INGERO_ROUND_MIB: '90', INGERO_KEEP_MIB: '100' }).status).toBe(0);
    expect(readdirSync(state)).toEqual(['kept.duckdb']);
  });

  test.each(['1G', '-1', '0', ' '])('a limit of %j is refused, and removes nothing', (limit) => {
    const { state, round } = install();
    capture(join(state, 'trace-20260104T000000Z.duckdb'), 1, 100);
    expect(round({ INGERO_KEEP_MIB: limit }).status).toBe(2);
    expect(readdirSync(state)).toHaveLength(1);
  });

  test('a total that has no room for one round is refused, and removes nothing', () => {
    const { state, round } = install();
    capture(join(state, 'trace-20260104T000000Z.duckdb'), 1, 1);
    const { status, stderr } = round({ INGERO_ROUND_MIB: '1024', INGERO_KEEP_MIB: '512' });
    expect([status, stderr]).toEqual([2, expect.stringContaining('INGERO_KEEP_MIB')]);
    expect(readdirSync(state)).toHaveLength(1);
  });
});
