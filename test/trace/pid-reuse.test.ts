import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { expectComplete, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';
import { copyWorkload, type Truth, truthLines, type Workload } from './support/workload.js';

describe.skipIf(!requireRootAndBpf())('processes that have one pid after the other', () => {
  let tracer: Tracer;
  let workload: Workload;
  let program: string;
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
    program = join(tracer.dir, 'pid-reuse');
    const source = join(PACKAGE_ROOT, 'test/trace/programs/pid-reuse.c');
    execFileSync('cc', ['-O1', '-Wall', '-Werror', '-o', program, source]);
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
  });

  test('each is a process of its own, with its own calls and threads', async () => {
    const TIMES = 3;
    // On one CPU, so that one ring has the records in their order: of a pid that is used again within a moment, calls in
    // another ring can be read before the record that says who has it now.
    const command = [program, '0', String(TIMES), workload.gpuScenarios, 'steady', '20'];
    const env = { LD_LIBRARY_PATH: workload.libraries };
    const result = await tracer.run(['--json', '--', 'taskset', '-c', '0', ...command], { env });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(result.capture);
    const truths = truthLines<Truth>(result.stdout).filter(({ scenario }) => scenario === 'steady');
    expect(truths.map(({ pid }) => pid)).toEqual(Array.from({ length: TIMES }, () => truths[0]?.pid));

    const processes = await query(
      result.capture,
      `SELECT process_id, pid, count(*)::INTEGER AS calls, count(DISTINCT op::VARCHAR)::INTEGER AS ops
       FROM events GROUP BY ALL ORDER BY min(start_time)`,
    );
    expect(processes).toEqual(
      Array.from({ length: TIMES }, (_, index) => ({
        process_id: processes[index]?.process_id,
        pid: truths[0]?.pid,
        calls: processes[0]?.calls,
        ops: processes[0]?.ops,
      })),
    );
    expect(new Set(processes.map(({ process_id }) => process_id)).size).toBe(TIMES);
    // No call of one began before the last of the one before had ended, and each is described once.
    const described = await query(
      result.capture,
      `SELECT p.process_id, p.comm, count(DISTINCT t.tid)::INTEGER AS threads,
              p.first_seen <= min(e.start_time)
                AND p.first_seen > coalesce(lag(max(e.start_time)) OVER (ORDER BY p.first_seen), '-infinity') AS seen
       FROM processes p JOIN events e USING (process_id) JOIN threads t USING (process_id)
       GROUP BY p.process_id, p.comm, p.first_seen ORDER BY p.first_seen`,
    );
    expect(described).toEqual(
      processes.map(({ process_id }) => ({ process_id, comm: 'gpu-scenarios', seen: true, threads: 1 })),
    );
  });

  test('another program that gets the pid of a traced one that has ended is not recorded', async () => {
    const command = [workload.gpuScenarios, 'steady', '20'];
    // The library has to be known before a program this short begins.
    const env = { LD_LIBRARY_PATH: workload.libraries };
    const trace = tracer.start(['--', 'sh', '-c', `${command.join(' ')}; sleep 4`], { env });
    const { pid } = JSON.parse(await trace.said(/"steady"/)) as Truth;
    execFileSync(program, [String(pid), '1', ...command]);
    trace.signal('SIGINT');
    await trace.ended;
    await expectComplete(trace.capture);
    const recorded = await query(
      trace.capture,
      'SELECT pid, count(DISTINCT process_id)::INTEGER AS processes FROM events GROUP BY pid',
    );
    expect(recorded).toEqual([{ pid, processes: 1 }]);
  });
});
