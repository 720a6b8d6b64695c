import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { accounting, expectComplete, query, type Row, sharedColumns, statuses } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer, truthOf } from './support/tracer.js';
import { copyWorkload, truthLines, type Workload } from './support/workload.js';

const packs = join(PACKAGE_ROOT, 'test', 'trace', 'packs');

/** What a probe-target command tells about its calls. */
interface CountTruth {
  pid: number;
  tid: number;
  calls: Record<string, number>;
  unwound?: Record<string, number>;
  threads?: { tid: number; name: string; calls: number }[];
  children?: number[];
}

/** One call as probe-target tells it. */
interface CallTruth {
  call: string;
  returns: number | string | boolean | null;
}

describe.skipIf(!requireRootAndBpf())('a site pack', () => {
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
    args: readonly string[],
    names: readonly string[] = ['probe-target'],
  ): Promise<{ capture: string; stdout: string; truth: CountTruth }> {
    const flags = names.flatMap((name) => ['--pack', join(packs, `${name}.yaml`)]);
    const result = await tracer.run(['--json', ...flags, '--', workload.probeTarget, ...args]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(result.capture);
    return { capture: result.capture, stdout: result.stdout, truth: truthOf<CountTruth>(result) };
  }

  /** Rows in the order of the calls, each with only the columns that are set. */
  async function rows(capture: string, columns: string, where = 'true'): Promise<Row[]> {
    const all = await query(
      capture,
      `SELECT ${columns} FROM cuda_events WHERE ${where} ORDER BY call_id, start_time`,
    );
    return all.map((row) =>
      Object.fromEntries(
        Object.entries(row)
          .filter(([, value]) => value !== null)
          .map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
      ),
    );
  }

  test('recursion: every level is a row whose parent is the level above', async () => {
    const { capture, truth } = await trace(['recurse', '12', '2']);
    expect(truth.calls).toEqual({ pt_recurse: 26 });
    const chains = await query(
      capture,
      `WITH RECURSIVE chain AS (
         SELECT call_id AS root, call_id, device, return_code, 0 AS level FROM cuda_events WHERE parent_id IS NULL
         UNION ALL
         SELECT root, e.call_id, e.device, e.return_code, level + 1 FROM chain JOIN cuda_events e ON e.parent_id = chain.call_id
       )
       SELECT list(device ORDER BY level)::VARCHAR AS arguments, list(return_code ORDER BY level)::VARCHAR AS returned
       FROM chain GROUP BY root`,
    );
    const countdown = `[${Array.from({ length: 13 }, (_, level) => 12 - level).join(', ')}]`;
    expect(chains).toEqual(Array.from({ length: 2 }, () => ({ arguments: countdown, returned: countdown })));
    // A call lies within the one it was made in.
    expect(
      await query(
        capture,
        `SELECT e.call_id FROM cuda_events e JOIN cuda_events p ON e.parent_id = p.call_id
         WHERE e.start_time <= p.start_time OR e.duration_ns >= p.duration_ns`,
      ),
    ).toEqual([]);
  });

  test('recursion deeper than the stack of a thread: what is too deep is counted', async () => {
    const { capture, truth } = await trace(['recurse', '40', '3']);
    expect(await accounting(capture)).toMatchObject({
      hits: truth.calls.pt_recurse,
      rows: 3 * 16,
      lost_too_deep: 3 * 25,
      orphan_returns: 0,
    });
    expect(await statuses(capture)).toEqual({ ok: 48 });
    // The outermost calls are there, with their own returns, not those of calls that were too deep.
    expect(await rows(capture, 'device, return_code')).toEqual(
      Array.from({ length: 48 }, (_, i) => ({ device: 40 - (i % 16), return_code: 40 - (i % 16) })),
    );
  });

  test('nesting and tail calls: each call under its caller', async () => {
    const { capture } = await trace(['nest', '2']);
    const calls = await query(
      capture,
      `SELECT e.op::VARCHAR AS op, e.device, p.op::VARCHAR AS parent, e.return_code::INTEGER AS returned
       FROM cuda_events e LEFT JOIN cuda_events p ON e.parent_id = p.call_id ORDER BY e.start_time`,
    );
    const round = (i: number): Row[] => [
      { op: 'pt_outer', device: i, parent: null, returned: 2 * i + 105 },
      { op: 'pt_middle', device: i + 1, parent: 'pt_outer', returned: 2 * i + 5 },
      { op: 'pt_inner', device: i + 2, parent: 'pt_middle', returned: i + 2 },
      { op: 'pt_inner', device: i + 3, parent: 'pt_middle', returned: i + 3 },
      { op: 'pt_tail', device: i, parent: null, returned: i + 1 },
      { op: 'pt_int', device: i + 1, parent: 'pt_tail', returned: i + 1 },
    ];
    expect(calls).toEqual([...round(0), ...round(1)]);
  });

  test('arguments in registers and on the stack, narrow ones, and structures by value', async () => {
    const { capture, stdout } = await trace(['arguments']);
    const told = new Map(truthLines<CallTruth>(stdout).map(({ call, returns }) => [call, returns]));
    const calls = await rows(capture, `* EXCLUDE (${sharedColumns('op', 'error', 'return_code')})`);
    const expected = [
      {
        op: 'pt_args14',
        bytes: 101,
        stream: 102,
        ptr: 106,
        dst_ptr: 107,
        src_ptr: 108,
        func: 109,
        event: 110,
        graph: 111,
        graph_exec: 112,
        pool: 113,
        array: 114,
      },
      {
        op: 'pt_narrow',
        device: -1,
        grid_x: 255,
        dst_device: -2,
        grid_y: 65535,
        src_device: -3,
        grid_z: 4294967295,
        priority: -4,
        block_x: 254,
        block_y: 65534,
        block_z: 4294967294,
        flags: 1,
      },
      { op: 'pt_take_pair', device: 31, grid_x: 32, grid_y: 33, priority: 34 },
      {
        op: 'pt_take_dim3',
        func: 4096,
        grid_x: 41,
        grid_y: 42,
        grid_z: 43,
        block_x: 44,
        block_y: 45,
        block_z: 46,
        shared_mem_bytes: 47,
        stream: 48,
      },
      { op: 'pt_take_big', device: 51, bytes: 52 * 53 * 54, ptr: 54, priority: 55 },
      { op: 'pt_take_id', device: 61, ptr: 600, src_ptr: 615, priority: 62 },
    ];
    expect(calls).toEqual(expected.map((row) => ({ ...row, return_code: told.get(row.op) })));
  });

  test('memory: what cannot be read is NULL and counted, results are read after a success only', async () => {
    const { capture } = await trace(['memory'], ['probe-target', 'probe-target-results']);
    const reads = await rows(capture, 'grid_x, device, bytes, ptr', "op = 'pt_read'");
    const [readable, , , untouched] = reads;
    expect(reads).toEqual([
      { grid_x: 71, device: -72, bytes: 73, ptr: readable?.ptr },
      { ptr: 0 },
      { ptr: 0x10000 },
      // Mapped but never touched: reading it would have to fault it in.
      { ptr: untouched?.ptr },
    ]);
    // kind and change share one read of 8 bytes; three calls failed both.
    expect((await accounting(capture)).read_faults).toBe(6);
    expect(
      await query(
        capture,
        `SELECT status::VARCHAR AS status, error::VARCHAR AS error, return_code, bytes, grid_x, ptr, flags
         FROM cuda_events WHERE op = 'pt_out' ORDER BY start_time`,
      ),
    ).toEqual([
      {
        status: 'error',
        error: 'EINVAL',
        return_code: -22n,
        bytes: null,
        grid_x: null,
        ptr: 0x1111n,
        flags: 1n,
      },
      {
        status: 'ok',
        error: null,
        return_code: 0n,
        bytes: 0x1122334455667788n,
        grid_x: 0xfffffff0,
        ptr: 0x1111n,
        flags: 0n,
      },
    ]);
  });

  test('returned values: their width and sign, and NULL for what returns none', async () => {
    const { capture } = await trace(['returns']);
    const returned = await query(
      capture,
      `SELECT op::VARCHAR AS op, status::VARCHAR AS status, return_code FROM cuda_events ORDER BY start_time`,
    );
    expect(returned.map(({ op, return_code }) => [op, return_code])).toEqual([
      ['pt_int', 81n],
      ['pt_int', -82n],
      ['pt_negative', -83n],
      ['pt_long', -(2n ** 63n)],
      ['pt_long', 84n],
      // The column is signed; all 64 bits are in it.
      ['pt_u64', -1n],
      // The ABI leaves the upper bits of narrow results undefined.
      ['pt_u8', null],
      ['pt_bool', null],
      ['pt_bool', null],
      ['pt_void', null],
      ['pt_make', null],
    ]);
    // The pack names no result codes: returning is success.
    expect(new Set(returned.map(({ status }) => status))).toEqual(new Set(['ok']));
    expect(await rows(capture, 'bytes', "op = 'pt_make'")).toEqual([{ bytes: 87 }]);
  });

  test('entries: the probe sits behind what can be skipped, and arguments and results stay exact', async () => {
    const { capture } = await trace(['entries']);
    const entries = await query(
      capture,
      `SELECT e.op::VARCHAR AS op, e.device, e.return_code::INTEGER AS returned, p.skip_bytes, p.cost_class::VARCHAR AS cost
       FROM cuda_events e JOIN probes p USING (probe_id) ORDER BY e.start_time`,
    );
    const emulated = process.arch === 'x64' ? 'emulated' : entries[0]?.cost;
    const skipped = (bytes: number): number => (process.arch === 'x64' ? bytes : 0);
    expect(entries.slice(0, 4)).toEqual([
      { op: 'pt_endbr', device: 91, returned: 92, skip_bytes: skipped(4), cost: emulated },
      { op: 'pt_thunk', device: 92, returned: 93, skip_bytes: skipped(10), cost: emulated },
      { op: 'pt_load', device: 93, returned: 94, skip_bytes: skipped(7), cost: emulated },
      { op: 'pt_movabs', device: 94, returned: 95, skip_bytes: skipped(10), cost: emulated },
    ]);
    expect(entries.slice(4)).toMatchObject([
      { op: 'pt_sub', device: 95, returned: 96, skip_bytes: 0 },
      { op: 'pt_nop', device: 96, returned: 97, skip_bytes: 0 },
    ]);
  });

  test("longjmp out of nested calls: all of them are unwound, and the next call is nobody's child", async () => {
    const { capture, truth } = await trace(['longjmp', '5', '20']);
    expect(await statuses(capture)).toEqual({ ok: truth.calls.pt_int, unwound: truth.unwound?.pt_call });
    expect(await rows(capture, 'parent_id', "op = 'pt_int'")).toEqual(Array.from({ length: 20 }, () => ({})));
    expect((await accounting(capture)).lost_too_deep).toBe(0);
  });

  test('threads hammering one function: each has exactly its own calls and arguments', async () => {
    const { capture, truth } = await trace(['hammer', '8', '2000']);
    const { threads = [] } = truth;
    const found = await query(
      capture,
      `SELECT tid, name, count(*)::INTEGER AS calls, count(DISTINCT bytes)::INTEGER AS arguments,
              count(DISTINCT bytes >> 32)::INTEGER AS threads, (max(bytes & 4294967295) + 1)::INTEGER AS last
       FROM cuda_events JOIN threads USING (tid) GROUP BY ALL ORDER BY tid`,
    );
    expect(found).toEqual(
      [...threads]
        .sort((a, b) => a.tid - b.tid)
        .map(({ tid, name, calls }) => ({ tid, name, calls, arguments: calls, threads: 1, last: calls })),
    );
    expect(await query(capture, 'SELECT count(DISTINCT call_id)::INTEGER AS ids FROM cuda_events')).toEqual([
      { ids: truth.calls.pt_hit },
    ]);
  });

  test('several packs on one library: an entry-only probe, and two probes on one function', async () => {
    const { capture } = await trace(['all'], ['probe-target', 'probe-target-results', 'probe-target-entry']);
    expect(
      await query(
        capture,
        `SELECT op::VARCHAR AS op, layer::VARCHAR AS layer, status::VARCHAR AS status, count(*)::INTEGER AS rows,
                count(duration_ns)::INTEGER AS timed, count(return_code)::INTEGER AS returned
         FROM cuda_events WHERE op IN ('pt_outer', 'pt_negative', 'negative') GROUP BY ALL ORDER BY op, layer`,
      ),
    ).toEqual([
      { op: 'negative', layer: 'results', status: 'error', rows: 1, timed: 1, returned: 1 },
      { op: 'pt_negative', layer: 'target', status: 'ok', rows: 1, timed: 1, returned: 1 },
      { op: 'pt_outer', layer: 'entry', status: 'entry', rows: 3, timed: 0, returned: 0 },
      { op: 'pt_outer', layer: 'target', status: 'ok', rows: 3, timed: 3, returned: 3 },
    ]);
    const { hits } = await accounting(capture);
    expect(await query(capture, 'SELECT sum(rows)::INTEGER AS rows FROM probe_accounting')).toEqual([
      { rows: hits },
    ]);
  });

  test('perf links give the same rows as a multi-uprobe link', async () => {
    const described = async (flags: readonly string[]): Promise<{ method: unknown; rows: Row[] }> => {
      const pack = join(packs, 'probe-target.yaml');
      const result = await tracer.run([...flags, '--pack', pack, '--', workload.probeTarget, 'all']);
      expect(result.code).toBe(0);
      await expectComplete(result.capture);
      const [{ method } = {}] = await query(
        result.capture,
        'SELECT attach_method::VARCHAR AS method FROM capture',
      );
      // Addresses differ from run to run.
      const all = await query(
        result.capture,
        `SELECT e.* EXCLUDE (${sharedColumns('op', 'status', 'error', 'layer', 'return_code')}, ptr), p.symbol, p.state
         FROM cuda_events e JOIN probes p USING (probe_id) ORDER BY start_time`,
      );
      return { method, rows: all };
    };
    const multi = await described([]);
    const single = await described(['--attach-method', 'perf-link']);
    expect([multi.method, single.method]).toEqual(['uprobe-multi', 'perf-link']);
    expect(single.rows).toEqual(multi.rows);
    expect(multi.rows.length).toBeGreaterThan(40);
  });
});
