import { spawn } from 'node:child_process';
import { afterAll, describe, expect, test } from 'vitest';
import {
  containerIdOf,
  listPids,
  parseCgroup,
  parseStat,
  pidsByComm,
  readProcess,
  threadName,
  threadsOf,
} from '../../src/discovery/processes.js';
import { compile, scratch } from './build.js';

const folder = scratch();
const program = compile(
  `${folder}/a very-long) (name`,
  `#define _GNU_SOURCE
   #include <pthread.h>
   #include <stdio.h>
   #include <unistd.h>
   static void *idle(void *x) { pthread_setname_np(pthread_self(), "worker"); puts("up"); fflush(stdout); pause(); return x; }
   int main(void) { pthread_t t; pthread_create(&t, 0, idle, 0); pause(); }`,
  '-pthread',
);
const child = spawn(program, ['one', '', 'two words'], {
  env: {
    RANK: '3',
    LOCAL_RANK: '1',
    OMPI_COMM_WORLD_RANK: '9',
    SLURM_NTASKS: '16',
    WORLD_SIZE: 'many',
    CUDA_VISIBLE_DEVICES: '0,MIG-1',
  },
  stdio: ['ignore', 'pipe', 'ignore'],
});
const started = BigInt(Date.now()) * 1_000_000n;
const ready = new Promise((resolve) => child.stdout.once('data', resolve));
afterAll(() => child.kill());
const pid = child.pid ?? 0;

test('a process as /proc shows it', async () => {
  await ready;
  const info = readProcess(pid);
  expect(info).toMatchObject({
    pid,
    ppid: process.pid,
    uid: process.getuid?.(),
    comm: 'a very-long) (n',
    exe: program,
    commandLine: [program, 'one', '', 'two words'],
    rank: 3,
    localRank: 1,
    worldSize: 16,
    visibleDevices: '0,MIG-1',
  });
  const off = Number((info.startedAtNs ?? 0n) - started) / 1e6;
  expect(Math.abs(off)).toBeLessThan(500);
});

test('pids, threads and names', async () => {
  await ready;
  expect(listPids()).toContain(pid);
  expect(listPids()).toContain(1);
  expect(pidsByComm('a very-long) (name')).toContain(pid);
  expect(pidsByComm('no such name')).toEqual([]);
  const tids = threadsOf(pid);
  expect(tids).toHaveLength(2);
  expect(tids[0]).toBe(pid);
  expect(threadName(pid, tids[1] ?? 0)).toBe('worker');
});

test('a process that is not there gives nulls', () => {
  const gone = 0x3fffff;
  const { pid: shown, ...rest } = readProcess(gone);
  expect(shown).toBe(gone);
  expect(Object.values(rest).every((value) => value === null)).toBe(true);
  expect(threadsOf(gone)).toEqual([]);
  expect(threadName(gone, gone)).toBeNull();
});

test('a kernel thread or zombie has no command line', () => {
  expect(parseStat('2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 7 0 0')).toEqual({
    comm: 'kthreadd',
    ppid: 0,
    startTicks: 7n,
  });
  expect(parseStat('')).toBeNull();
  expect(parseStat(null)).toBeNull();
});

const ID = '0123456789abcdef'.repeat(4);
describe('container ids', () => {
  test.each([
    ['Docker, version 1', `/docker/${ID}`],
    ['Docker, systemd', `/system.slice/docker-${ID}.scope`],
    [
      'containerd, systemd',
      `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-${ID}.scope`,
    ],
    ['containerd, colons', `/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:${ID}`],
    ['Kubernetes, version 1', `/kubepods/burstable/pod6a1e7c8e-0000-4000-8000-000000000000/${ID}`],
    ['CRI-O', `/kubepods.slice/kubepods-pod1.slice/crio-${ID}.scope`],
    ['Podman', `/machine.slice/libpod-${ID}.scope`],
    [
      'Podman, rootless, below',
      `/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-${ID}.scope/container`,
    ],
    ['Docker in Docker: the inner one', `/docker/${'f'.repeat(64)}/docker/${ID}`],
  ])('%s', (_name, path) => expect(containerIdOf(path)).toBe(ID));

  test.each([
    ['no container', '/user.slice/user-1000.slice/session-3.scope'],
    ['the root', '/'],
    ['a monitor beside a container', `/machine.slice/libpod-conmon-${ID}.scope`],
    ['a CRI-O monitor', `/kubepods.slice/crio-conmon-${ID}.scope`],
    ['a shorter number', '/docker/0123456789abcdef'],
  ])('%s', (_name, path) => expect(containerIdOf(path)).toBeNull());

  test('AWS Fargate tasks', () => {
    expect(containerIdOf('/ecs/0a1b2c3d4e5f60718293a4b5c6d7e8f9-1234567890')).toBe(
      '0a1b2c3d4e5f60718293a4b5c6d7e8f9-1234567890',
    );
  });
});

test('control groups: unified first, then systemd, then whatever is used', () => {
  expect(parseCgroup('0::/user.slice')).toBe('/user.slice');
  expect(parseCgroup('9:name=systemd:/a\n4:memory:/b\n0::/')).toBe('/a');
  expect(parseCgroup('9:name=systemd:/\n4:memory:/b\n0::/')).toBe('/b');
  expect(parseCgroup('9:name=systemd:/a\n0::/c')).toBe('/c');
  expect(parseCgroup('0::/with:colon')).toBe('/with:colon');
  expect(parseCgroup('0::/')).toBe('/');
  expect(parseCgroup('')).toBeNull();
  expect(parseCgroup(null)).toBeNull();
});
