import { chmodSync, readdirSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { socketName } from '../../src/live/address.js';
import { openCapture } from '../../src/query/open.js';
import { withCapture } from '../query/helpers.js';
import { buildCli, type Cli } from '../support/cli.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type RunningTrace, summaryOf, type Tracer } from './support/tracer.js';
import { copyWorkload, startWaiting, type Waiting, type Workload } from './support/workload.js';

/** Reads every block of the rows, so that a copy of a changing file would show. */
const EVERYTHING = `SELECT count(*)::INTEGER AS n, max(start_time) AS latest, sum(duration_ns) AS d, count(DISTINCT e.call_id) AS ids,
  min(tid) AS tid, count(op) AS ops, (SELECT count(*) FROM threads) AS threads, (SELECT count(*) FROM processes) AS processes
  FROM cuda_events e`;

describe.skipIf(!requireRootAndBpf())('a capture while it is recorded', () => {
  let tracer: Tracer;
  let workload: Workload;
  let cli: Cli;
  const programs: Waiting[] = [];

  beforeAll(async () => {
    tracer = await buildTracer();
    workload = copyWorkload();
    cli = await buildCli();
  });
  afterAll(() => {
    for (const program of programs) program.kill();
    tracer.remove();
    workload.remove();
    cli.remove();
  });

  const socketOf = (trace: RunningTrace): string => join(dirname(trace.capture), socketName(trace.capture));
  const sockets = (): string[] => readdirSync(tracer.dir).filter((name) => name.endsWith('.sock'));
  const look = async (trace: RunningTrace, sql: string) => {
    const { code, stdout, stderr } = await cli.run(['query', trace.capture, sql, '--json']);
    expect(code, stderr + stdout).toBe(0);
    return JSON.parse(stdout) as { rows: Record<string, unknown>[]; live_as_of?: string };
  };
  const storm = (count: number) => [
    '--json',
    '--',
    workload.gpuScenarios,
    '--threads',
    '2',
    'storm',
    String(count),
    'mix',
  ];

  test('answers at full speed, no older than two seconds, and the account of the trace holds', async () => {
    const trace = tracer.start(storm(1_500_000));
    await trace.recording();
    let isOver = false;
    void trace.ended.then(() => {
      isOver = true;
    });
    let answers = 0;
    let before = 0;
    while (!isOver) {
      const asked = Date.now();
      await withCapture(trace.capture, async (capture, _) => {
        const rows = (await capture.connection.runAndReadAll(EVERYTHING)).getRowObjects();
        const row = rows[0] as { n: number; latest: { nanos: bigint } | null; ids: bigint; ops: bigint };
        expect(row.ids).toBe(BigInt(row.n));
        expect(row.ops).toBe(BigInt(row.n));
        expect(row.n).toBeGreaterThanOrEqual(before);
        before = row.n;
        if (capture.asOfNs === undefined) return;
        answers++;
        expect(Number(capture.asOfNs / 1_000_000n) - asked).toBeGreaterThan(-2000);
        if (row.latest !== null) expect(capture.asOfNs - row.latest.nanos).toBeLessThan(2_000_000_000n);
      });
    }
    expect(answers).toBeGreaterThan(2);
    const result = await trace.ended;
    expect(summaryOf(result)).toMatchObject({ accounting: { balanced: true, lost: 0 } });
    expect(result.code).toBe(0);
    expect(sockets()).toEqual([]);
  });

  test('readers that die, hang or talk nonsense do not hurt it, nor do a hundred of them', async () => {
    const program = await startWaiting(workload.gpuScenarios, ['--pause-us', '2000', 'steady', '1000000']);
    programs.push(program);
    const trace = tracer.start(['--json', '--pid', String(program.pid)]);
    await trace.recording();
    program.go();
    await look(trace, 'SELECT 1');
    expect(statSync(socketOf(trace)).mode & 0o777).toBe(0o600);
    const clients: Socket[] = [];
    const client = (said: string): Socket => {
      const socket = connect(socketOf(trace));
      socket.on('error', () => {});
      socket.write(said);
      clients.push(socket);
      return socket;
    };
    for (let i = 0; i < 50; i++) client('hold 1\n');
    for (let i = 0; i < 20; i++) client('');
    for (let i = 0; i < 15; i++) client(`${'x'.repeat(100_000)}`);
    for (let i = 0; i < 15; i++) client('done\nhold 1\nhold 2\n\0\n');
    await sleep(200);
    for (const socket of clients) socket.destroy();
    const { rows, live_as_of } = await look(trace, 'SELECT count(*) > 0 AS some FROM cuda_events');
    expect(rows).toEqual([{ some: true }]);
    expect(live_as_of).toMatch(/^20\d\d-/);
    const named = await cli.run(['run-query', 'cuda-api-sum', trace.capture]);
    expect(named.stdout).toContain('cudaLaunchKernel');
    expect(named.stderr).toMatch(/Live, as of .*Z; the trace goes on\./);
    // One that holds on does not keep others waiting for ever, nor the trace from its end.
    client('hold 1\n');
    trace.signal('SIGINT');
    const result = await trace.ended;
    expect(summaryOf(result)).toMatchObject({ accounting: { balanced: true, lost: 0 } });
  });

  test('a running capture and finished ones are asked as one', async () => {
    const old = await tracer.run(['--', workload.gpuScenarios, 'steady', '5']);
    const program = await startWaiting(workload.gpuScenarios, ['--pause-us', '2000', 'steady', '1000000']);
    programs.push(program);
    const trace = tracer.start(['--json', '--pid', String(program.pid)]);
    await trace.recording();
    program.go();
    for (let tries = 0; tries < 50; tries++) {
      const { rows } = await look(trace, 'SELECT count(*) > 100 AS some FROM cuda_events');
      if (rows[0]?.some === true) break;
      await sleep(100);
    }
    const before = Date.now();
    const sums = `SELECT run_id, count(*) > 100 AS some, (SELECT count(*)::INTEGER FROM capture WHERE ended_at IS NULL) AS running
      FROM cuda_events GROUP BY run_id ORDER BY run_id`;
    const { code, stdout, stderr } = await cli.run(['query', trace.capture, old.capture, sums, '--json']);
    expect(code, stderr + stdout).toBe(0);
    const { rows, live_as_of } = JSON.parse(stdout);
    expect(rows).toEqual([
      { run_id: 1, some: true, running: 1 },
      { run_id: 2, some: true, running: 1 },
    ]);
    expect(Date.parse(live_as_of)).toBeGreaterThan(before - 2000);
    const named = await cli.run(['run-query', 'cuda-api-sum', old.capture, trace.capture]);
    expect(named.stdout).toContain('cudaLaunchKernel');
    expect(named.stderr).toMatch(/Live, as of .*Z; the trace goes on\./);
    trace.signal('SIGINT');
    expect(summaryOf(await trace.ended)).toMatchObject({ accounting: { balanced: true, lost: 0 } });
  });

  test('another user gets nothing', async () => {
    // Even where the directory is open to all, the capture and its socket are not.
    chmodSync(tracer.dir, 0o755);
    const trace = tracer.start([
      '--json',
      '--',
      workload.gpuScenarios,
      '--pause-us',
      '2000',
      'steady',
      '200',
    ]);
    await trace.recording();
    await look(trace, 'SELECT 1');
    const { code, stdout } = await cli.run(['query', trace.capture, 'SELECT 1', '--json'], { uid: 65534 });
    expect(code).toBe(6);
    expect(JSON.parse(stdout).error.code).toBe('capture-unreadable');
    await trace.ended;
  });

  test('a killed recorder leaves a file that opens, and a socket the next trace removes', async () => {
    const trace = tracer.start(['--', workload.gpuScenarios, '--pause-us', '5000', 'steady', '400']);
    await trace.recording();
    await look(trace, 'SELECT 1');
    trace.signal('SIGKILL');
    await trace.ended;
    expect(sockets()).toHaveLength(1);
    const capture = await openCapture(trace.capture);
    expect(capture.asOfNs).toBeUndefined();
    capture.close();
    await tracer.run(['--', workload.gpuScenarios, 'steady', '1']);
    expect(sockets()).toEqual([]);
  });
});
