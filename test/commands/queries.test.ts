import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { skeletonQuery } from '../../src/query/skeleton.js';
import { scratchDir } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildCli, type Cli } from '../support/cli.js';

const dir = scratchDir();
const path = join(dir, 'run.duckdb');
const config = join(dir, 'config');
const extra = join(dir, 'extra');
let cli: Cli;

// Some tests start a dozen commands one after the other.
vi.setConfig({ testTimeout: 120_000 });

beforeAll(async () => {
  cli = await buildCli();
  mkdirSync(join(config, 'queries.d'), { recursive: true });
  mkdirSync(extra);
  await buildCapture(path, {
    packs: [{ pack: 'cuda-runtime' }],
    probes: [{ op: 'cudaMemcpy' }],
    probeAccounting: [{ probe_id: 0, hits: 4, rows: 2, lost_ring_full: 2 }],
    tables: {
      self_observations: [4, 8].map((second) => ({
        ...{ observed_at: second * 1_000_000_000, ring_high_water: second === 8 ? 1 : 0, busy_threads: 1 },
        ...{ cpu_ns: 0, rss_bytes: 0, overhead_percent: 0 },
      })),
    },
    cudaEvents: [
      { op: 'cudaMemcpy', kind: 'h2d', bytes: 4 << 20, duration_ns: 5_000_000 },
      { op: 'cudaMemcpy', kind: 'd2h', bytes: 100, duration_ns: 1_000_000 },
    ],
  });
});
afterAll(() => cli.remove());

const run = (args: readonly string[]) => cli.run(args, { env: { INGERO_CONFIG_DIR: config } });
const rows = async (args: readonly string[]): Promise<unknown[]> =>
  JSON.parse((await run([...args, '-f', 'json'])).stdout);

describe('ingero run-query: parameters as flags', () => {
  test('before and after the names, with = and without', async () => {
    for (const args of [
      ['run-query', 'slow-memcpy', path, '--min-ms', '2'],
      ['run-query', '--min-ms=2', 'slow-memcpy', path],
      ['run-query', 'slow-memcpy', '--min-ms', '2', path, '--limit=5'],
    ]) {
      expect(await rows(args)).toMatchObject([{ bytes: 4194304 }]);
    }
  });

  test('a value out of range, a flag nobody knows, and one parameter given twice', async () => {
    const range = await run(['run-query', 'slow-memcpy', path, '--min-ms', '-1']);
    expect(range.code).toBe(EXIT.sql);
    expect(range.stderr).toContain('in the range 0..');
    const unknown = await run(['run-query', 'slow-memcpy', path, '--mim-ms', '1']);
    expect(unknown.code).toBe(EXIT.sql);
    expect(unknown.stderr).toContain('did you mean min-ms?');
    const twice = await run(['run-query', 'slow-memcpy', path, '--limit', '1', '-p', 'limit=2']);
    expect(twice.stderr).toContain('given twice');
  });

  test('--explain shows the SQL, the values and the plan, and runs nothing', async () => {
    const { code, stdout } = await run(['run-query', 'slow-memcpy', path, '--min-ms', '2', '--explain']);
    expect(code).toBe(0);
    expect(stdout).toContain('-- $min_ms = 2');
    expect(stdout).toContain('FROM cuda_events');
    expect(stdout).toMatch(/SEQ_SCAN|TABLE_SCAN/);
    const json = JSON.parse((await run(['run-query', 'slow-memcpy', path, '--explain', '--json'])).stdout);
    expect(json).toMatchObject({ name: 'slow-memcpy', params: { min_ms: '0.1', limit: '50' } });
  });

  test('losses are said beside the result, and in --json', async () => {
    const { stdout, stderr } = await run(['run-query', 'slow-memcpy', path, '-f', 'csv']);
    expect(stdout).not.toContain('lost');
    expect(stderr).toContain('Note: 2 of 4 calls this query reads were lost (50.0 %)');
    const json = JSON.parse((await run(['run-query', 'slow-memcpy', path, '--json'])).stdout);
    expect(json.notes).toEqual([expect.stringContaining('2 of 4 calls')]);
    // A ring was full late in the recording; the calls began at its start.
    const when = 'This was between 3.0 s and 10.0 s after the start of the recording';
    const outside = 'outside the time of the calls shown, which began between 0.0 s and 0.0 s.';
    expect(stderr).toContain(`${when}, ${outside}`);
    expect(json.notes[0]).toContain(`${when}, ${outside}`);
    const sums = await run(['run-query', 'memcpy-bandwidth', path]);
    expect(sums.stderr).toContain(`${when}.`);
  });
});

