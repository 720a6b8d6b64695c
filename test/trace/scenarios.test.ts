import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareArgs, PITCHED } from './support/args.js';
import {
  expectComplete,
  MADE_BY_PROGRAM,
  numbers,
  one,
  opsIn,
  probed,
  query,
  statuses,
  unfinishedQueries,
} from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import {
  buildTracer,
  type RunningTrace,
  summaryOf,
  type TraceResult,
  type Tracer,
  truthOf,
  untilAsleep,
} from './support/tracer.js';
import {
  type CallerTruth,
  copyWorkload,
  type Ops,
  type OpTruth,
  type Truth,
  type Workload,
} from './support/workload.js';

/** The calls of every scenario, through the kernel, against what the scenario says it called. */
describe.skipIf(!requireRootAndBpf())('a traced scenario', () => {
  let tracer: Tracer;
  let workload: Workload;
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
  });

  /** Traces a scenario from its start to its end and checks what holds for all of them. */
  async function trace(...args: string[]): Promise<{ capture: string; truth: Truth; result: TraceResult }> {
    const result = await tracer.run(['--json', '--', workload.gpuScenarios, ...args]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const truth = truthOf<Truth>(result);
    await expectComplete(result.capture);
    expect(comparable(await opsIn(result.capture))).toEqual(comparable(probed(truth.ops)));
    const summary = summaryOf(result);
    expect(summary).toMatchObject({ end_reason: 'target-exited', command_status: 0, failure: null });
    expect(summary.accounting).toMatchObject({
      filtered: unfinishedQueries(truth.ops),
      lost: 0,
      balanced: true,
    });
    return { capture: result.capture, truth, result };
  }

  test.each([
    [['steady', '--seed', '7']],
    [['pageable', '2']],
    [['leak', '80']],
    [['storm', '20000', 'mix', '--threads', '2']],
  ])('%j: calls, bytes and errors of every operation', async (args) => {
    await trace(...args);
  });

  test('errors: every failed call carries its code and the name of the error', async () => {
    const { capture } = await trace('errors', '3');
    const names = await query(
      capture,
      `SELECT DISTINCT return_code::INTEGER AS code, error::VARCHAR AS name FROM cuda_events
       WHERE status = 'error' ORDER BY code`,
    );
    expect(names).toEqual([
      { code: 1, name: 'cudaErrorInvalidValue' },
      { code: 2, name: 'cudaErrorMemoryAllocation' },
      { code: 9, name: 'cudaErrorInvalidConfiguration' },
      { code: 21, name: 'cudaErrorInvalidMemcpyDirection' },
      { code: 98, name: 'cudaErrorInvalidDeviceFunction' },
      { code: 101, name: 'cudaErrorInvalidDevice' },
      { code: 400, name: 'cudaErrorInvalidResourceHandle' },
      { code: 401, name: 'cudaErrorIllegalState' },
      { code: 713, name: 'cudaErrorHostMemoryNotRegistered' },
    ]);
    // A success has code 0 and no name; what a failed call would have handed out is unknown.
    expect(
      await numbers(
        capture,
        `SELECT count(*) FROM cuda_events WHERE (status = 'ok') <> (return_code = 0) OR (status = 'ok' AND error IS NOT NULL)
           OR (op = 'cudaMalloc' AND (status = 'ok') <> (ptr IS NOT NULL))`,
      ),
    ).toEqual([0]);
  });

  test('stall: the one long call is as long as the program measured', async () => {
    const { capture, truth } = await trace('stall', '10', '--ms', '80');
    const { took_ns, stream } = (truth as Truth & { stall: { took_ns: number; stream: number } }).stall;
    const [longest] = await query(
      capture,
      'SELECT op::VARCHAR AS op, duration_ns, stream FROM cuda_events ORDER BY duration_ns DESC LIMIT 1',
    );
    expect(longest).toMatchObject({ op: 'cudaStreamSynchronize', stream: BigInt(stream) });
    const measured = Number(longest?.duration_ns);
    expect(measured).toBeGreaterThan(79e6);
    // The program's clock readings enclose the call, and the cost of the probe.
    expect(measured).toBeLessThanOrEqual(took_ns);
    expect(measured).toBeGreaterThan(took_ns - 5e6);
  });

  test('args: every column of every call', async () => {
    const result = await tracer.run(['--json', '--', workload.gpuScenarios, 'args']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(result.capture);
    const { captured, told } = await compareArgs(result.capture, result.stdout);
    expect(told.length).toBeGreaterThan(140);
    expect(captured).toEqual(told);
  });

  test('threads: they end at once, and the functions on their stacks have names all the same', async () => {
    const result = await tracer.run(['--json', '--stacks', '--', workload.gpuScenarios, 'threads']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const frames = await query(
      result.capture,
      `SELECT DISTINCT position, regexp_extract(module, '[^/]*$') AS module, function
       FROM frames WHERE position = 0 AND function = 'cudaMemcpyAsync' OR position = 1 ORDER BY position, function`,
    );
    expect(frames).toEqual([
      { position: 0, module: 'libcudart.so.13', function: 'cudaMemcpyAsync' },
      { position: 1, module: 'gpu-scenarios', function: 'do_calls' },
      { position: 1, module: 'gpu-scenarios', function: 'thread_main' },
    ]);
  });

  test('threads: each thread with its own calls, its tid and its name', async () => {
    // Long enough for its process to be looked at while it lives.
    const { capture, truth } = await trace('threads', '--pause-us', '3000');
    const { threads = [], pid } = truth;
    expect(threads).toHaveLength(4);
    for (const thread of threads) {
      expect(await opsIn(capture, `pid = ${pid} AND tid = ${thread.tid}`)).toEqual(probed(thread.ops));
    }
    const named = await query(capture, `SELECT tid, pid, name FROM threads WHERE ${IN_CALLS} ORDER BY tid`);
    expect(named).toEqual(callers(threads).map(({ tid, name }) => ({ tid, pid, name })));
    const [process] = await query(capture, 'SELECT pid, comm, exe, command_line, ppid, uid FROM processes');
    expect(process).toMatchObject({ pid, exe: workload.gpuScenarios, comm: 'gpu-scenarios', uid: 0 });
  });

  test('nested: only the runtime calls, the driver calls inside them are another pack', async () => {
    const { capture, truth } = await trace('nested');
    expect(await query(capture, 'SELECT DISTINCT layer::VARCHAR AS layer FROM cuda_events')).toEqual([
      { layer: 'runtime' },
    ]);
    expect(await numbers(capture, 'SELECT count(*) FROM cuda_events WHERE parent_id IS NOT NULL')).toEqual([
      0,
    ]);
    expect(truth.ops.cudaMalloc?.calls).toBe(10);
  });

  test.each([['fork'], ['short']])(
    '%s: children are recorded, each as a process of its own',
    async (scenario) => {
      const { capture, truth } = await trace(scenario);
      const children = callers(truth.children ?? []);
      expect(children.length).toBeGreaterThan(2);
      for (const child of children) {
        expect(await opsIn(capture, `pid = ${child.pid}`)).toEqual(probed(child.ops));
      }
      expect(
        await query(capture, `SELECT pid, tid, name FROM threads WHERE ${IN_CALLS} ORDER BY tid`),
      ).toEqual(
        // `short` starts /proc/self/exe, and the kernel names a process after the path it was started by.
        children.map(({ pid, tid, name }) => ({ pid, tid, name: scenario === 'short' ? 'exe' : name })),
      );
      const processes = await query(
        capture,
        `SELECT pid FROM processes WHERE pid IN (SELECT pid FROM cuda_events WHERE ${MADE_BY_PROGRAM}) ORDER BY pid`,
      );
      expect(processes.map(({ pid }) => pid)).toEqual(children.map(({ pid }) => pid));
    },
  );

  test('longjmp: calls left without a return are unwound, and later calls pair with their own return', async () => {
    const { capture, truth } = await trace('longjmp');
    expect(await statuses(capture)).toEqual({ ok: 11, unwound: truth.unwound?.cudaLaunchHostFunc });
    const rows = await query(
      capture,
      "SELECT duration_ns, return_code, parent_id FROM cuda_events WHERE status = 'unwound'",
    );
    expect(rows).toEqual(rows.map(() => ({ duration_ns: null, return_code: null, parent_id: null })));
    // Had a return been paired with the wrong call, a synchronisation would seem to be made inside a callback.
    expect(await numbers(capture, 'SELECT count(*) FROM cuda_events WHERE parent_id IS NOT NULL')).toEqual([
      0,
    ]);
  });

  test('threadexit: a thread that ends inside a call', async () => {
    const { capture, truth } = await trace('threadexit');
    const rows = await query(
      capture,
      `SELECT op::VARCHAR AS op, tid, duration_ns, return_code FROM cuda_events WHERE status = 'thread_exited' ORDER BY tid`,
    );
    expect(rows).toEqual(
      [...(truth.tids ?? [])]
        .sort((a, b) => a - b)
        .map((tid) => ({ op: 'cudaLaunchHostFunc', tid, duration_ns: null, return_code: null })),
    );
    expect(rows).toHaveLength(truth.thread_exited?.cudaLaunchHostFunc ?? -1);
  });

  test('hang: the call still in flight when the trace is interrupted is a row', async () => {
    const trace = tracer.start(['--json', '--', workload.gpuScenarios, 'hang']);
    const pid = await hangingPid(trace);
    trace.signal('SIGINT');
    const result = await trace.ended;
    expect(result.code).toBe(0);
    expect(summaryOf(result)).toMatchObject({ end_reason: 'interrupted', end_detail: 'signal SIGINT' });
    process.kill(pid, 'SIGKILL');
    await expectComplete(trace.capture);
    expect(await statuses(trace.capture)).toEqual({ ok: 2, in_flight: 1 });
    expect(
      await one(
        trace.capture,
        "SELECT op::VARCHAR AS op, tid, duration_ns, return_code, stream IS NOT NULL AS stream FROM cuda_events WHERE status = 'in_flight'",
      ),
    ).toEqual({ op: 'cudaStreamSynchronize', tid: pid, duration_ns: null, return_code: null, stream: true });
  });

  test('hang: a target killed inside a call has left a row for it', async () => {
    const trace = tracer.start(['--json', '--', workload.gpuScenarios, 'hang']);
    const pid = await hangingPid(trace);
    process.kill(pid, 'SIGKILL');
    const result = await trace.ended;
    expect(result.code).toBe(0);
    expect(summaryOf(result)).toMatchObject({ end_reason: 'target-exited', end_detail: 'killed by SIGKILL' });
    await expectComplete(trace.capture);
    expect(await statuses(trace.capture)).toEqual({ ok: 2, thread_exited: 1 });
  });
});

/** Threads that make calls of their own; the main one registers kernels for all. */
const IN_CALLS = `tid IN (SELECT tid FROM cuda_events WHERE ${MADE_BY_PROGRAM})`;

/** Without the bytes of pitched allocations, which the truth and the capture count differently (see PITCHED). */
function comparable(ops: Ops): Record<string, Partial<OpTruth>> {
  return Object.fromEntries(
    Object.entries(ops).map(([op, { calls, errors, ...bytes }]) => [
      op,
      { calls, errors, ...(op in PITCHED ? {} : bytes) },
    ]),
  );
}

/** Process id of a command that has told its truth and is in the call it never returns from. */
async function hangingPid(trace: RunningTrace): Promise<number> {
  const { pid } = JSON.parse(await trace.said(/"in_flight"/)) as Truth;
  await untilAsleep(pid);
  return pid;
}

function callers(truth: readonly CallerTruth[]): CallerTruth[] {
  return [...truth].sort((a, b) => a.tid - b.tid);
}
