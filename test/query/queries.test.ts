import { copyFileSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { beforeAll, describe, expect, test } from 'vitest';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { EXIT } from '../../src/errors.js';
import { checkApplies } from '../../src/query/applies.js';
import { BEHIND_VIEWS, caveats, caveatText } from '../../src/query/caveats.js';
import { checkSql, openModelCapture } from '../../src/query/check-sql.js';
import { readLibrary } from '../../src/query/library.js';
import type { TimeSpan } from '../../src/query/missing-times.js';
import { BASE_TIME_NS, buildCapture, type Row } from '../support/capture-builder.js';
import { failure, named, scratchDir, withCapture } from './helpers.js';

const dir = scratchDir();
const library = readLibrary();
const queries = [...library.values()];
const names = [...library.keys()];
const empty = join(dir, 'empty.duckdb');
const EVENT_TABLES = { cuda_driver_events: [], nccl_events: [], torch_alloc_events: [] };

beforeAll(() => buildCapture(empty, { events: EVENT_TABLES }));

/** Drops a table or view of a capture. */
async function drop(path: string, table: string): Promise<void> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  const views = await connection.runAndReadAll('SELECT view_name FROM duckdb_views() WHERE NOT internal');
  const isView = views.getRows().some(([view]) => view === table);
  await connection.run(`DROP ${isView ? 'VIEW' : 'TABLE'} ${table}`);
  connection.closeSync();
  instance.closeSync();
}

test('the library answers what people ask: at least forty queries', () => {
  expect(names.length).toBeGreaterThanOrEqual(40);
});

test('headers say what the SQL does: columns, tables, units', async () => {
  const model = await openModelCapture();
  const problems = [];
  for (const query of queries)
    problems.push(...(await checkSql(model.connection, query, `${query.name}.sql`)));
  model.close();
  expect(problems).toEqual([]);
});

test.each(names)('%s runs on an empty capture, and its columns are those it documents', async (name) => {
  const result = await named(empty, name);
  expect(result.columns.map((column) => column.name)).toEqual(
    library.get(name)?.columns.map((column) => column.name),
  );
  for (const column of result.columns) expect(column.description).toBeTruthy();
});

describe('a query does not apply, and says why', () => {
  const tables = [...new Set(queries.flatMap((query) => query.requires.tables))].filter(
    (table) => table !== 'capture',
  );

  test.each(tables)('without %s', async (table) => {
    const path = join(dir, `without-${table}.duckdb`);
    copyFileSync(empty, path);
    await drop(path, table);
    await withCapture(path, async (capture) => {
      for (const query of queries.filter(({ requires }) => requires.tables.includes(table))) {
        const error = await failure(checkApplies(capture, query));
        expect(error).toMatchObject({ code: 'query-does-not-apply', exitCode: EXIT.badCapture });
        expect(error.message).toContain(`${query.name} does not apply`);
        expect(error.message).toContain(`no table ${table}`);
        for (const pack of query.packs) expect(error.next).toContain(`--pack ${pack}`);
      }
    });
  });

  test('when none of the functions it reads was probed', async () => {
    const path = join(dir, 'other-probes.duckdb');
    await buildCapture(path, {
      events: EVENT_TABLES,
      probes: [{ op: 'siteCall' }, { op: 'cudaMemcpy', state: 'skipped', reason: 'no such symbol' }],
    });
    await withCapture(path, async (capture) => {
      for (const query of queries.filter(({ ops }) => ops.length > 0)) {
        const error = await failure(checkApplies(capture, query));
        expect(error.message).toContain('none of the functions it reads');
      }
      const copies = library.get('slow-memcpy');
      if (copies === undefined) throw new Error('no slow-memcpy');
      expect((await failure(checkApplies(capture, copies))).message).toContain('no such symbol');
    });
  });

  test('by its own discovery SQL', async () => {
    const path = join(dir, 'one-run.duckdb');
    await buildCapture(path, { processes: [{ pid: 100 }], cudaEvents: [{ op: 'cudaFree' }] });
    expect((await failure(named(path, 'diff'))).message).toContain('it needs two runs');
    expect((await failure(named(path, 'by-rank'))).message).toContain('no process has a rank');
  });

  test('to an older schema', async () => {
    const old = join(dir, 'old.duckdb');
    await buildCapture(old, { capture: { schema_version: 1 } });
    const error = await failure(named(old, 'cuda-api-sum'));
    expect(error.message).toContain('schema version 1');
    expect(error.next).toContain('ingero migrate');
  });
});

