import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Comparison, ConditionSpec } from '../../src/packs/index.js';
import { accounting, expectComplete, query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';
import { copyWorkload, type Workload } from './support/workload.js';

/** hammer makes calls pt_hit(thread << 32 | i), thread 0..2, CALLS + thread calls each; pt_hit returns the low word + 1 as int. */
const THREADS = 3;
const CALLS = 40;
const CASES = 24;

/** What the kernel must decide, in JavaScript. */
function oracle(is: Comparison, value: bigint, to: readonly bigint[]): boolean {
  const other = to[0] as bigint;
  switch (is) {
    case 'eq':
      return value === other;
    case 'ne':
      return value !== other;
    case 'lt':
      return value < other;
    case 'le':
      return value <= other;
    case 'gt':
      return value > other;
    case 'ge':
      return value >= other;
    case 'in':
      return to.includes(value);
    case 'mask':
      return (value & other) !== 0n;
  }
}

/** The types the argument is read as, and what a value of it then is. */
const READINGS = {
  'uint64_t value': (word: bigint) => word,
  'int64_t value': (word: bigint) => BigInt.asIntN(64, word),
  'uint32_t value': (word: bigint) => BigInt.asUintN(32, word),
  'int8_t value': (word: bigint) => BigInt.asIntN(8, word),
} as const;
type Reading = keyof typeof READINGS;

const number = fc.oneof(
  fc.integer({ min: -3, max: CALLS + 4 }),
  fc.constantFrom(2 ** 32, 2 ** 32 + 7, 2 ** 33 + 20, -(2 ** 33), 127, -128, 0xff),
);
const condition: fc.Arbitrary<ConditionSpec> = fc
  .constantFrom<Comparison[]>('eq', 'ne', 'lt', 'le', 'gt', 'ge', 'in', 'mask')
  .chain(
    (is): fc.Arbitrary<ConditionSpec> =>
      is === 'in'
        ? fc.array(number, { minLength: 1, maxLength: 8 }).map((values) => ({ arg: 'value', is, values }))
        : number.map((value) => ({ arg: 'value', is, value })),
  );
const probe = fc.record({
  reading: fc.constantFrom(...(Object.keys(READINGS) as Reading[])),
  where: fc.array(condition, { minLength: 1, maxLength: 3 }),
});

/** The bits a comparison value has in the kernel: two's complement, read with the sign of the argument. */
function comparable(reading: Reading, value: number): bigint {
  return reading.startsWith('u') ? BigInt.asUintN(64, BigInt(value)) : BigInt(value);
}

function packText(name: string, prototype: string, where: readonly ConditionSpec[]): string {
  return `name: ${name}
version: 1.0.0
description: Conditions
layer: target
libraries: [{ soname: libprobe_target.so }]
table: cuda_events
probes:
  - prototype: ${prototype}
    op: ${name.replaceAll('-', '_')}
    where: ${JSON.stringify(where)}
`;
}

describe.skipIf(!requireRootAndBpf())('where', () => {
  let tracer: Tracer;
  let workload: Workload;
  const packs = mkdtempSync(join(tmpdir(), 'ingero-where-'));
  beforeAll(async () => {
    workload = copyWorkload();
    tracer = await buildTracer();
  });
  afterAll(() => {
    tracer?.remove();
    workload?.remove();
    rmSync(packs, { recursive: true, force: true });
  });

  async function trace(texts: readonly string[], command: readonly string[]): Promise<string> {
    const flags = texts.flatMap((text, index) => {
      const path = join(packs, `${index}.yaml`);
      writeFileSync(path, text);
      return ['--pack', path];
    });
    const result = await tracer.run(['--json', ...flags, '--', workload.probeTarget, ...command]);
    expect(result).toMatchObject({ code: 0, stderr: '' });
    await expectComplete(result.capture);
    return result.capture;
  }

  test('decides in the kernel as JavaScript does, for every operator, sign and width', async () => {
    const cases = fc.sample(probe, { numRuns: CASES, seed: 20261124 });
    const capture = await trace(
      cases.map(({ reading, where }, index) => packText(`case-${index}`, `int pt_hit(${reading})`, where)),
      ['hammer', String(THREADS), String(CALLS)],
    );
    const words = Array.from({ length: THREADS }, (_, thread) =>
      Array.from({ length: CALLS + thread }, (_, call) => (BigInt(thread) << 32n) | BigInt(call)),
    ).flat();
    const expected = cases.map(
      ({ reading, where }) =>
        words.filter((word) =>
          where.every(({ is, value, values }) =>
            oracle(
              is,
              READINGS[reading](word),
              (values ?? [value]).map((other) => comparable(reading, other as number)),
            ),
          ),
        ).length,
    );
    const found = new Map(
      (
        await query(capture, 'SELECT op::VARCHAR AS op, count(*)::INTEGER AS n FROM cuda_events GROUP BY op')
      ).map(({ op, n }) => [op, n]),
    );
    expect(cases.map((_, index) => found.get(`case_${index}`) ?? 0)).toEqual(expected);
    const total = await accounting(capture);
    expect(total.hits).toBe(words.length * CASES);
    expect(total.filtered).toBe(words.length * CASES - expected.reduce((sum, n) => sum + n, 0));
    expect(total.orphan_returns).toBe(0);
  });

  test('result and duration are looked at when the call returns', async () => {
    const capture = await trace(
      [
        packText('failed', 'int pt_negative(int value)', [{ of: 'result', is: 'lt', value: 0 }]),
        packText('never', 'int pt_negative(int value)', [{ of: 'result', is: 'ge', value: 0 }]),
        packText('slow', 'int pt_negative(int value)', [{ of: 'duration', is: 'gt', value: 60_000_000_000 }]),
        packText('quick', 'int pt_negative(int value)', [
          { of: 'duration', is: 'lt', value: 60_000_000_000 },
        ]),
      ],
      ['returns'],
    );
    const rows = await query(capture, 'SELECT DISTINCT op::VARCHAR AS op FROM cuda_events ORDER BY op');
    expect(rows.map(({ op }) => op)).toEqual(['failed', 'quick']);
    expect((await accounting(capture)).orphan_returns).toBe(0);
  });
});