describe('queries of the user', () => {
  test('new writes one that is right and runs', async () => {
    const made = await run(['queries', 'new', 'my-calls']);
    const file = join(config, 'queries.d', 'my-calls.sql');
    expect(made.stdout).toContain(file);
    expect((await run(['queries', 'validate', file])).stdout).toContain('OK');
    expect(await rows(['run-query', 'my-calls', path, '--min-us', '2000'])).toMatchObject([
      { op: 'cudaMemcpy', calls: 1, total_ns: 5_000_000 },
    ]);
    expect((await run(['queries', 'new', 'my-calls'])).code).toBe(EXIT.output);
    expect((await run(['queries', 'new', 'My_Calls'])).code).toBe(EXIT.usage);
    expect(existsSync(join(config, 'queries.d', 'My_Calls.sql'))).toBe(false);
  });

  test('--query-dir comes before the configuration, and that before what ships', async () => {
    const titled = (title: string) =>
      skeletonQuery('x', 'cuda_events').replace(/@title .*/, `@title ${title}`);
    writeFileSync(join(config, 'queries.d', 'cuda-api-sum.sql'), titled('Of the user'));
    writeFileSync(join(extra, 'cuda-api-sum.sql'), titled('Of the folder'));
    expect((await run(['queries', 'show', 'cuda-api-sum'])).stdout).toContain('Of the user');
    const { stdout, stderr } = await run(['queries', '--query-dir', extra]);
    expect(stdout).toMatch(/^cuda-api-sum .*Of the folder \(query-dir: /m);
    expect(stderr).toContain(`${join(config, 'queries.d', 'cuda-api-sum.sql')} is not used`);
    expect((await run(['queries', '--query-dir', join(dir, 'nowhere')])).code).toBe(EXIT.usage);
  });

  test('one that is wrong is refused with every problem, and stops no other', async () => {
    const file = join(config, 'queries.d', 'broken.sql');
    writeFileSync(file, '-- @title Broken\nSELECT $x');
    const refused = await run(['run-query', 'broken', path]);
    expect(refused.code).toBe(EXIT.badPack);
    expect(refused.stderr).toContain(`${file}:1: @question is missing`);
    expect((await run(['queries'])).stdout).toMatch(/^broken .*cannot be run/m);
    expect((await run(['run-query', 'slow-memcpy', path])).code).toBe(0);
  });

  test('validate compares the header with the SQL', async () => {
    const file = join(dir, 'differs.sql');
    const right = skeletonQuery('differs', 'cuda_events');
    writeFileSync(
      file,
      right
        .replace('@column calls calls', '@column sum calls')
        .replace('tables=cuda_events', 'tables=cuda_events,probes'),
    );
    const { code, stdout } = await run(['queries', 'validate', file]);
    expect(code).toBe(EXIT.badPack);
    expect(stdout).toContain('the result has a column calls without an @column');
    expect(stdout).toContain('@column sum: the result has no such column');
    expect(stdout).toContain('@requires names probes, which the SQL does not read');
    writeFileSync(file, right.replaceAll('cuda_events', 'site_events'));
    expect((await run(['queries', 'validate', file])).stdout).toContain('site_events does not exist');
    expect((await run(['queries', 'validate', file, '--json'])).stdout).toContain('"ok": false');
    expect(readFileSync(file, 'utf8')).toContain('site_events');
  });

  test('a query cannot leave the fence', async () => {
    const file = join(extra, 'outside.sql');
    writeFileSync(
      file,
      `${skeletonQuery('outside', 'cuda_events').split('SELECT\n')[0]}SELECT * FROM read_csv('/etc/passwd') WHERE $pid IS NULL AND $min_us = 0`,
    );
    const { code, stderr } = await run(['run-query', 'outside', path, '--query-dir', extra]);
    expect(code).toBe(EXIT.sql);
    expect(stderr).not.toContain('root:');
  });
});

describe('ingero queries', () => {
  test('says which apply to a capture, and why the others do not', async () => {
    const json = JSON.parse((await run(['queries', 'list', '--capture', path, '--json'])).stdout);
    const of = (name: string) => json.queries.find((query: { name: string }) => query.name === name);
    expect(of('memcpy-sizes')).toMatchObject({ applies: true, why_not: null });
    expect(of('nccl-sum').why_not).toContain('no table nccl_');
    expect(of('launch-gaps').why_not).toContain('none of the functions it reads');
    const { stdout } = await run(['queries', '--pack', 'nccl']);
    expect(stdout).toMatch(/^nccl-desync /m);
    expect(stdout).not.toMatch(/^cuda-api-sum /m);
  });
});