describe('notes under a result', () => {
  const notes = async (
    capture: Row,
    accounting: Row,
    name = 'slow-memcpy',
    tables: Readonly<Record<string, readonly Row[]>> = {},
    shown?: TimeSpan,
  ): Promise<string[]> => {
    const path = join(mkdtempSync(join(dir, 'notes-')), 'run.duckdb');
    await buildCapture(path, {
      capture,
      packs: [{ pack: 'cuda-runtime' }],
      tables,
      probes: [{ op: 'cudaMemcpy' }, { op: 'cudaFree' }],
      probeAccounting: [
        { probe_id: 0, hits: 1000, rows: 1000, ...accounting },
        { probe_id: 1, hits: 5, lost_ring_full: 5 },
      ],
    });
    const query = library.get(name);
    if (query === undefined) throw new Error(`no query ${name}`);
    const found = await withCapture(path, (opened) => caveats(opened, query));
    return found.map((caveat) => caveatText(caveat, shown));
  };

  test('none when all that the query reads is there', async () => {
    expect(await notes({}, {})).toEqual([]);
  });

  test('losses of the operations it reads, sampling, and a recorder that was cut off', async () => {
    expect((await notes({}, { rows: 980, lost_ring_full: 20 }))[0]).toContain(
      '20 of 1,000 calls this query reads were lost (2.0 %)',
    );
    expect(await notes({}, { rows: 100, sampled: 900 })).toEqual([expect.stringContaining('are not shown')]);
    expect(await notes({ end_reason: 'cut-off', ended_at: null }, {})).toEqual([
      expect.stringContaining('cut off'),
    ]);
    expect((await notes({}, {}, 'alloc-balance'))[0]).toContain('5 of 5 calls');
    expect((await notes({}, {}, 'cuda-api-sum'))[0]).toContain('5 of 1,005 calls');
  });

  describe('when calls were lost or left out', () => {
    const second = 1_000_000_000;
    const at = (s: number): bigint => BASE_TIME_NS + BigInt(s * second);
    const observed = (s: number, ring_high_water: number): Row => ({
      ...{ observed_at: s * second, ring_high_water, cpu_ns: 0, rss_bytes: 0 },
      ...{ busy_threads: 1, overhead_percent: 0 },
    });
    const full = {
      self_observations: [observed(2, 0.1), observed(4, 1), observed(6, 0.2), observed(8, 0.1)],
    };
    const lost = { rows: 980, lost_ring_full: 20 };
    const WHEN = 'This was between 1.0 s and 4.0 s after the start of the recording';
    const ask = async (
      accounting: Row,
      tables: Readonly<Record<string, readonly Row[]>>,
      shown?: TimeSpan,
      capture: Row = {},
    ): Promise<string> => (await notes(capture, accounting, 'slow-memcpy', tables, shown)).join('|');

    test('full rings have a time, with a second before it', async () => {
      expect(await ask(lost, full)).toMatch(new RegExp(`${WHEN}\\.$`));
    });

    test('and the calls shown are within or outside of it', async () => {
      expect(await ask(lost, full, { fromNs: at(3), toNs: at(5) })).toContain(
        `${WHEN}, within the time of the calls shown, which began between 3.0 s and 5.0 s.`,
      );
      expect(await ask(lost, full, { fromNs: at(4.5), toNs: at(9) })).toContain(
        `${WHEN}, outside the time of the calls shown, which began between 4.5 s and 9.0 s.`,
      );
    });

    test('rings that were full at the last observation may have been so to the end', async () => {
      const atEnd = { self_observations: [observed(2, 0.1), observed(9.5, 0.97)] };
      expect(await ask(lost, atEnd)).toContain('between 1.0 s and 10.0 s');
    });

    test('other losses, and full rings nobody saw, are of the whole recording', async () => {
      const text = await ask({ rows: 970, lost_ring_full: 20, lost_too_deep: 10 }, full);
      expect(text).toContain('30 of 1,000 calls');
      expect(text).not.toContain('This was');
      expect(await ask(lost, { self_observations: [observed(2, 0.5)] })).not.toContain('This was');
      expect(await ask(lost, {})).not.toContain('This was');
    });

    test('sampling by --max-overhead lasts from its first step to the end', async () => {
      const step = (number: number, s: number, to_level: string): Row => ({
        ...{ step: number, stepped_at: s * second, from_level: 'full', to_level, reason: '' },
      });
      const steps = { governor_steps: [step(1, 3, 'no-stacks'), step(2, 5, 'sample 1/4')] };
      const sampled = { rows: 100, sampled: 900 };
      expect(await ask(sampled, steps)).toContain('This was between 5.0 s and 10.0 s');
      expect(await ask(sampled, {})).not.toContain('This was');
    });
  });

  test('views stand for the event tables behind them', () => {
    const views = Object.entries(readCaptureSchema().views ?? {}).filter(
      ([, view]) => view.event_tables.length > 0,
    );
    expect(BEHIND_VIEWS).toEqual(Object.fromEntries(views.map(([name, view]) => [name, view.event_tables])));
  });
});
