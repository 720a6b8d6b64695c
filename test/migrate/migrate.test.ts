import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { describe, expect, test } from 'vitest';
import { planDdl } from '../../src/capture/ddl.js';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { SCHEMA_VERSION } from '../../src/capture/version.js';
import { EXIT, IngeroError } from '../../src/errors.js';
import { filesNamed, type MigrateOptions, type MigrateReport, migrateFile } from '../../src/migrate/run.js';
import { siteTable } from '../../src/packs/site-tables.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { execute } from '../../src/query/execute.js';
import { readLibrary } from '../../src/query/library.js';
import { resolveParams } from '../../src/query/params.js';
import { runNamed } from '../../src/query/run.js';
import { failure, named, scratchDir, sha256, sql, toJson, withCapture } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';

const scratch = scratchDir();
const FIXTURES = join(PACKAGE_ROOT, 'test/fixtures');
const released = Object.keys(
  JSON.parse(readFileSync(join(PACKAGE_ROOT, 'schema/released.json'), 'utf8')) as object,
).map(Number);
const v1 = readCaptureSchema(1);

/** A folder of its own with a copy of a file in it. */
function copyOf(file: string): string {
  const path = join(mkdtempSync(join(scratch, 'case-')), basename(file));
  copyFileSync(file, path);
  return path;
}

function newPath(): string {
  return join(mkdtempSync(join(scratch, 'case-')), 'run.duckdb');
}

const migrate = (file: string, options: Partial<MigrateOptions> = {}) =>
  migrateFile(file, {
    out: undefined,
    inPlace: false,
    dryRun: false,
    to: SCHEMA_VERSION,
    salvage: false,
    onProgress: () => {},
    ...options,
  }) as Promise<MigrateReport>;

const rows = async (file: string, text: string) => (await sql(file, text)).rows.map(Object.values);

