import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import {
  accounting,
  expectComplete,
  one,
  opsIn,
  probed,
  query,
  REGISTRATIONS,
  recordedCalls,
  unfinishedQueries,
} from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, summaryOf, type Tracer, truthOf } from './support/tracer.js';
import {
  copyWorkload,
  startWaiting,
  type Truth,
  truthLines,
  type Waiting,
  type Workload,
} from './support/workload.js';

/** A program that has nothing to do with CUDA until it is told to load the library, and then calls it. */
const LATE = `
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
  const char *library = argv[argc - 1];
  printf("{\\"ready\\":true,\\"pid\\":%d}\\n", getpid());
  fflush(stdout);
  getchar();
  void *handle = dlopen(library, RTLD_NOW);
  int (*synchronize)(void) = handle ? (int (*)(void))dlsym(handle, "cudaDeviceSynchronize") : NULL;
  printf("{\\"loaded\\":%s}\\n", synchronize ? "true" : "false");
  fflush(stdout);
  getchar();
  for (int i = 0; i < 7; i++) synchronize();
  return 0;
}
`;

const LOADER = process.arch === 'arm64' ? '/lib/ld-linux-aarch64.so.1' : '/lib64/ld-linux-x86-64.so.2';

/** Opens three libraries from a folder it makes up itself, and calls each a little later. */
const WANDERER = `
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
int main(void) {
  char path[4096];
  printf("{\\"ready\\":true,\\"pid\\":%d}\\n", getpid());
  fflush(stdout);
  getchar();
  for (int i = 0; i < 3; i++) {
    sprintf(path, "%s/%d/libcudart.so.13", FOLDER, i);
    void *handle = dlopen(path, RTLD_NOW);
    int (*synchronize)(void) = handle ? (int (*)(void))dlsym(handle, "cudaDeviceSynchronize") : NULL;
    usleep(600000);
    for (int n = 0; synchronize && n < 7; n++) synchronize();
  }
  printf("{\\"done\\":true}\\n");
  return 0;
}
`;

