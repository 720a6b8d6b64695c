import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectComplete, opsIn, probed, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer, truthOf } from './support/tracer.js';
import { copyWorkload, type Truth, type Workload } from './support/workload.js';

/** nvcc links the CUDA runtime into programs by default; no library file then has its name. */
describe.skipIf(!requireRootAndBpf())('a program with the runtime linked in', () => {
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

  test('is found by its symbols, and its calls are recorded', async () => {
    const result = await tracer.run(['--json', '--', workload.gpuScenariosStatic, 'steady']);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(result.capture);
    const truth = truthOf<Truth>(result);
    const counts = (ops: Truth['ops']) =>
      Object.fromEntries(Object.entries(ops).map(([op, { calls, bytes }]) => [op, [calls, bytes]]));
    expect(counts(await opsIn(result.capture))).toEqual(counts(probed(truth.ops)));
    const libraries = await query(
      result.capture,
      `SELECT path, state::VARCHAR AS state FROM libraries WHERE path = '${workload.gpuScenariosStatic}'`,
    );
    expect(libraries).toEqual([{ path: workload.gpuScenariosStatic, state: 'traced' }]);
  });

  test('that is stripped records nothing; other copies of the library are not mistaken for it', async () => {
    execFileSync('strip', [workload.gpuScenariosStatic]);
    const result = await tracer.run(['--json', '--', workload.gpuScenariosStatic, 'steady']);
    const libraries = await query(result.capture, 'SELECT path FROM libraries');
    expect(libraries.map(({ path }) => path)).not.toContain(workload.gpuScenariosStatic);
    expect(await query(result.capture, 'SELECT count(*)::INTEGER AS n FROM cuda_events')).toEqual([{ n: 0 }]);
  });
});