/** Changes a capture as nobody should. */
async function tamper(path: string, ...statements: readonly string[]): Promise<void> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  try {
    for (const statement of statements) await connection.run(statement);
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

describe.each(released)('a released capture of schema %i', (version) => {
  const fixtures = readdirSync(FIXTURES).filter((name) => name.endsWith(`-v${version}.duckdb`));

  test('is among the fixtures, with the tables its schema says', async () => {
    expect(fixtures.length).toBeGreaterThan(0);
    const schema = readCaptureSchema(version);
    for (const name of fixtures) {
      const file = copyOf(join(FIXTURES, name));
      const has = await rows(
        file,
        `SELECT table_name, column_name, regexp_replace(data_type, '^ENUM.*', 'ENUM'), is_nullable, comment
         FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal ORDER BY ALL`,
      );
      const connection = await (await DuckDBInstance.create(':memory:')).connect();
      const tables = await rows(file, 'SELECT DISTINCT event_table FROM packs');
      const plans = tables.map(([table]) => ({ table: String(table), names: {} }));
      for (const statement of planDdl(schema, plans)) await connection.run(statement);
      const planned = await connection.runAndReadAll(
        `SELECT table_name, column_name, regexp_replace(data_type, '^ENUM.*', 'ENUM'), is_nullable, comment
         FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal ORDER BY ALL`,
      );
      expect(has, name).toEqual(planned.getRowsJson());
    }
  });

  test('is migrated without a change to it, and every named query answers on the result', async () => {
    for (const name of fixtures) {
      const file = copyOf(join(FIXTURES, name));
      const digest = sha256(file);
      const report = await migrate(file);
      expect(sha256(file)).toBe(digest);
      const output = version === SCHEMA_VERSION ? file : (report.output as string);
      await withCapture(output, async (capture, budget) => {
        const ask = async (text: string) =>
          (await toJson(await execute(capture, text, budget))).rows.map(Object.values);
        const tables = await ask('SELECT table_name FROM information_schema.tables');
        for (const query of readLibrary().values()) {
          const { columns, requires, discovery } = query;
          if (!requires.tables.every((table) => tables.some(([has]) => has === table))) continue;
          if (discovery !== undefined && (await ask(discovery))[0]?.[0] !== null) continue;
          const result = await toJson(await runNamed(capture, query, resolveParams(query, []), budget));
          expect(
            result.columns.map(({ name: column }) => column),
            query.name,
          ).toEqual(columns.map((column) => column.name));
        }
      });
    }
  }, 120_000);
});

describe('SQL on a capture of an older schema that names what a newer one has', () => {
  const file = join(FIXTURES, 'demo-v1.duckdb');

  test.each([
    'SELECT process_id FROM events',
    'SELECT e.process_id FROM events e',
    'SELECT * EXCLUDE (process_id) FROM events',
    'FROM events JOIN processes USING (process_id)',
    'FROM stacks',
    'SELECT count(*) FROM main.stacks',
  ])('%s', async (text) => {
    const error = await failure(sql(file, text));
    expect(error).toMatchObject({ code: 'schema-too-old', exitCode: EXIT.badCapture });
    expect(error.message).toMatch(/has schema version 1; \w+ is there since version 2/);
    expect(error.next).toContain('ingero migrate');
  });

  test("a name no version has is the SQL's mistake", async () => {
    expect(await failure(sql(file, 'SELECT nothing FROM events'))).toMatchObject({ code: 'sql-error' });
  });

  test.each([...readLibrary().keys()])('%s answers, or says which schema it needs', async (query) => {
    const result = await named(file, query).catch((error: unknown) => error);
    if (!(result instanceof IngeroError)) return;
    expect(result.code).toBe('query-does-not-apply');
    expect(result.message).toMatch(/has schema version 1 and the query needs \d|has no table/);
  });
});

describe('the demo capture of schema 1', () => {
  test('has the same events, processes and threads afterwards, and the new columns are filled', async () => {
    const file = copyOf(join(FIXTURES, 'demo-v1.duckdb'));
    const report = await migrate(file);
    expect(report).toMatchObject({
      state: 'migrated',
      from_schema: 1,
      to_schema: SCHEMA_VERSION,
      output: join(file, '../demo-v1.v2.duckdb'),
      events: 19_509,
      not_copied: [],
    });
    expect(report.tables.map(({ table, rows: count }) => [table, count])).toContainEqual([
      'store.cuda_events',
      19_509,
    ]);
    const output = report.output as string;
    expect(statSync(output).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(file, '..')).sort()).toEqual(['demo-v1.duckdb', 'demo-v1.v2.duckdb']);
    for (const table of [
      'cuda_events',
      'events',
      'processes',
      'threads',
      'probes',
      'packs',
      'clock_anchors',
    ]) {
      const columns = (await sql(file, `FROM ${table} LIMIT 0`)).columns.map(({ name }) => `"${name}"`);
      const text = `SELECT ${columns.join(', ')} FROM ${table} ORDER BY ALL`;
      expect(await rows(output, text), table).toEqual(await rows(file, text));
    }
    expect(
      await rows(
        output,
        `SELECT DISTINCT run_id, process_id = pid, sample_weight, stack_id, current_device FROM events`,
      ),
    ).toEqual([[1, true, 1, null, null]]);
    expect(await rows(output, 'SELECT schema_version FROM capture')).toEqual([[SCHEMA_VERSION]]);
    expect(await rows(output, 'SELECT version FROM schema_migrations')).toEqual([[1], [2]]);
    expect(await migrate(output)).toMatchObject({ state: 'current', output: null });
  });

  test('has the comments and types of a capture recorded with the new schema', async () => {
    const file = copyOf(join(FIXTURES, 'demo-v1.duckdb'));
    const { output } = await migrate(file);
    const describe = `SELECT table_name, column_name, regexp_replace(data_type, '^ENUM.*', 'ENUM'), is_nullable, comment
      FROM duckdb_columns() WHERE NOT internal ORDER BY ALL`;
    const fresh = newPath();
    await buildCapture(fresh);
    expect(await rows(output as string, describe)).toEqual(await rows(fresh, describe));
  });
});

