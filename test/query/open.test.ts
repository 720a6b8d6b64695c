import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { beforeAll, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { openCapture } from '../../src/query/open.js';
import { buildCapture } from '../support/capture-builder.js';
import { failure, fingerprint, scratchDir, sql } from './helpers.js';

const dir = scratchDir();
const good = join(dir, 'good.duckdb');

beforeAll(() =>
  buildCapture(good, {
    cudaEvents: Array.from({ length: 3000 }, (_, index) => ({ op: 'cudaMalloc', bytes: index })),
  }),
);

function file(name: string, content: string | Uint8Array): string {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
}

async function refusal(path: string) {
  const error = await failure(openCapture(path));
  expect(error.exitCode).toBe(EXIT.badCapture);
  expect(error.next).toBeTruthy();
  return error;
}

test('a file that is missing, a directory, empty, text, or a special file is refused by what it is', async () => {
  expect(await refusal(join(dir, 'none.duckdb'))).toMatchObject({ code: 'capture-missing' });
  expect(existsSync(join(dir, 'none.duckdb'))).toBe(false);
  mkdirSync(join(dir, 'folder'));
  expect(await refusal(join(dir, 'folder'))).toMatchObject({ code: 'not-a-capture' });
  expect(await refusal(file('empty.duckdb', ''))).toMatchObject({ code: 'not-a-capture' });
  expect(await refusal(file('text.duckdb', 'hello '.repeat(5000)))).toMatchObject({ code: 'not-a-capture' });
  expect(await refusal('/dev/null')).toMatchObject({ code: 'not-a-capture' });
});

test('names that DuckDB gives a meaning are only ever files', async () => {
  for (const name of [':memory:', '', 'md:x', 'https://example.invalid/x.duckdb', 'sqlite:x.db']) {
    expect((await refusal(name)).code, name).toMatch(/capture-missing|not-a-capture/);
  }
});

test('a SQLite file is told apart and sent to migrate', async () => {
  const error = await refusal(file('old.db', `SQLite format 3\0${'\0'.repeat(5000)}`));
  expect(error.code).toBe('capture-legacy');
  expect(error.next).toContain('ingero migrate');
});

test('a DuckDB file that ingero did not write is not a capture', async () => {
  const path = join(dir, 'other.duckdb');
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  await connection.run('CREATE TABLE t (a INTEGER)');
  connection.closeSync();
  instance.closeSync();
  const error = await refusal(path);
  expect(error.code).toBe('not-a-capture');
  expect(error.message).toContain('no table named capture');
});

test('a truncated or damaged file is called that, wherever it was cut', async () => {
  const bytes = readFileSync(good);
  for (const length of [100, 5000, 12_288, Math.floor(bytes.length / 2)]) {
    const error = await refusal(file(`cut-${length}.duckdb`, bytes.subarray(0, length)));
    expect(error.code, String(length)).toBe('capture-damaged');
  }
  const flipped = Buffer.from(bytes);
  flipped.fill(0xff, 4096, 12_288);
  expect(await refusal(file('flipped.duckdb', flipped))).toMatchObject({ code: 'capture-damaged' });
});

test('damage that only shows when a block is read is called that, too', async () => {
  const bytes = Buffer.from(readFileSync(good));
  // Every block but the last, which holds what opening reads.
  for (let block = 12_288; block < bytes.length - 262_144; block += 262_144)
    bytes.fill(0xaa, block + 100, block + 200);
  const error = await failure(
    sql(file('rotten.duckdb', bytes), 'SELECT sum(bytes), max(op) FROM cuda_events'),
  );
  expect(error).toMatchObject({ code: 'capture-damaged', exitCode: EXIT.badCapture });
});

test('a newer schema and a newer DuckDB format are refused with both versions', async () => {
  const newer = join(dir, 'newer.duckdb');
  await buildCapture(newer, { capture: { schema_version: 99, ingero_version: '7.8.9' } });
  const error = await refusal(newer);
  expect(error.code).toBe('capture-newer');
  expect(error.message).toMatch(/schema version 99.*ingero 7\.8\.9.*up to version \d+/);

  const future = Buffer.from(readFileSync(good));
  future.writeBigUInt64LE(999n, 12);
  expect((await refusal(file('future.duckdb', future))).code).toMatch(/capture-newer|capture-damaged/);
});

test('a capture that is still being recorded is refused with the pid of the recorder', async () => {
  const path = join(dir, 'live.duckdb');
  copyFileSync(good, path);
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `import { DuckDBInstance } from '@duckdb/node-api';
       await DuckDBInstance.create(process.argv[1]);
       console.log('open');
       setInterval(() => {}, 1000);`,
      path,
    ],
    { cwd: PACKAGE_ROOT },
  );
  try {
    await new Promise((done) => child.stdout.once('data', done));
    const error = await refusal(path);
    expect(error.code).toBe('capture-busy');
    expect(error.message).toContain('still running');
    expect(error.message).toContain(`process ${child.pid} `);
  } finally {
    child.kill('SIGKILL');
  }
});

test('reading changes no byte of a capture, and follows links', async () => {
  const before = fingerprint(dir);
  const link = join(dir, 'link.duckdb');
  symlinkSync(good, link);
  expect((await sql(link, 'SELECT count(*) AS n, sum(bytes) AS bytes FROM cuda_events')).rows).toEqual([
    { n: 3000, bytes: 4_498_500 },
  ]);
  await failure(sql(good, 'SELECT nothing FROM cuda_events'));
  const { 'link.duckdb': _, ...after } = fingerprint(dir);
  expect(after).toEqual(before);
});

test('a leftover .wal is read with the capture, and neither changes', async () => {
  copyFileSync(good, join(dir, 'wal-source.duckdb'));
  const writer = await DuckDBInstance.create(join(dir, 'wal-source.duckdb'));
  const connection = await writer.connect();
  await connection.run("SET checkpoint_threshold = '1GB'");
  await connection.run("UPDATE capture SET hostname = 'from-the-wal'");
  const cut = join(dir, 'cut-off');
  mkdirSync(cut);
  copyFileSync(join(dir, 'wal-source.duckdb'), join(cut, 'run.duckdb'));
  copyFileSync(join(dir, 'wal-source.duckdb.wal'), join(cut, 'run.duckdb.wal'));
  connection.closeSync();
  writer.closeSync();

  const before = fingerprint(cut);
  expect(Object.keys(before)).toEqual(['run.duckdb', 'run.duckdb.wal']);
  const result = await sql(join(cut, 'run.duckdb'), 'SELECT hostname FROM capture');
  expect(result.rows).toEqual([{ hostname: 'from-the-wal' }]);
  expect(fingerprint(cut)).toEqual(before);
});
