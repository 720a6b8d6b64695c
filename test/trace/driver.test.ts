import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compilePack } from '../../src/packs/compile.js';
import { loadBuiltinPacks } from '../../src/packs/load.js';
import type { Arch } from '../../src/packs/model.js';
import { expectComplete, numbers, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type TraceResult, type Tracer, truthOf } from './support/tracer.js';
import { copyWorkload, type Truth, truthLines, type Workload } from './support/workload.js';

/** A line of the `driver-args` scenario. */
interface DriverCall {
  op: string;
  symbol: string;
  return_code: number;
  columns: Record<string, number | string | null>;
}

interface Nesting {
  nested: { parent: string; child: string; calls: number }[];
  once: { parent: string; children: string[] }[];
}

const probed = new Set(
  loadBuiltinPacks()
    .filter(({ name }) => name === 'cuda-driver')
    .flatMap((pack) => compilePack(pack, process.arch as Arch).probes)
    .flatMap(({ symbols }) => symbols),
);
/** Row pitch of the stub library: width rounded up; the scenario tells what was asked for. */
const pitch = (width: number): number => Math.ceil(width / 512) * 512;

describe.skipIf(!requireRootAndBpf())('the driver', () => {
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

  async function trace(
    packs: readonly string[],
    scenario: string,
  ): Promise<TraceResult & { capture: string }> {
    const flags = packs.flatMap((pack) => ['--pack', pack]);
    // libcuda is opened at the first call: the trace has to know before where it is.
    const env = { LD_LIBRARY_PATH: workload.libraries };
    const result = await tracer.run(['--json', ...flags, '--', workload.gpuScenarios, scenario], { env });
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(result.capture);
    return result;
  }

  test('every function and its per-thread twin, called directly: the arguments of each call', async () => {
    const result = await trace(['cuda-driver'], 'driver-args');
    const told = truthLines<DriverCall>(result.stdout).filter(({ symbol }) => probed.has(symbol));
    expect(told.length).toBeGreaterThan(160);
    const rows = await query(
      result.capture,
      `SELECT p.symbol, e.* FROM cuda_driver_events e JOIN probes p USING (probe_id) ORDER BY e.start_time`,
    );
    expect(rows.map(({ symbol, op, return_code }) => ({ symbol, op, return_code }))).toEqual(
      told.map(({ symbol, op, return_code }) => ({ symbol, op, return_code: BigInt(return_code) })),
    );
    for (const [index, { symbol, columns }] of told.entries()) {
      const wanted = Object.entries(columns).filter(([name]) => name !== 'kernel_name');
      const found = Object.fromEntries(
        wanted.map(([name]) => {
          const value = rows[index]?.[name];
          return [name, typeof value === 'bigint' ? Number(value) : value];
        }),
      );
      const expected = Object.fromEntries(wanted);
      if (symbol === 'cuMemAllocPitch_v2') expected.bytes = pitch(1009) * 11;
      expect({ symbol, ...found }).toEqual({ symbol, ...expected });
    }
  });

  test('calls a runtime call makes have it as their parent', async () => {
    const result = await trace(['cuda-runtime', 'cuda-driver'], 'nested');
    const { nested, once } = truthOf<Truth & Nesting>(result);
    const pairs = await query(
      result.capture,
      `SELECT p.op::VARCHAR AS parent, e.op::VARCHAR AS child, count(*)::INTEGER AS calls
       FROM cuda_driver_events e JOIN cuda_events p ON e.parent_id = p.call_id GROUP BY ALL ORDER BY parent, child`,
    );
    const expected = [
      ...nested,
      ...once.flatMap(({ parent, children }) =>
        children.filter((child) => probed.has(child)).map((child) => ({ parent, child, calls: 1 })),
      ),
    ].sort((a, b) => (a.parent === b.parent ? (a.child < b.child ? -1 : 1) : a.parent < b.parent ? -1 : 1));
    expect(pairs).toEqual(expected);
    expect(
      await numbers(
        result.capture,
        `SELECT count(*) FROM cuda_driver_events e JOIN cuda_events p ON e.parent_id = p.call_id
         WHERE e.start_time < p.start_time OR e.duration_ns > p.duration_ns`,
      ),
    ).toEqual([0]);
    expect(
      await query(result.capture, `SELECT DISTINCT layer, event_table FROM events ORDER BY layer`),
    ).toEqual([
      { layer: 'driver', event_table: 'cuda_driver_events' },
      { layer: 'runtime', event_table: 'cuda_events' },
    ]);
  });
});