test("a site's own table keeps its columns, types, names and descriptions", async () => {
  const description = `it's "quoted"; -- and\nbroken`;
  const schema = {
    ...v1,
    event_tables: {
      ...v1.event_tables,
      'my "events"': siteTable(description, [
        { name: 'bytes', type: 'UBIGINT', unit: 'bytes', description: 'Size' },
        { name: 'select', type: 'NAME', description: "A name; it's odd" },
        { name: 'level', type: 'INTEGER', unit: 'dB', description: '' },
      ]),
    },
  };
  const file = newPath();
  await buildCapture(
    file,
    {
      events: {
        'my "events"': [
          { op: "o'p", bytes: 7, select: "it's", level: -3 },
          { op: 'x', select: 'b,c)' },
        ],
      },
    },
    schema,
  );
  const { output, events } = await migrate(file);
  expect(events).toBe(2);
  expect(
    await rows(
      output as string,
      'SELECT op, bytes, "select", level, process_id FROM "my ""events""" ORDER BY call_id',
    ),
  ).toEqual([
    ["o'p", 7, "it's", -3, 100],
    ['x', null, 'b,c)', null, 100],
  ]);
  expect(
    await rows(
      output as string,
      `SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'my "events"' AND column_name IN ('bytes', 'select', 'level')
       AND schema_name = 'main'`,
    ),
  ).toEqual([
    ['bytes', 'Size [bytes]'],
    ['select', "A name; it's odd"],
    ['level', ' [dB]'],
  ]);
  expect(
    await rows(output as string, `SELECT comment FROM duckdb_views() WHERE view_name = 'my "events"'`),
  ).toEqual([[description]]);
});

test('a capture without any event table, and one that was cut off with its log beside it', async () => {
  const bare = newPath();
  await buildCapture(bare, {}, v1);
  await tamper(
    bare,
    'DROP VIEW events',
    'DROP VIEW cuda_events',
    'DROP TABLE store.cuda_events',
    'DROP TABLE store.cuda_events_args',
  );
  expect(await migrate(bare)).toMatchObject({ state: 'migrated', events: 0 });

  const file = newPath();
  await buildCapture(file, { cudaEvents: [{ op: 'cudaFree' }] }, v1);
  const cut = join(mkdtempSync(join(scratch, 'case-')), 'cut.duckdb');
  const instance = await DuckDBInstance.create(file);
  const connection = await instance.connect();
  await connection.run(
    'INSERT INTO store.cuda_events SELECT * REPLACE (99 AS call_id) FROM store.cuda_events',
  );
  copyFileSync(file, cut);
  copyFileSync(`${file}.wal`, `${cut}.wal`);
  connection.closeSync();
  instance.closeSync();
  const before = [sha256(cut), sha256(`${cut}.wal`)];
  const refused = await failure(migrate(cut, { inPlace: true }));
  expect(refused).toMatchObject({ code: 'not-in-place', exitCode: EXIT.output });
  const { output } = await migrate(cut);
  expect(await rows(output as string, 'SELECT call_id FROM events ORDER BY 1')).toEqual([[1], [99]]);
  expect([sha256(cut), sha256(`${cut}.wal`)]).toEqual(before);
});

test('what a schema version does not have stays behind and is named; in place it would be lost', async () => {
  const file = newPath();
  await buildCapture(file, {}, v1);
  await tamper(
    file,
    'CREATE TABLE notes (a INTEGER)',
    `CREATE VIEW evil AS SELECT * FROM read_text('/etc/passwd')`,
  );
  const refused = await failure(migrate(file, { inPlace: true }));
  expect(refused).toMatchObject({ code: 'not-in-place' });
  expect(refused.message).toContain('notes');
  expect(await migrate(file)).toMatchObject({ state: 'migrated', not_copied: ['notes'] });
});

test('a computed column is copied as the values it has', async () => {
  const file = newPath();
  await buildCapture(file, {}, v1);
  await tamper(
    file,
    'DROP TABLE threads',
    `CREATE TABLE threads (tid INTEGER, pid INTEGER DEFAULT 7, first_seen TIMESTAMP_NS,
       name VARCHAR AS (upper('computed' || tid)))`,
    'INSERT INTO threads (tid, first_seen) VALUES (5, make_timestamp_ns(1))',
  );
  const { output } = await migrate(file);
  expect(await rows(output as string, 'SELECT pid, name FROM threads')).toEqual([[7, 'COMPUTED5']]);
});

