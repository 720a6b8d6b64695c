import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accounting, expectComplete, query, type Row } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildSite, SITE_PACK } from './support/site.js';
import { buildTracer, type Tracer } from './support/tracer.js';

describe.skipIf(!requireRootAndBpf())('what a site pack can say of its library', () => {
  let tracer: Tracer;
  let program: string;
  let all: string;

  /** Traces the program with the pack, changed where `replace` says so. */
  async function trace(
    command: readonly string[],
    replace: readonly (readonly [string, string])[] = [],
    flags: readonly string[] = [],
  ): Promise<string> {
    const pack = join(tracer.dir, 'site.yaml');
    writeFileSync(
      pack,
      replace.reduce(
        (text, [from, to]) => {
          expect(text).toContain(from);
          return text.replace(from, to);
        },
        readFileSync(SITE_PACK, 'utf8'),
      ),
    );
    const result = await tracer.run(['--json', ...flags, '--pack', pack, '--', program, ...command]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(result.capture);
    return result.capture;
  }

  /** Columns of the rows of one function, in the order of the calls. */
  const rowsOf = (capture: string, op: string, columns: string): Promise<Row[]> =>
    query(capture, `SELECT ${columns} FROM site_events WHERE op = '${op}' ORDER BY start_time`);

  beforeAll(async () => {
    tracer = await buildTracer();
    program = buildSite(join(tracer.dir, 'site'));
    all = await trace(['all']);
  });
  afterAll(() => tracer?.remove());

  test('strings: cut to their length, on cold pages, and safe whatever bytes they have', async () => {
    const rows = await rowsOf(all, 'site_open', 'path, status::VARCHAR AS status');
    expect(rows.map(({ path }) => path)).toEqual([
      '/models/plain.bin',
      '/models/refused',
      null,
      null,
      '',
      'exactly twenty bytes',
      'exactly twenty bytes…',
      // The second é would end behind the 20th byte.
      'nineteen bytes andé…',
      'bad \ufffd\ufffd utf-8 \u001b[31m',
      `${'x'.repeat(20)}…`,
      'in the cold',
      'across two pages',
    ]);
    expect(rows[1]?.status).toBe('error');
    // 0x10 is no address; a null pointer is no fault.
    expect((await accounting(all)).read_faults).toBe(1);
  });

  test('strings: two in a call, results behind pointers, in a struct and returned, nested calls', async () => {
    expect(await rowsOf(all, 'site_pair', 'path, other')).toEqual([
      { path: 'left', other: 'right' },
      { path: `${'x'.repeat(512)}…`, other: `${'x'.repeat(10)}…` },
    ]);
    expect(await rowsOf(all, 'site_message', 'message')).toEqual([
      { message: 'all is well' },
      { message: null },
    ]);
    expect(await rowsOf(all, 'site_describe', 'message, state')).toEqual([
      { message: 'twelve bytes', state: 41 },
      { message: 'short', state: 41 },
    ]);
    expect(await rowsOf(all, 'site_error', 'message')).toEqual([{ message: null }, { message: 'cold' }]);
    // Four calls within each other keep theirs; the two outermost lost them.
    const names = await rowsOf(all, 'site_outer', 'path');
    expect(names.map(({ path }) => path)).toEqual([null, null, 'level 3', 'level 2', 'level 1', 'level 0']);
  });

  test('what a function returned is a column, pointers too', async () => {
    expect(await rowsOf(all, 'site_alloc', 'handle, return_code')).toEqual([
      { handle: 0x7000000000000000n + 64n, return_code: null },
    ]);
  });

  test('states that are no errors: their results are read', async () => {
    const columns = 'return_code::INTEGER AS code, status::VARCHAR AS status, error::VARCHAR AS error, state';
    expect(await rowsOf(all, 'site_poll', columns)).toEqual([
      { code: 0, status: 'ok', error: null, state: 100 },
      { code: 7, status: 'ok', error: null, state: 107 },
      { code: 5, status: 'error', error: 'SITE_FAILED', state: null },
    ]);
  });

  test('the current device: known from a success on, per thread, until it is not', async () => {
    const rows = await rowsOf(all, 'site_work', 'bytes::INTEGER AS work, current_device');
    expect(rows.map(({ work, current_device }) => [work, current_device])).toEqual([
      [1, null],
      [2, 3],
      // Setting it to 4 failed.
      [3, 3],
      [4, 0],
      [5, null],
      [6, 6],
      [90, null],
      [91, 2],
      [7, 6],
    ]);
    // A row has the device of the time its call was made; what is called inside of a call changes nothing.
    const set = await rowsOf(all, 'site_set_device', 'current_device');
    expect(set.map(({ current_device }) => current_device)).toEqual([null, 3, 3, null]);
  });

  test('redact: equal values have equal hashes, nothing else is left of them', async () => {
    const capture = await trace(
      ['strings'],
      [
        ['{ arg: path, string: 20, column: path }', '{ arg: path, string: 20, column: path, redact: hash }'],
        ['{ of: result, column: handle }', '{ of: result, column: handle, redact: hash }'],
        ['{ arg: mode, column: mode }', '{ arg: mode, column: mode, redact: drop }'],
      ],
    );
    const opened = await rowsOf(capture, 'site_open', 'path, mode');
    const paths = opened.map(({ path }) => path);
    expect(paths[0]).toMatch(/^[0-9a-f]{16}$/);
    expect(paths.filter((path) => path === null)).toHaveLength(2);
    expect(new Set(paths).size).toBe(11);
    expect(opened.every(({ mode }) => mode === null)).toBe(true);
    const [{ handle } = {}] = await rowsOf(capture, 'site_alloc', 'handle');
    expect(handle).not.toBe(0x7000000000000000n + 64n);
    for (const text of ['/models', 'exactly twenty']) {
      expect(readFileSync(capture).includes(text), text).toBe(false);
    }
    // Another run has another key.
    const again = await trace(
      ['strings'],
      [['{ arg: path, string: 20, column: path }', '{ arg: path, string: 20, column: path, redact: hash }']],
    );
    const [first] = await rowsOf(again, 'site_open', 'path');
    expect(first?.path).not.toBe(paths[0]);
  });

  test('sample: one call in N by chance, whatever pattern the calls have, and every call accounted for', async () => {
    const calls = 40_000;
    const probe = '- prototype: int site_work(uint64_t value)\n';
    const capture = await trace(['work', String(calls)], [[probe, `${probe}    sample: 1/8\n`]]);
    const counts = await accounting(capture);
    expect(counts).toMatchObject({ hits: calls, filtered: 0, orphan_returns: 0 });
    const [row] = await query(
      capture,
      `SELECT count(*)::INTEGER AS rows, sum(sample_weight)::INTEGER AS weight, min(sample_weight)::INTEGER AS each,
              count(*) FILTER (WHERE bytes = 0)::INTEGER AS even
       FROM site_events WHERE op = 'site_work'`,
    );
    const { rows, weight, each, even } = row as Record<string, number>;
    expect(each).toBe(8);
    expect(weight).toBe(8 * (rows as number));
    // Seven standard deviations of a binomial distribution; the calls alternate between two values.
    expect(Math.abs((rows as number) - calls / 8)).toBeLessThan(7 * Math.sqrt(calls * (1 / 8) * (7 / 8)));
    expect(Math.abs((even as number) - calls / 16)).toBeLessThan(7 * Math.sqrt(calls * (1 / 16)));
    const [{ sampled } = {}] = await query(
      capture,
      'SELECT sum(sampled)::INTEGER AS sampled FROM probe_accounting',
    );
    expect(sampled).toBe(calls - (rows as number));
  });

  test('where on results and on who calls', async () => {
    const poll = '- prototype: int site_poll(int *state, int code)\n';
    const work = '- prototype: int site_work(uint64_t value)\n';
    const open = '- prototype: int site_open(const char *path, int mode)\n';
    const pair = '- prototype: int site_pair(const char *first, const char *second)\n';
    const where = (text: string): string => `    where: [${text}]\n`;
    const capture = await trace(
      ['all'],
      [
        // Of a call that failed there is no state to look at.
        [poll, poll + where("{ arg: '*state', at: return, is: ge, value: 105 }")],
        [work, work + where('{ of: comm, is: in, values: [bash, site] }, { of: uid, is: eq, value: 0 }')],
        [open, open + where('{ of: comm, is: ne, value: site }')],
        [pair, pair + where('{ of: pid, is: lt, value: 1 }')],
      ],
    );
    const polled = await rowsOf(capture, 'site_poll', 'return_code::INTEGER AS code, state');
    expect(polled).toEqual([
      { code: 7, state: 107 },
      { code: 5, state: null },
    ]);
    const rows = await query(
      capture,
      `SELECT op, rows::INTEGER AS rows, filtered::INTEGER AS filtered
       FROM probe_accounting JOIN probes USING (probe_id) WHERE filtered > 0 OR op = 'site_work' ORDER BY op`,
    );
    expect(rows).toEqual([
      { op: 'site_open', rows: 0, filtered: 12 },
      { op: 'site_pair', rows: 0, filtered: 2 },
      { op: 'site_poll', rows: 2, filtered: 1 },
      { op: 'site_work', rows: 9, filtered: 0 },
    ]);
  });

  test('stacks: each distinct one once, as build-ids and offsets, from the probe or for the whole trace', async () => {
    const work = '- prototype: int site_work(uint64_t value)\n';
    const capture = await trace(['stacks'], [[work, `${work}    stack: always\n`]]);
    const rows = await query(
      capture,
      `SELECT bytes::INTEGER AS work, count(*)::INTEGER AS rows, count(DISTINCT stack_id)::INTEGER AS stacks
       FROM site_events GROUP BY work ORDER BY work`,
    );
    expect(rows).toEqual([
      { work: 1, rows: 50, stacks: 1 },
      { work: 2, rows: 50, stacks: 1 },
    ]);
    const frames = await query(
      capture,
      `SELECT stack_id, position, regexp_extract(module, '[^/]*$') AS module, length(build_id) AS id_length,
              module_offset IS NOT NULL AS placed, address IS NOT NULL AS addressed, function
       FROM frames WHERE position < 5 ORDER BY stack_id, position`,
    );
    const expected = (way: string) =>
      [
        ['libsite.so', 'site_work'],
        ['site', 'inner_caller'],
        ['site', way],
        ['site', 'main'],
        // Local: only a symbol table that Debian's libc.so.6 does not have names it.
        ['libc.so.6', null],
      ].map(([module, name], position) => ({
        position,
        module,
        id_length: 40n,
        placed: true,
        addressed: true,
        function: name,
      }));
    expect(frames).toEqual(
      ['one_way', 'other_way'].flatMap((way, at) =>
        expected(way).map((frame) => ({ stack_id: at + 1, ...frame })),
      ),
    );
    // The two ways meet in one caller, and come from two.
    const callers = await query(
      capture,
      `SELECT position, count(DISTINCT module_offset)::INTEGER AS places FROM frames WHERE position < 3
       GROUP BY position ORDER BY position`,
    );
    expect(callers.map(({ places }) => places)).toEqual([1, 1, 2]);
    const [lost] = await query(capture, 'SELECT sum(lost_stacks)::INTEGER AS lost FROM probe_accounting');
    expect(lost).toEqual({ lost: 0 });

    const whole = await trace(['all'], [], ['--stacks']);
    const [missing] = await query(
      whole,
      'SELECT count(*)::INTEGER AS n FROM site_events WHERE stack_id IS NULL',
    );
    expect(missing).toEqual({ n: 0 });
  });

  test('perf links give the same rows, strings included', async () => {
    const described = (capture: string): Promise<Row[]> =>
      query(
        capture,
        `SELECT * EXCLUDE (start_time, duration_ns, call_id, parent_id, pid, process_id, tid, probe_id)
         FROM site_events ORDER BY start_time`,
      );
    const single = await trace(['all'], [], ['--attach-method', 'perf-link']);
    expect(await described(single)).toEqual(await described(all));
  });
});
