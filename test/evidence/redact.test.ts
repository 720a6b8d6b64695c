import { createHmac } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { beforeAll, describe, expect, test } from 'vitest';
import { eventColumns, readCaptureSchema } from '../../src/capture/schema.js';
import { EXIT } from '../../src/errors.js';
import { classOf } from '../../src/evidence/classes.js';
import { type RedactionChoice, redactCapture } from '../../src/evidence/redact.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { failure, named, scratchDir, sha256, sql } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';

const dir = scratchDir();
const source = join(dir, 'source.duckdb');
const key = join(dir, 'hash.key');
const keyBytes = Buffer.from('0123456789abcdef0123456789abcdef-and-more');
const NOTHING: RedactionChoice = { drop: [], hash: [], keep: [] };
const POINTER = 0x7f12_3456_7890n;
let count = 0;

/** Every value here is somewhere in the source and must be nowhere in a redacted file. */
const SECRETS = [
  'secret-host-77',
  '/home/alice/train.py',
  '--token=hunter2',
  'alice-kernel',
  '/opt/secretlib/libcudart.so.12',
  '/usr/local/secretpython',
  'kubepods/secretpod',
  'deadbeefcafe0123',
  'GPU-1a2b3c-secret',
  'secretcomm',
  'secretthread',
  '/secret/packs/p.yaml',
];

beforeAll(() => {
  writeFileSync(key, keyBytes, { mode: 0o600 });
  return buildCapture(source, {
    capture: {
      hostname: 'secret-host-77',
      boot_id: '11111111-2222-4333-8444-555555555555',
      command_line: [
        'ingero',
        'trace',
        '--',
        '/usr/local/secretpython',
        '/home/alice/train.py',
        '--token=hunter2',
      ],
      target: 'command /usr/local/secretpython /home/alice/train.py --token=hunter2',
      end_detail: '/home/alice/train.py: exit status 1',
    },
    packs: [{ path: '/secret/packs/p.yaml' }],
    libraries: [{ path: '/opt/secretlib/libcudart.so.12', found_by: '/opt/secretlib' }],
    probes: [{}],
    probeAccounting: [{ hits: 1000, rows: 1000 }],
    processes: [
      {
        pid: 100,
        comm: 'secretcomm',
        exe: '/usr/local/secretpython',
        command_line: ['/usr/local/secretpython', '/home/alice/train.py', '--token=hunter2', 'alice-kernel'],
        cgroup: '/kubepods/secretpod',
        container_id: 'deadbeefcafe0123',
        rank: 3,
        visible_devices: 'GPU-1a2b3c-secret',
      },
    ],
    threads: [{ tid: 100, pid: 100, name: 'secretthread' }],
    cudaEvents: Array.from({ length: 1000 }, (_, index) => ({
      op: 'cudaMalloc',
      bytes: index,
      ptr: index % 2 === 0 ? POINTER : POINTER + BigInt(index),
      stream: null,
    })),
  });
});

async function redacted(choice: Partial<RedactionChoice> = {}, keyFile?: string) {
  count += 1;
  const path = join(dir, `out-${count}.duckdb`);
  const result = await redactCapture(source, path, { ...NOTHING, ...choice }, keyFile, 'test');
  return { path, result };
}

function pointerBytes(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}

/** Secrets whose bytes are in a file. */
function bytesFound(path: string): string[] {
  const bytes = readFileSync(path);
  return [
    ...SECRETS.filter((secret) => bytes.includes(secret)),
    ...(bytes.includes(pointerBytes(POINTER)) ? ['pointer'] : []),
    ...(bytes.includes(keyBytes) ? ['key'] : []),
  ];
}

test('without a choice no secret is left, in no byte of the new file; the original is untouched', async () => {
  expect(SECRETS.filter((secret) => readFileSync(source).includes(secret)).length).toBeGreaterThan(8);
  const before = sha256(source);
  const { path, result } = await redacted({}, key);
  expect(bytesFound(path)).toEqual([]);
  expect(result.residue).toEqual([]);
  expect(sha256(source)).toBe(before);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  // Nor is one left where DuckDB compresses text.
  for (const table of ['capture', 'packs', 'libraries', 'processes', 'threads', 'cuda_events']) {
    const text = JSON.stringify((await sql(path, `FROM ${table}`)).rows);
    expect([
      table,
      SECRETS.filter((secret) => text.includes(secret)),
      text.includes(String(POINTER)),
    ]).toEqual([table, [], false]);
  }
});