test('a table or column its schema has but the file has not is damage, named', async () => {
  const file = newPath();
  await buildCapture(file, {}, v1);
  const second = copyOf(file);
  await tamper(file, 'DROP TABLE processes');
  expect(await failure(migrate(file))).toMatchObject({ code: 'capture-damaged', exitCode: EXIT.badCapture });
  await tamper(second, 'ALTER TABLE processes DROP COLUMN uid');
  expect((await failure(migrate(second))).message).toContain('processes has no column uid');
  expect(readdirSync(join(file, '..'))).toEqual(['run.duckdb']);
});

test.each([0, -1, 99])('a file that says it has schema %i is refused', async (version) => {
  const file = newPath();
  await buildCapture(file, { capture: { schema_version: version, ingero_version: '7.8.9' } }, v1);
  const error = await failure(migrate(file));
  expect(error.exitCode).toBe(EXIT.badCapture);
  expect(error.message).toContain(version === 99 ? 'written by ingero 7.8.9' : `schema version ${version}`);
});

test('the way is forward only, and --dry-run writes nothing', async () => {
  const file = newPath();
  await buildCapture(file);
  expect(await failure(migrate(file, { to: 1 }))).toMatchObject({
    code: 'schema-not-forward',
    exitCode: EXIT.usage,
  });
  const old = newPath();
  await buildCapture(old, {}, v1);
  expect(await migrate(old, { dryRun: true })).toMatchObject({ state: 'planned', tables: [] });
  expect(readdirSync(join(old, '..'))).toEqual(['run.duckdb']);
  expect(await migrate(old, { to: 1 })).toMatchObject({ state: 'current' });
});

test('in place: the file is replaced, with its mode; its name may be a link', async () => {
  const file = newPath();
  await buildCapture(file, { cudaEvents: [{ op: 'cudaFree' }] }, v1);
  expect(await migrate(file, { inPlace: true })).toMatchObject({ state: 'migrated', output: file });
  expect(await rows(file, 'SELECT op, process_id FROM events')).toEqual([['cudaFree', 100]]);
  expect(readdirSync(join(file, '..'))).toEqual(['run.duckdb']);
});

test('an output that exists is not touched', async () => {
  const file = newPath();
  await buildCapture(file, {}, v1);
  const out = join(file, '../there');
  writeFileSync(out, 'mine');
  expect(await failure(migrate(file, { out }))).toMatchObject({
    code: 'output-exists',
    exitCode: EXIT.output,
  });
  expect(readFileSync(out, 'utf8')).toBe('mine');
  expect(await failure(migrate(file, { out: '/nonexistent/x.duckdb' }))).toMatchObject({
    exitCode: EXIT.output,
  });
});

test('names: a file, one without its ending, a directory of captures', async () => {
  const file = newPath();
  await buildCapture(file, {}, v1);
  const dir = join(file, '..');
  mkdirSync(join(dir, 'empty'));
  copyFileSync(file, join(dir, 'old-capture'));
  writeFileSync(join(dir, 'notes.txt'), 'not a capture');
  writeFileSync(join(dir, 'agent.db'), `SQLite format 3\0${'\0'.repeat(100)}`);
  expect(filesNamed(join(dir, 'run'))).toEqual([file]);
  expect(filesNamed(join(dir, 'agent'))).toEqual([join(dir, 'agent.db')]);
  expect(filesNamed(join(dir, 'old-capture'))).toEqual([join(dir, 'old-capture')]);
  expect(filesNamed(dir)).toEqual(['agent.db', 'old-capture', 'run.duckdb'].map((name) => join(dir, name)));
  expect(() => filesNamed(join(dir, 'empty'))).toThrow('no capture');
  expect((await migrate(join(dir, 'old-capture'))).output).toBe(join(dir, 'old-capture.v2.duckdb'));
  expect(existsSync(join(dir, 'nothing'))).toBe(false);
  expect(await failure(migrate(join(dir, 'nothing')))).toMatchObject({ code: 'capture-missing' });
});
