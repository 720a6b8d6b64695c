import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadBuiltinPacks } from '../../src/packs/load.js';
import { buildStub, readTold } from '../../src/stub/library.js';
import { query, type Row, sharedColumns } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';

const packs = loadBuiltinPacks();

/** A row as text, without what is NULL. */
function textOf(row: Row): Record<string, string> {
  return Object.fromEntries(
    Object.entries(row).flatMap(([name, value]) => (value === null ? [] : [[name, String(value)]])),
  );
}

describe.skipIf(!requireRootAndBpf())('every probe of every shipped pack fires', () => {
  let tracer: Tracer;
  beforeAll(async () => {
    tracer = await buildTracer();
  });
  afterAll(() => tracer?.remove());

  test.each(packs.map((pack) => [pack.name, pack] as const))('%s', async (name, pack) => {
    const stub = buildStub(pack, join(tracer.dir, name));
    const result = await tracer.run(['--json', '--pack', name, '--', stub.program]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    const told = readTold(result.stdout);

    const rows = await query(
      result.capture,
      `SELECT p.symbol, e.* EXCLUDE (${sharedColumns('op', 'status', 'error', 'layer', 'return_code')}),
              e.duration_ns IS NOT NULL AS timed, e.parent_id IS NULL AS outermost
       FROM ${pack.table} e JOIN probes p USING (probe_id) ORDER BY e.start_time`,
    );
    expect(rows.map(({ timed }) => timed)).toEqual(rows.map(({ status }) => status !== 'entry'));
    expect(rows.every(({ outermost }) => outermost)).toBe(true);
    const recorded = rows.map(({ timed: _timed, outermost: _outermost, ...row }) => textOf(row));
    const expected = stub.calls.map(({ symbol, row }, call) => ({
      symbol,
      ...row(told[call] ?? new Map()),
    }));
    expect(expected.length).toBeGreaterThanOrEqual(2 * pack.probes.length);
    expect(recorded).toEqual(expected);

    // Each symbol of the pack was attached, and each capture was seen with a value.
    const symbols = new Set(
      pack.probes.flatMap(({ symbols: listed = [] }) => listed.filter((one) => typeof one === 'string')),
    );
    expect([...symbols].filter((symbol) => !rows.some((row) => row.symbol === symbol))).toEqual([]);
    const unseen = pack.probes.flatMap(({ capture = [] }, index) => {
      const op = pack.probes[index]?.op ?? /(\w+)\(/.exec(pack.probes[index]?.prototype ?? '')?.[1];
      const mine = recorded.filter((row) => row.op === op);
      return capture
        .filter(({ column }) => !mine.some((row) => column in row))
        .map(({ column }) => [op, column]);
    });
    expect(unseen).toEqual([]);

    const [counts] = await query(
      result.capture,
      `SELECT sum(hits)::INTEGER AS hits, sum(rows)::INTEGER AS rows, sum(filtered)::INTEGER AS filtered,
              sum(read_faults)::INTEGER AS read_faults
       FROM probe_accounting`,
    );
    const { rejected } = stub;
    expect(counts).toEqual({
      hits: expected.length + rejected,
      rows: expected.length,
      filtered: rejected,
      read_faults: 0,
    });
  });
});
