import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { IngeroError } from '../../src/errors.js';
import { importGoAgentCapture } from '../../src/import/go-agent/convert.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { whyNot } from '../../src/query/applies.js';
import { caveats } from '../../src/query/caveats.js';
import { readLibrary } from '../../src/query/library.js';
import type { NamedQuery } from '../../src/query/named-query.js';
import { resolveParams } from '../../src/query/params.js';
import { runNamed } from '../../src/query/run.js';
import { named, scratchDir, toJson, withCapture } from '../query/helpers.js';
import { writeAgentFile } from './support/go-agent-file.js';
import { merged, singleNode } from './support/scenario.js';

const dir = scratchDir();
const library = readLibrary();

const SOURCES: readonly (readonly [name: string, write: (path: string) => void])[] = [
  ['0.8', (path) => writeAgentFile(path, '0.8', singleNode('0.8'))],
  ['0.9', (path) => writeAgentFile(path, '0.9', singleNode('0.9'))],
  ['0.10', (path) => writeAgentFile(path, '0.10', singleNode('0.10'))],
  ['0.17', (path) => writeAgentFile(path, '0.17', singleNode('0.17'))],
  ['0.17, merged', (path) => writeAgentFile(path, '0.17', merged('0.17'))],
];

/** Queries of what the old agent never recorded, and how they say so. */
const NEVER_RECORDED: readonly (readonly [query: string, why: RegExp])[] = [
  ['event-waits', /^none of the functions it reads/],
  ['find-nccl-async-errors', /^none of the functions it reads/],
  ['find-torch-fragmentation', /^it has no table torch_alloc_events/],
  ['find-torch-leaks', /^it has no table torch_alloc_events/],
  ['find-torch-out-of-memory', /^it has no table torch_alloc_events/],
  ['find-torch-thrash', /^it has no table torch_alloc_events/],
  ['memory-info', /^none of the functions it reads/],
  ['nccl-communicators', /^none of the functions it reads/],
  ['torch-blocks', /^it has no table torch_alloc_events/],
  ['torch-fragmentation', /^it has no table torch_alloc_events/],
  ['torch-out-of-memory', /^it has no table torch_alloc_events/],
  ['torch-timeline', /^it has no table torch_alloc_events/],
];

/** Questions about several runs or hosts. */
const OF_SEVERAL_RUNS: readonly (readonly [string, RegExp])[] = [
  ['diff', /^it needs two runs/],
  ['find-nccl-slow-ranks', /^it is of one host/],
];

/** Answers of every named query: `ok`, why it does not apply, or the error. */
async function answers(file: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  await withCapture(file, async (capture, budget) => {
    for (const query of library.values()) {
      const reason = await whyNot(capture, query);
      if (reason !== undefined) {
        found.set(query.name, reason.why);
        continue;
      }
      try {
        const result = await toJson(await runNamed(capture, query, resolveParams(query, []), budget));
        const names = result.columns.map(({ name }) => name);
        found.set(
          query.name,
          names.join() === query.columns.map(({ name }) => name).join() ? 'ok' : 'other columns',
        );
      } catch (error) {
        if (!(error instanceof IngeroError)) throw error;
        found.set(query.name, `ERROR ${error.message}`);
      }
    }
  });
  return found;
}

test.each(SOURCES)(
  'every named query answers on a converted file of schema %s, or says why not',
  async (name, write) => {
    const source = join(dir, `${name}.db`);
    const capture = join(dir, `${name}.duckdb`);
    write(source);
    await importGoAgentCapture({ source, out: capture, salvage: false });
    const found = await answers(capture);
    const refused = [...found].filter(([, answer]) => answer !== 'ok');
    const expected = [
      ...NEVER_RECORDED,
      ...(name.endsWith('merged') ? [] : OF_SEVERAL_RUNS),
      ...(name === '0.8' ? [['by-rank', /^no process has a rank/] as const] : []),
    ];
    expect(refused.map(([query]) => query).sort()).toEqual(expected.map(([query]) => query).sort());
    for (const [query, why] of expected) expect(found.get(query)).toMatch(why);
  },
);

describe('on the real 0.8 sample', () => {
  const capture = join(dir, 'real.duckdb');
  beforeAll(async () => {
    const source = join(PACKAGE_ROOT, 'test/fixtures/go-agent/0.8-empty-cache-excerpt.db');
    await importGoAgentCapture({ source, out: capture, salvage: false });
  });

  test('cuda-api-sum counts what the file holds', async () => {
    const { rows } = await named(capture, 'cuda-api-sum');
    expect(Object.fromEntries(rows.map((row) => [row.op, row.calls]))).toEqual({
      cudaLaunchKernel: 84,
      cudaStreamSynchronize: 56,
      cudaMalloc: 45,
      cudaFree: 40,
      cudaMemcpyAsync: 11,
    });
  });

  test('what-was-lost says that it is not known', async () => {
    const { rows } = await named(capture, 'what-was-lost');
    expect(rows.map((row) => row.verdict)).toEqual(['unknown: imported, and what recorded it did not count']);
  });

  test('every result comes with what the file lacks', async () => {
    const notes = await withCapture(capture, (open) =>
      caveats(open, library.get('alloc-balance') as NamedQuery),
    );
    expect(notes.map(({ text }) => text)).toEqual([
      'Converted from a capture of the Go agent (schema 0.8), which stored part of the calls only: counts and sums are lower bounds.',
      '45 allocations have no address, which this version of the agent did not record: they cannot be paired with frees.',
    ]);
  });
});
