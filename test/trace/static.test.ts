import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { expectComplete, opsIn, probed, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer, truthOf } from './support/tracer.js';
import { copyWorkload, type Truth, type Workload } from './support/workload.js';

const ARCHIVE = '/usr/local/cuda/lib64/libcudart_static.a';

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

  test.skipIf(!existsSync(ARCHIVE))(
    "NVIDIA's own, stripped: --scan-stripped finds what symbols told",
    async () => {
      const twin = join(workload.dir, 'real-static');
      const sources = join(PACKAGE_ROOT, 'test/workload');
      const files = readdirSync(join(sources, 'gpu-scenarios')).filter((name) => name.endsWith('.c'));
      execFileSync('gcc', [
        ...['-std=gnu11', '-O2', '-pthread', '-w', '-o', twin, `-I${sources}/include`],
        ...files.map((name) => join(sources, 'gpu-scenarios', name)),
        ...[ARCHIVE, '-ldl', '-lrt'],
      ]);
      const stripped = join(workload.dir, 'real-stripped');
      execFileSync('strip', ['-o', stripped, twin]);

      const told = await tracer.run(['--json', '--', twin, '--real', 'steady', '3']);
      const found = await tracer.run(['--json', '--scan-stripped', '--', stripped, '--real', 'steady', '3']);
      for (const { capture } of [told, found]) await expectComplete(capture);
      const ops = await opsIn(found.capture);
      expect(ops).toEqual(probed(truthOf<Truth>(found).ops));
      expect(Object.keys(ops).length).toBeGreaterThan(10);
      const addresses = (capture: string, path: string) =>
        query(
          capture,
          `SELECT symbol, address FROM probes JOIN libraries USING (library_id)
         WHERE path = '${path}' AND probes.state = 'attached' AND NOT starts_with(symbol, '__') ORDER BY symbol`,
        );
      expect(await addresses(found.capture, stripped)).toEqual(await addresses(told.capture, twin));
      expect(
        await query(
          found.capture,
          `SELECT state::VARCHAR AS state, reason FROM libraries WHERE path = '${stripped}'`,
        ),
      ).toEqual([{ state: 'traced', reason: expect.stringMatching(/no symbols/) }]);
    },
  );

  test('one that cannot be told for certain is a row with the reason, and gets no probe', async () => {
    const program = join(workload.dir, 'loader');
    writeFileSync(
      `${program}.c`,
      `#include <dlfcn.h>
       int main(void) { void *h = dlopen(0, RTLD_NOW); return dlsym(h, "cudaMalloc") || dlsym(h, "cudaFree"); }`,
    );
    execFileSync('gcc', ['-O1', '-s', '-o', program, `${program}.c`, '-ldl']);
    const result = await tracer.run(['--json', '--scan-stripped', '--', program]);
    expect(
      await query(
        result.capture,
        `SELECT state::VARCHAR AS state, pack, size_bytes > 0 AS sized, build_id IS NOT NULL AS identified, reason
         FROM libraries WHERE path = '${program}'`,
      ),
    ).toEqual([
      {
        ...{ state: 'ignored', pack: 'cuda-runtime', sized: true, identified: true },
        reason: expect.stringMatching(/^names functions of the library, none of which is certain: cuda/),
      },
    ]);
  });
});
