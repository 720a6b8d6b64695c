import { copyFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareArgs } from './support/args.js';
import { expectComplete, numbers, one, opsIn, probed, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer, truthOf } from './support/tracer.js';
import { copyWorkload, type Truth, type Workload } from './support/workload.js';

/** Where NVIDIA's packages and runfiles put the library. */
const PLACES = [
  '/usr/local/cuda/lib64/libcudart.so.13',
  '/usr/local/cuda/targets/x86_64-linux/lib/libcudart.so.13',
];
const real = PLACES.find((path) => existsSync(path));
/** Names of what the library returns on a host without a GPU: there is no driver, or it sees no device. */
const WITHOUT_GPU: Readonly<Record<number, string>> = {
  35: 'cudaErrorInsufficientDriver',
  100: 'cudaErrorNoDevice',
};

const ready = requireRootAndBpf();
const title = "NVIDIA's own libcudart";

/** The real library makes its calls without a GPU, too: they fail, with the arguments they were given. */
describe.skipIf(!ready || real === undefined)(
  real === undefined ? `${title} (skipped: no ${PLACES.join(', no ')})` : title,
  () => {
    let tracer: Tracer;
    let workload: Workload;
    let env: Record<string, string>;
    beforeAll(async () => {
      workload = copyWorkload();
      // A copy is a file of its own: what other traces on this host do does not count here.
      mkdirSync(join(workload.dir, 'real'));
      copyFileSync(real as string, join(workload.dir, 'real', 'libcudart.so.13'));
      env = { LD_LIBRARY_PATH: join(workload.dir, 'real') };
      tracer = await buildTracer();
    });
    afterAll(() => {
      tracer?.remove();
      workload?.remove();
    });

    async function trace(...args: string[]): Promise<{ capture: string; stdout: string; truth: Truth }> {
      const result = await tracer.run(['--json', '--', workload.gpuScenarios, '--real', ...args], { env });
      expect(result).toMatchObject({ code: 0, stderr: '' });
      await expectComplete(result.capture);
      // Every row comes from the real library, none from the stub.
      expect(
        await query(
          result.capture,
          `SELECT DISTINCT l.path FROM cuda_events JOIN probes USING (probe_id) JOIN libraries l USING (library_id)`,
        ),
      ).toEqual([{ path: join(workload.dir, 'real', 'libcudart.so.13') }]);
      return { capture: result.capture, stdout: result.stdout, truth: truthOf<Truth>(result) };
    }

    test.each([['steady'], ['errors']])('%s: calls, bytes and return codes', async (scenario) => {
      const { capture, truth } = await trace(scenario, '3');
      expect(await opsIn(capture)).toEqual(probed(truth.ops));
      const named = await query(
        capture,
        `SELECT return_code::INTEGER AS code, any_value(error::VARCHAR) AS name, count(*) = count(error) AS all_named
         FROM cuda_events WHERE status = 'error' GROUP BY ALL ORDER BY code`,
      );
      for (const { code, name, all_named } of named) {
        expect({ code, name, all_named }).toEqual({
          code,
          name: WITHOUT_GPU[code as number] ?? name,
          all_named: true,
        });
      }
    });

    test('args: the arguments of every call', async () => {
      const { capture, stdout } = await trace('args');
      const { captured, told } = await compareArgs(capture, stdout);
      expect(told.length).toBeGreaterThan(140);
      expect(captured).toEqual(told);
    });

    test('every probe the library has a symbol for is attached, nearly all where a hit is cheap', async () => {
      const { capture } = await trace('steady', '1');
      const { attached, failed, cheap } = await one(
        capture,
        `SELECT count(*) FILTER (p.state = 'attached')::INTEGER AS attached, count(*) FILTER (p.state = 'failed')::INTEGER AS failed,
                count(*) FILTER (cost_class = 'emulated')::INTEGER AS cheap
         FROM probes p JOIN libraries USING (library_id) WHERE path LIKE '%/real/libcudart.so.13'`,
      );
      expect(failed).toBe(0);
      expect(attached).toBeGreaterThan(100);
      expect(cheap).toBe(attached);
      expect(
        await numbers(capture, "SELECT count(*) FROM probes WHERE state = 'skipped' AND reason IS NULL"),
      ).toEqual([0]);
    });
  },
);
