import { copyFileSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { beforeAll, describe, expect, test } from 'vitest';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { EXIT } from '../../src/errors.js';
import { checkApplies } from '../../src/query/applies.js';
import { BEHIND_VIEWS, caveats } from '../../src/query/caveats.js';
import { checkSql, openModelCapture } from '../../src/query/check-sql.js';
import { readLibrary } from '../../src/query/library.js';
import { buildCapture, type Row } from '../support/capture-builder.js';
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
  const notes = async (capture: Row, accounting: Row, name = 'slow-memcpy'): Promise<string[]> => {
    const path = join(mkdtempSync(join(dir, 'notes-')), 'run.duckdb');
    await buildCapture(path, {
      capture,
      packs: [{ pack: 'cuda-runtime' }],
      probes: [{ op: 'cudaMemcpy' }, { op: 'cudaFree' }],
      probeAccounting: [
        { probe_id: 0, hits: 1000, rows: 1000, ...accounting },
        { probe_id: 1, hits: 5, lost_ring_full: 5 },
      ],
    });
    const query = library.get(name);
    if (query === undefined) throw new Error(`no query ${name}`);
    return withCapture(path, (opened) => caveats(opened, query));
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

  test('views stand for the event tables behind them', () => {
    const views = Object.entries(readCaptureSchema().views ?? {});
    expect(BEHIND_VIEWS).toEqual(Object.fromEntries(views.map(([name, view]) => [name, view.event_tables])));
  });
});
