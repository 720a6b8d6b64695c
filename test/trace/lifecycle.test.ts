import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { readClockAnchor } from '../../src/capture/clock.js';
import { accounting, expectBalanced, expectComplete, one, opsIn, probed } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, summaryOf, type TraceResult, type Tracer } from './support/tracer.js';
import {
  copyWorkload,
  startWaiting,
  type Truth,
  truthLines,
  type Waiting,
  type Workload,
} from './support/workload.js';

describe.skipIf(!requireRootAndBpf())('a trace', () => {
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

  async function waiting(...args: string[]): Promise<Waiting> {
    const process = await startWaiting(workload.gpuScenarios, args);
    started.push(process);
    return process;
  }

  /** Runs a trace that has to be refused, and returns how. No capture may be left behind. */
  async function refusal(
    args: readonly string[],
    options: Parameters<Tracer['run']>[1] = {},
  ): Promise<{ exit: number | null; code: string; message: string; next: string }> {
    const result = await tracer.run(['--json', ...args], options);
    const { error } = JSON.parse(result.stdout) as {
      error: { code: string; message: string; next?: string };
    };
    return { exit: result.code, code: error.code, message: error.message, next: error.next ?? '' };
  }

  const steady = (): string[] => ['--', workload.gpuScenarios, 'steady', '1'];

  describe('is refused, and leaves no file,', () => {
    test('without privileges', async () => {
      const dir = mkdtempSync(join(tracer.dir, 'open-'));
      chmodSync(tracer.dir, 0o755);
      chmodSync(dir, 0o777);
      const out = join(dir, 'r.duckdb');
      const wrapper = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'];
      const refused = await refusal(['--', '/bin/true'], { wrapper, out, env: { HOME: dir } });
      expect(refused).toMatchObject({ exit: 3, code: 'bpf-load' });
      expect(refused.message).toMatch(
        /kernel refused the BPF object: (Operation not permitted|Permission denied)/,
      );
      expect(refused.next).toContain('ingero check');
      expect(existsSync(out)).toBe(false);
    });

    test('without libbpf', async () => {
      const out = tracer.path();
      const hide =
        'for l in $(ldconfig -p | sed -n "s/.*libbpf\\.so\\.1 .*=> //p"); do mount --bind /dev/null "$(readlink -f "$l")"; done; exec "$@"';
      const refused = await refusal(steady(), { wrapper: ['unshare', '-m', 'sh', '-c', hide, 'sh'], out });
      expect(refused).toMatchObject({ exit: 3, code: 'no-libbpf' });
      expect(refused.message).toContain('libbpf was not found');
      expect(refused.next).toContain('apt-get install libbpf1');
      expect(existsSync(out)).toBe(false);
    });

    test('without type information of the kernel', async () => {
      const out = tracer.path();
      // libbpf also looks for a kernel image with types in these folders.
      const hide =
        'for d in /sys/kernel/btf /boot /lib/modules; do [ ! -d $d ] || mount -t tmpfs none $d; done; exec "$@"';
      const refused = await refusal(steady(), { wrapper: ['unshare', '-m', 'sh', '-c', hide, 'sh'], out });
      expect(refused).toMatchObject({ exit: 3, code: 'bpf-load' });
      expect(refused.message).toMatch(/BTF/);
      expect(existsSync(out)).toBe(false);
    });

    test('for a process that does not exist', async () => {
      const out = tracer.path();
      const pid = Number(readFileSync('/proc/sys/kernel/pid_max', 'utf8')) - 1;
      expect(await refusal(['--pid', String(pid)], { out })).toMatchObject({
        exit: 4,
        code: 'no-such-process',
        message: `There is no process ${pid}.`,
      });
      expect(existsSync(out)).toBe(false);
    });

    test('for a command that does not exist', async () => {
      const out = tracer.path();
      expect(await refusal(['--', 'no-such-program-anywhere'], { out })).toMatchObject({
        exit: 4,
        code: 'command-not-found',
      });
      expect(existsSync(out)).toBe(false);
    });

    test.each([['5'], ['-1s'], ['0s'], ['soon'], ['1y'], ['30d']])(
      'for the duration %s',
      async (duration) => {
        const out = tracer.path();
        expect(await refusal([`--duration=${duration}`, ...steady()], { out })).toMatchObject({
          exit: 2,
          code: 'bad-duration',
        });
        expect(existsSync(out)).toBe(false);
      },
    );

    test('where the directory is missing, read-only or too small', async () => {
      const missing = join(tracer.dir, 'missing', 'r.duckdb');
      expect(await refusal(steady(), { out: missing })).toMatchObject({ exit: 5, code: 'output-directory' });
      const small = join(tracer.dir, 'small');
      mkdirSync(small);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', small]);
      try {
        const out = join(small, 'r.duckdb');
        expect(await refusal(steady(), { out })).toMatchObject({ exit: 5, code: 'output-space' });
        execFileSync('mount', ['-o', 'remount,ro', small]);
        expect(await refusal(steady(), { out })).toMatchObject({ exit: 5, code: 'output-directory' });
        expect(existsSync(out)).toBe(false);
      } finally {
        execFileSync('umount', [small]);
      }
    });
  });

  test('does not replace a file unless told to, and then only a capture', async () => {
    const out = tracer.path();
    writeFileSync(out, 'precious');
    expect(await refusal(steady(), { out })).toMatchObject({ exit: 5, code: 'output-exists' });
    expect(readFileSync(out, 'utf8')).toBe('precious');
    // Refused for another reason, the file is still there.
    expect(await refusal(['--force', '--', 'no-such-program-anywhere'], { out })).toMatchObject({ exit: 4 });
    expect(readFileSync(out, 'utf8')).toBe('precious');
    const result = await tracer.run(['--json', '--force', ...steady()], { out });
    expect(result.code).toBe(0);
    await expectComplete(out);
    mkdirSync(`${out}.d`);
    expect(await refusal(['--force', ...steady()], { out: `${out}.d` })).toMatchObject({
      exit: 5,
      code: 'output-exists',
    });
    expect(statSync(`${out}.d`).isDirectory()).toBe(true);
    // A capture made through a link would be in a folder nobody named, which a policy may not allow.
    symlinkSync(join(tracer.dir, 'elsewhere'), `${out}.link`);
    for (const options of [[], ['--force']]) {
      const refused = await refusal([...options, ...steady()], { out: `${out}.link` });
      expect(refused).toMatchObject({ exit: 5, code: 'output-exists' });
    }
    expect(existsSync(join(tracer.dir, 'elsewhere'))).toBe(false);
  });

  test('ends after its duration; SIGTERM ends it as well; both leave a complete file', async () => {
    const process = await waiting('steady', '1');
    const timed = tracer.start(['--json', '--pid', String(process.pid), '--duration', '1s500ms']);
    const stopped = tracer.start(['--json', '--pid', String(process.pid)]);
    await stopped.attached(workload.cudart);
    stopped.signal('SIGTERM');
    const ends = [await stopped.ended, await timed.ended];
    expect(ends.map(({ code }) => code)).toEqual([0, 0]);
    expect(ends.map((end) => summaryOf(end))).toMatchObject([
      { end_reason: 'terminated', end_detail: 'signal SIGTERM', rows: 0 },
      { end_reason: 'duration', end_detail: null, rows: 0 },
    ]);
    for (const { capture } of [stopped, timed]) await expectComplete(capture);
    const { seconds } = await one(
      timed.capture,
      'SELECT epoch(ended_at::TIMESTAMP) - epoch(started_at::TIMESTAMP) AS seconds FROM capture',
    );
    expect(seconds).toBeGreaterThan(1.4);
    expect(seconds).toBeLessThan(4);
  });

  test('whose command is killed before it begins ends, and says so', async () => {
    const trace = tracer.start(['--json', ...steady()]);
    // The launcher is the first process a trace starts.
    const children = `/proc/${trace.pid}/task/${trace.pid}/children`;
    let launcher = '';
    while (launcher === '') {
      await sleep(5);
      launcher = readFileSync(children, 'utf8').trim();
    }
    globalThis.process.kill(Number(launcher), 'SIGKILL');
    const ended = await Promise.race([trace.ended, sleep(15_000, null)]);
    if (ended === null) trace.signal('SIGKILL');
    expect(ended).not.toBeNull();
    expect(summaryOf(ended as TraceResult)).toMatchObject({
      end_reason: 'target-exited',
      end_detail: 'killed by SIGKILL',
    });
    await expectComplete(trace.capture);
  });

  test('that ends amid calls has all of them whole, but the one on its way', async () => {
    const process = await waiting('steady', '1000000');
    const trace = tracer.start(['--pid', String(process.pid), '--duration', '1s']);
    await trace.attached(workload.cudart);
    process.go();
    await trace.ended;
    const { calls, unwound, in_flight } = await one(
      trace.capture,
      `SELECT count(*)::INTEGER AS calls, count(*) FILTER (status = 'unwound')::INTEGER AS unwound,
              count(*) FILTER (status = 'in_flight')::INTEGER AS in_flight FROM cuda_events`,
    );
    expect(calls).toBeGreaterThan(1000);
    expect(unwound).toBe(0);
    expect(in_flight).toBeLessThanOrEqual(1);
  });

  test.each([[700], [1300], [1900]])(
    'killed after %i ms of recording: what is older than a second is in the file, and the probes are gone',
    async (ms) => {
      const process = await waiting('steady', '1000000', '--pause-us', '300');
      const trace = tracer.start(['--pid', String(process.pid)]);
      await trace.attached(workload.cudart);
      await trace.recording();
      process.go();
      await sleep(ms);
      const killed = readClockAnchor();
      trace.signal('SIGKILL');
      await trace.ended;
      // Probes live as long as the links; the calls of a program without probes cost what they did before.
      expect(
        execFileSync('sh', [
          '-c',
          `grep -l "^path:.${workload.cudart}" /proc/[0-9]*/fdinfo/* 2>/dev/null || true`,
        ]).toString(),
      ).toBe('');
      const end = await one(
        trace.capture,
        `SELECT end_reason::VARCHAR AS reason, ended_at, accounting_balanced AS balanced,
                (SELECT count(*)::INTEGER FROM cuda_events) AS rows,
                (SELECT epoch_ns(max(start_time)) FROM cuda_events) AS last,
                (SELECT count(*)::INTEGER FROM cuda_events WHERE layer IS NULL) AS dangling
         FROM capture`,
      );
      expect(end).toMatchObject({ reason: 'cut-off', ended_at: null, balanced: null, dangling: 0 });
      const missing = Number(killed.wallNs - (end.last as bigint)) / 1e6;
      expect(missing).toBeGreaterThan(0);
      expect(missing).toBeLessThan(1000);
    },
  );

  test('a file system that fills up: exit code 5, and every row that was flushed is kept and accounted for', async () => {
    const small = mkdtempSync(join(tracer.dir, 'full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'none', small]);
    try {
      const out = join(small, 'r.duckdb');
      const storm = ['--', workload.gpuScenarios, 'storm', '3000000', 'mix', '--threads', '2'];
      const result = await tracer.run(['--json', ...storm], { out });
      expect(result.code).toBe(5);
      const summary = summaryOf(result);
      expect(summary).toMatchObject({ end_reason: 'disk-full', failure: null });
      expect(summary.accounting).toMatchObject({ balanced: true, rows: summary.rows });
      await expectBalanced(out);
      expect(await one(out, 'SELECT end_reason::VARCHAR AS reason FROM capture')).toEqual({
        reason: 'disk-full',
      });
      const { rows, hits, lost_not_written, lost_ring_full } = await accounting(out);
      expect(rows).toBeGreaterThan(500_000);
      expect(hits).toBe((rows as number) + (lost_not_written as number) + (lost_ring_full as number));
    } finally {
      execFileSync('umount', [small]);
    }
  });

  test('a ring flooded far past its size: what was lost is counted to the last call', async () => {
    const process = await waiting('storm', '150000', 'mix', '--threads', '3');
    const trace = tracer.start(['--json', '--ring-size', '1', '--pid', String(process.pid)]);
    await trace.attached(workload.cudart);
    // Nobody reads the ring meanwhile.
    trace.signal('SIGSTOP');
    process.go();
    const truth = truthLines<Truth>(await process.done).at(-1) as Truth;
    trace.signal('SIGCONT');
    const result = await trace.ended;
    expect(result.code).toBe(0);
    await expectComplete(trace.capture);
    const called = Object.values(probed(truth.ops)).reduce((sum, op) => sum + op.calls, 0);
    const { hits, rows, lost_ring_full } = await accounting(trace.capture);
    expect(hits).toBe(called);
    expect(rows).toBe(called - (lost_ring_full as number));
    // 2^20 bytes of records are some ten thousand.
    expect(lost_ring_full).toBeGreaterThan(called - 30_000);
    expect(summaryOf(result).ring_high_water).toBeGreaterThan(0.9);
  });

  test('a clock that is stepped meanwhile: events keep their order, the anchors show the step', async () => {
    const process = await waiting('steady', '400', '--pause-us', '3000');
    const trace = tracer.start(['--json', '--pid', String(process.pid)]);
    await trace.attached(workload.cudart);
    const before = readClockAnchor();
    process.go();
    await sleep(500);
    let truth: Truth;
    let result: TraceResult;
    execFileSync('date', ['-s', '+1 hour']);
    try {
      truth = truthLines<Truth>(await process.done).at(-1) as Truth;
      result = await trace.ended;
    } finally {
      const now = readClockAnchor();
      const right = before.wallNs + now.monotonicNs - before.monotonicNs;
      execFileSync('date', [
        '-s',
        `@${right / 1_000_000_000n}.${String(right % 1_000_000_000n).padStart(9, '0')}`,
      ]);
    }
    expect(result.code).toBe(0);
    await expectComplete(trace.capture);
    expect(await opsIn(trace.capture)).toEqual(probed(truth.ops));
    const { seconds, anchors, step } = await one(
      trace.capture,
      `SELECT (epoch_ns(max(start_time)) - epoch_ns(min(start_time))) / 1e9 AS seconds,
              (SELECT count(*)::INTEGER FROM clock_anchors) AS anchors,
              (SELECT (max(epoch_ns(wall_time) - monotonic_ns) - min(epoch_ns(wall_time) - monotonic_ns)) / 1e9 FROM clock_anchors) AS step
       FROM cuda_events`,
    );
    expect(seconds).toBeGreaterThan(0.5);
    expect(seconds).toBeLessThan(60);
    expect(anchors).toBeGreaterThanOrEqual(2);
    expect(step).toBeGreaterThan(3599);
    expect(step).toBeLessThan(3601);
  });

  test('of an idle target costs next to nothing', async () => {
    const process = await waiting('steady', '1');
    const trace = tracer.start(['--json', '--pid', String(process.pid)]);
    await trace.attached(workload.cudart);
    await trace.recording();
    // What it does to begin is not idle.
    await sleep(2000);
    const before = cpuSeconds(trace.pid);
    await sleep(5000);
    const share = (cpuSeconds(trace.pid) - before) / 5;
    console.info(`idle trace: ${(share * 100).toFixed(2)} % of a core`);
    expect(share).toBeLessThan(0.03);
    trace.signal('SIGINT');
    await trace.ended;
  });
});

/** User and system time of a process: fields 14 and 15 of /proc/PID/stat, in ticks of 1/100 s. */
function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