test('rows, times, sizes and the account stay; named queries answer', async () => {
  const { path } = await redacted();
  const facts = `SELECT count(*) AS n, sum(bytes) AS bytes, count(DISTINCT ptr) AS pointers, min(start_time) AS t,
                        count(stream) AS streams FROM cuda_events`;
  expect((await sql(path, facts)).rows).toEqual((await sql(source, facts)).rows);
  expect((await sql(path, 'SELECT hits, "rows" FROM probe_accounting')).rows).toEqual([
    { hits: 1000, rows: 1000 },
  ]);
  expect((await named(path, 'cuda-api-sum')).rows).toEqual((await named(source, 'cuda-api-sum')).rows);
});

test('hashes are HMAC-SHA-256 by the key of the file, and equal values stay equal', async () => {
  const { path, result } = await redacted(
    { hash: ['capture.hostname', 'processes.command_line', 'addresses'] },
    key,
  );
  const hmac = (text: string): string => createHmac('sha256', keyBytes).update(text).digest('hex');
  expect((await sql(path, 'SELECT hostname FROM capture')).rows).toEqual([
    { hostname: `h:${hmac('secret-host-77').slice(0, 32)}` },
  ]);
  expect((await sql(path, 'SELECT command_line[3] AS c FROM processes')).rows).toEqual([
    { c: `h:${hmac('--token=hunter2').slice(0, 32)}` },
  ]);
  const expected = BigInt(`0x${hmac(String(POINTER)).slice(0, 16)}`);
  expect((await sql(path, `SELECT count(*) AS n FROM cuda_events WHERE ptr = ${expected}`)).rows).toEqual([
    { n: 500 },
  ]);
  const again = await redacted({ hash: ['capture.hostname'] }, key);
  expect(again.result.key_id).toBe(result.key_id);
  const random = await redacted({ hash: ['capture.hostname'] });
  expect(random.result.key_id).not.toBe(result.key_id);
  const host = async (path: string) => (await sql(path, 'SELECT hostname FROM capture')).rows[0]?.hostname;
  expect(await host(again.path)).toBe(await host(path));
  expect(await host(random.path)).not.toBe(await host(path));
});

test('a long key is used as HMAC says', async () => {
  const long = join(dir, 'long.key');
  writeFileSync(long, Buffer.alloc(200, 7), { mode: 0o600 });
  const { path } = await redacted({ hash: ['threads.name'] }, long);
  const expected = createHmac('sha256', Buffer.alloc(200, 7))
    .update('secretthread')
    .digest('hex')
    .slice(0, 32);
  expect((await sql(path, 'SELECT name FROM threads')).rows).toEqual([{ name: `h:${expected}` }]);
});

test('what was done is in the file', async () => {
  const { path, result } = await redacted({ drop: ['environment'], hash: ['names'] });
  const rows = (
    await sql(path, 'SELECT * EXCLUDE (applied_at) FROM redactions ORDER BY table_name, column_name')
  ).rows;
  expect(rows).toContainEqual({
    table_name: 'processes',
    column_name: 'visible_devices',
    class: 'environment',
    method: 'drop',
    changed: 1,
    key_id: null,
    ingero_version: 'test',
  });
  expect(rows).toContainEqual(
    expect.objectContaining({ column_name: 'hostname', method: 'hash', key_id: result.key_id }),
  );
  expect(rows.length).toBe(result.redactions.length);
  // Redacted again, both stay on record.
  const twice = join(dir, 'twice.duckdb');
  await redactCapture(path, twice, { ...NOTHING, drop: ['paths'] }, undefined, 'test');
  expect((await sql(twice, 'SELECT count(*) > 6 AS more FROM redactions')).rows).toEqual([{ more: true }]);
});

test('a dropped value is NULL, or empty where the schema wants one', async () => {
  const { path } = await redacted({ drop: ['names', 'command-lines', 'addresses'] });
  expect((await sql(path, 'SELECT hostname, boot_id, command_line, end_detail FROM capture')).rows).toEqual([
    { hostname: null, boot_id: null, command_line: null, end_detail: null },
  ]);
  expect(
    (await sql((await redacted({ drop: ['libraries.path'] })).path, 'SELECT path FROM libraries')).rows,
  ).toEqual([{ path: '(redacted)' }]);
  expect((await sql(path, 'SELECT count(ptr) AS n FROM cuda_events')).rows).toEqual([{ n: 0 }]);
});

test('a value that stays in a column that was kept is reported', async () => {
  const { result } = await redacted({ drop: ['processes.exe'] });
  expect(result.residue).toContainEqual({ from: 'processes.exe', in: 'capture.command_line', values: 1 });
});