describe.skipIf(!requireRootAndBpf())('the target of a trace', () => {
  let tracer: Tracer;
  let workload: Workload;
  const started: Waiting[] = [];
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
  });
  afterEach(() => {
    for (const process of started.splice(0)) process.kill();
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
  });

  async function waiting(program: string, ...args: string[]): Promise<Waiting> {
    const process = await startWaiting(program, args);
    started.push(process);
    return process;
  }

  /** Lets a waiting process run to its end and returns what it called. */
  async function finish(process: Waiting): Promise<Truth> {
    process.go();
    return truthLines<Truth>(await process.done).at(-1) as Truth;
  }

  const calls = (truth: Truth): number => recordedCalls(truth.ops);

  test('libraries opened from unknown folders are probed soon, where all is traced', async () => {
    const folder = join(workload.dir, 'unknown');
    for (const name of ['0', '1', '2']) {
      mkdirSync(join(folder, name), { recursive: true });
      for (const file of ['libcudart.so.13', 'libcuda.so.1'])
        copyFileSync(join(workload.libraries, file), join(folder, name, file));
    }
    const program = join(workload.dir, 'wanderer');
    writeFileSync(`${program}.c`, WANDERER);
    execFileSync('gcc', [`-DFOLDER="${folder}"`, '-o', program, `${program}.c`, '-ldl']);
    const wanderer = await waiting(program);
    const trace = tracer.start(['--json']);
    await trace.attached(realpathSync(LOADER));
    await trace.recording();
    // What watches over the trace starts with the recording.
    await sleep(500);
    wanderer.go();
    await wanderer.done;
    trace.signal('SIGINT');
    await trace.ended;
    expect(
      await query(
        trace.capture,
        `SELECT l.path, count(*)::INTEGER AS calls FROM cuda_events JOIN probes USING (probe_id) JOIN libraries l USING (library_id)
         WHERE pid = ${wanderer.pid} GROUP BY ALL ORDER BY path`,
      ),
    ).toEqual(['0', '1', '2'].map((name) => ({ path: join(folder, name, 'libcudart.so.13'), calls: 7 })));
  });

  test('--pid: the running process and no other on the same library; its end ends the trace', async () => {
    const wanted = await waiting(workload.gpuScenarios, 'steady', '3');
    const other = await waiting(workload.gpuScenarios, 'steady', '2');
    const trace = tracer.start(['--json', '--pid', String(wanted.pid)]);
    await trace.attached(workload.cudart);
    const ignored = await finish(other);
    const truth = await finish(wanted);
    const result = await trace.ended;
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(trace.capture);
    expect(await opsIn(trace.capture)).toEqual(probed(truth.ops));
    expect(await query(trace.capture, 'SELECT DISTINCT pid FROM cuda_events')).toEqual([{ pid: wanted.pid }]);
    expect(await accounting(trace.capture)).toMatchObject({
      rows: calls(truth),
      filtered: calls(ignored),
      hits: calls(truth) + calls(ignored),
      orphan_returns: 0,
    });
    expect(summaryOf(result)).toMatchObject({ end_reason: 'target-exited', end_detail: null });
    expect(await one(trace.capture, 'SELECT target FROM capture')).toEqual({ target: `pid ${wanted.pid}` });
    const [process] = await query(
      trace.capture,
      'SELECT pid, exe, comm, command_line::VARCHAR AS argv FROM processes',
    );
    expect(process).toEqual({
      pid: wanted.pid,
      exe: workload.gpuScenarios,
      comm: 'gpu-scenarios',
      argv: `[${workload.gpuScenarios}, --wait, steady, 3]`,
    });
  });

  test('--comm: processes of that name, the one running and one that starts later', async () => {
    const [named, unnamed] = ['job', 'oth'].map((name) => join(workload.dir, `${name}-${process.pid}`)) as [
      string,
      string,
    ];
    for (const copy of [named, unnamed]) copyFileSync(workload.gpuScenarios, copy);
    const early = await waiting(named, 'steady', '1');
    const trace = tracer.start(['--json', '--comm', basename(named)]);
    await trace.attached(workload.cudart);
    const late = await waiting(named, 'steady', '2');
    const other = await waiting(unnamed, 'steady', '3');
    const truths = [await finish(early), await finish(late)];
    const ignored = await finish(other);
    trace.signal('SIGINT');
    expect(await trace.ended).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(trace.capture);
    for (const truth of truths) {
      expect(await opsIn(trace.capture, `pid = ${truth.pid}`)).toEqual(probed(truth.ops));
    }
    const sums = await accounting(trace.capture);
    // The late ones register their kernels while they are traced.
    expect(sums).toMatchObject({
      rows: truths.map(calls).reduce((a, b) => a + b) + REGISTRATIONS,
      filtered: calls(ignored) + REGISTRATIONS,
    });
  });

  test('no target: processes that run, and one that starts after the trace', async () => {
    const early = await waiting(workload.gpuScenarios, 'steady', '1');
    const trace = tracer.start(['--json']);
    await trace.attached(workload.cudart);
    const late = await waiting(workload.gpuScenarios, 'errors', '1');
    const truths = [await finish(early), await finish(late)];
    trace.signal('SIGINT');
    const result = await trace.ended;
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(trace.capture);
    // Others may use CUDA on this host meanwhile; what they do is not looked at.
    for (const truth of truths) {
      expect(await opsIn(trace.capture, `pid = ${truth.pid}`)).toEqual(probed(truth.ops));
    }
    const unfinished = truths.reduce((sum, { ops }) => sum + unfinishedQueries(ops), 0);
    expect(summaryOf(result).accounting).toMatchObject({ filtered: unfinished, sampled: 0, lost: 0 });
    expect(await one(trace.capture, 'SELECT target FROM capture')).toEqual({ target: 'all processes' });
  });

  test('a library that is loaded late by dlopen is found while the process runs', async () => {
    const program = join(workload.dir, 'late');
    writeFileSync(`${program}.c`, LATE);
    execFileSync(process.env.CC ?? 'cc', ['-o', program, `${program}.c`, '-ldl']);
    const late = await waiting(program, workload.cudart);
    const trace = tracer.start(['--json', '--pid', String(late.pid)]);
    await trace.recording();
    late.go();
    expect(await late.line()).toBe('{"loaded":true}');
    await trace.attached(workload.cudart);
    late.go();
    const result = await trace.ended;
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(trace.capture);
    expect(
      await query(
        trace.capture,
        'SELECT op::VARCHAR AS op, count(*)::INTEGER AS calls FROM cuda_events GROUP BY ALL',
      ),
    ).toEqual([{ op: 'cudaDeviceSynchronize', calls: 7 }]);
    expect(
      await query(
        trace.capture,
        `SELECT l.path, found_by, l.state::VARCHAR AS state FROM libraries l JOIN probes USING (library_id)
         JOIN cuda_events USING (probe_id) GROUP BY ALL`,
      ),
    ).toEqual([{ path: workload.cudart, found_by: `maps:${late.pid}`, state: 'traced' }]);
  });

  test('a library whose file was deleted while it is mapped', async () => {
    const private_ = copyWorkload();
    try {
      const process = await waiting(private_.gpuScenarios, 'steady', '1');
      rmSync(private_.cudart);
      const trace = tracer.start(['--json', '--pid', String(process.pid)]);
      await trace.attached(private_.cudart);
      const truth = await finish(process);
      expect(await trace.ended).toMatchObject({ code: 0, stderr: '' });
      await expectComplete(trace.capture);
      expect(await opsIn(trace.capture)).toEqual(probed(truth.ops));
    } finally {
      private_.remove();
    }
  });

  test('two traces at once record the same calls', async () => {
    const process = await waiting(workload.gpuScenarios, 'steady', '2');
    const traces = [0, 1].map(() => tracer.start(['--json', '--pid', String(process.pid)]));
    for (const trace of traces) await trace.attached(workload.cudart);
    const truth = await finish(process);
    for (const trace of traces) {
      expect(await trace.ended).toMatchObject({ code: 0, stderr: '' });
      await expectComplete(trace.capture);
      expect(await opsIn(trace.capture)).toEqual(probed(truth.ops));
    }
  });

  test('a pack whose library is nowhere: an empty capture that says so, and exit code 4', async () => {
    const pack = join(PACKAGE_ROOT, 'test', 'trace', 'packs', 'absent.yaml');
    const result = await tracer.run(['--pack', pack, '--', '/bin/sh', '-c', 'exit 3']);
    expect(result.code).toBe(4);
    expect(result.stderr).toContain('No library found yet; watching for one. Looked at: ');
    expect(result.stdout.split('\n')).toEqual([
      `${result.capture}: 0 rows; ended: target-exited (exit status 3)`,
      '0 hits = 0 rows + 0 filtered + 0 lost',
      'No probe was attached: run-query what-was-attached says why.',
      '',
    ]);
    await expectComplete(result.capture);
    expect(await query(result.capture, 'SELECT op, state::VARCHAR AS state, reason FROM probes')).toEqual([
      { op: 'absent_function', state: 'skipped', reason: 'no library file was found' },
    ]);
  });

  test('the words of a command come in their order, also those that repeat or are values of flags', async () => {
    const words = ['--lr', '1', '--epochs', '1', '30s', 'cuda-runtime'];
    const script = `printf '<%s>' "$@"; echo; exec ${workload.gpuScenarios} steady 1`;
    const flags = ['--duration', '30s', '--pack', 'cuda-runtime'];
    const result = await tracer.run([...flags, '--', 'sh', '-c', script, 'sh', ...words]);
    expect(result.stdout).toContain(words.map((word) => `<${word}>`).join(''));
    expect(result.code).toBe(0);
    const stray = await tracer.run(['steady', '--', workload.gpuScenarios, 'steady', '1']);
    expect(stray.code).toBe(2);
    expect(stray.stderr).toContain('steady does not');
  });

  test('the status of a command is reported, and the trace of it succeeds all the same', async () => {
    // An unknown scenario: usage, exit status 2.
    const result = await tracer.run(['--json', '--', workload.gpuScenarios, 'nonsense']);
    expect(result.code).toBe(0);
    expect(summaryOf(result)).toMatchObject({
      command_status: 2,
      end_detail: 'exit status 2',
      rows: REGISTRATIONS,
    });
  });

  test('output in a pipe: two lines at the end, nothing on stderr', async () => {
    const result = await tracer.run(['--', workload.gpuScenarios, 'steady', '1']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const truth = truthOf<Truth>(result);
    const rows = calls(truth) + REGISTRATIONS;
    expect(result.stdout.split('\n').filter((line) => !line.startsWith('{'))).toEqual([
      `${result.capture}: ${rows} rows; ended: target-exited (exit status 0)`,
      `${rows} hits = ${rows} rows + 0 filtered + 0 lost`,
      '',
    ]);
  });

  test('--json: the documented shape', async () => {
    const result = await tracer.run(['--json', '--', workload.gpuScenarios, 'steady', '1']);
    const rows = calls(truthOf<Truth>(result)) + REGISTRATIONS;
    expect(summaryOf(result)).toEqual({
      capture: result.capture,
      end_reason: 'target-exited',
      end_detail: 'exit status 0',
      rows,
      libraries: expect.any(Number),
      probes: { attached: expect.any(Number), failed: 0 },
      attach_method: 'uprobe-multi',
      return_probes: { placed: true, detail: 'placed', seen_by_filters: false, confined: [] },
      accounting: { hits: rows, rows, filtered: 0, sampled: 0, lost: 0, balanced: true },
      overhead_percent: expect.any(Number),
      ring_high_water: expect.any(Number),
      failure: null,
      command_status: 0,
    });
  });
});