describe('refused', () => {
  const refusal = async (choice: Partial<RedactionChoice>, keyFile?: string) => {
    const out = join(dir, 'refused.duckdb');
    const error = await failure(redactCapture(source, out, { ...NOTHING, ...choice }, keyFile, 'test'));
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
    return error;
  };

  test('a class or column that is not there, and what holds a capture together', async () => {
    expect(await refusal({ drop: ['nonsense'] })).toMatchObject({
      code: 'bad-redaction',
      exitCode: EXIT.usage,
    });
    expect(await refusal({ keep: ['nonsense'] })).toMatchObject({ code: 'bad-redaction' });
    for (const column of [
      'cuda_events.call_id',
      'capture.capture_id',
      'processes.process_id',
      'probe_accounting.hits',
      'cuda_events.start_time',
    ]) {
      expect((await refusal({ drop: [column] })).message).toContain('holds the capture together');
    }
  });

  test('a key others can read, a short one, none', async () => {
    const weak = join(dir, 'weak.key');
    writeFileSync(weak, 'short', { mode: 0o600 });
    expect(await refusal({}, weak)).toMatchObject({ code: 'bad-key' });
    writeFileSync(weak, keyBytes);
    chmodSync(weak, 0o644);
    expect(await refusal({}, weak)).toMatchObject({ code: 'key-exposed' });
    expect(await refusal({}, join(dir, 'none.key'))).toMatchObject({ code: 'key-unreadable' });
  });

  test('an output that exists, a folder that does not, an older capture, no capture', async () => {
    const run = (file: string, out: string) => failure(redactCapture(file, out, NOTHING, undefined, 'test'));
    expect(await run(source, source)).toMatchObject({ code: 'output-exists', exitCode: EXIT.output });
    expect(await run(source, join(dir, 'none', 'x.duckdb'))).toMatchObject({ code: 'output-unwritable' });
    const old = await run(join(PACKAGE_ROOT, 'test/fixtures/demo-v1.duckdb'), join(dir, 'old.duckdb'));
    expect(old).toMatchObject({ code: 'schema-differs', exitCode: EXIT.badCapture });
    expect(old.next).toContain('ingero migrate');
    const text = join(dir, 'text.duckdb');
    writeFileSync(text, 'text');
    expect(await run(text, join(dir, 'x.duckdb'))).toMatchObject({ code: 'not-a-capture' });
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

test('a view or table a stranger put into a capture is not run and not carried along', async () => {
  const evil = join(dir, 'evil.duckdb');
  writeFileSync(evil, readFileSync(source));
  const bait = join(dir, 'bait.txt');
  writeFileSync(bait, 'bait');
  const instance = await DuckDBInstance.create(evil);
  const connection = await instance.connect();
  await connection.run(
    `CREATE OR REPLACE VIEW cuda_events AS SELECT content AS op FROM read_text('${bait}')`,
  );
  await connection.run("CREATE TABLE notes AS SELECT 'secretthread' AS text");
  connection.closeSync();
  instance.closeSync();
  const out = join(dir, 'from-evil.duckdb');
  const result = await redactCapture(evil, out, NOTHING, undefined, 'test');
  expect(result.left_out).toEqual(['notes']);
  expect((await sql(out, 'SELECT count(*) AS n FROM cuda_events')).rows).toEqual([{ n: 1000 }]);
  expect(bytesFound(out)).toEqual([]);
});

test('every text and handle column of the schema has a class or is known to be harmless', async () => {
  const schema = readCaptureSchema();
  expect(classOf('site_table', { name: 'note', type: 'VARCHAR', description: '' }, true)).toBe('names');
  const handles = Object.keys(schema.event_tables).flatMap((table) =>
    eventColumns(schema, table)
      .filter(
        ({ name }) => /ptr|stream|handle|comm$|func|graph|module|context/.test(name) && !name.includes('mem'),
      )
      .filter((column) => column.type === 'UBIGINT' && classOf(table, column, true) !== 'addresses')
      .map(({ name }) => `${table}.${name}`),
  );
  expect(handles).toEqual([]);
  const listed = readFileSync(join(PACKAGE_ROOT, 'src/evidence/classes.ts'), 'utf8').matchAll(
    /'([a-z_]+)\.([a-z_0-9]+)'/g,
  );
  const tables = { ...schema.tables, ...schema.event_tables };
  const unknown = [...listed].filter(
    ([, table = '', column]) => !tables[table]?.columns.some(({ name }) => name === column),
  );
  expect(unknown.map(([text]) => text)).toEqual([]);
  // Documented: docs/evidence.md names the class of every such column.
  const page = readFileSync(join(PACKAGE_ROOT, 'docs/evidence.md'), 'utf8');
  const missing = Object.entries(schema.tables).flatMap(([table, { columns }]) =>
    columns
      .filter((column) => classOf(table, column, false) !== null && !table.startsWith('import'))
      .map(({ name }) => `${table}.${name}`)
      .filter((name) => !page.includes(`\`${name}\``)),
  );
  expect(missing).toEqual([]);
});
