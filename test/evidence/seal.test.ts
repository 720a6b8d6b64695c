import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { checkAgainstSeal } from '../../src/evidence/check-seal.js';
import { checkSeal } from '../../src/evidence/read-seal.js';
import { formatSeal, makeSeal, type Seal, sealPath } from '../../src/evidence/seal.js';
import { signWhole } from '../../src/evidence/sign.js';
import { verifyFile } from '../../src/evidence/verify.js';
import { signFile } from '../../src/trust/signature.js';
import { readSigningKey } from '../../src/trust/signing-key.js';
import { readTrustStore } from '../../src/trust/trust-store.js';
import { failure, fingerprint, scratchDir } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';
import { makeKeys } from '../support/keys.js';

const dir = scratchDir();
const base = join(dir, 'base.duckdb');
const NOWHERE = { user: null, system: null, own: null };
const lab = makeKeys(dir, 'lab', 'signer: Lab A\n');
const store = readTrustStore([lab.trust], NOWHERE);
let count = 0;

beforeAll(() =>
  buildCapture(base, {
    capture: { command_line: ['ingero', 'a"b,c', '', 'tab\there\nand a \\ '], hostname: 'node\\1' },
    processes: [{ pid: 100, comm: 'pyt\thon', rank: 3 }],
    cudaEvents: Array.from({ length: 5000 }, (_, index) => ({
      op: index % 3 === 0 ? 'cudaMalloc' : 'cudaFree',
      bytes: index % 7 === 0 ? null : index,
      call_id: index + 1,
      parent_id: index % 5 === 0 ? index : null,
    })),
  }),
);

async function sealedCopy(): Promise<string> {
  count += 1;
  const path = join(dir, `copy-${count}.duckdb`);
  cpSync(base, path);
  writeFileSync(sealPath(path), formatSeal(await makeSeal(path, 'test')));
  return path;
}

async function change(path: string, ...statements: string[]): Promise<void> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  for (const statement of [...statements, 'CHECKPOINT']) await connection.run(statement);
  connection.closeSync();
  instance.closeSync();
}

/** Leaves a change in the `.wal` beside the file, as a recorder that is killed does. */
async function leaveLog(path: string, statement: string): Promise<void> {
  const copy = join(dir, 'with-log.duckdb');
  cpSync(path, copy);
  const instance = await DuckDBInstance.create(copy);
  const connection = await instance.connect();
  await connection.run('PRAGMA disable_checkpoint_on_shutdown');
  await connection.run(statement);
  cpSync(`${copy}.wal`, `${path}.wal`);
  connection.closeSync();
  instance.closeSync();
  for (const name of [copy, `${copy}.wal`]) rmSync(name, { force: true });
}

const check = (path: string) => checkAgainstSeal(path, store, dir);

test('the digest of a table is what another program makes of it by the documented rule', async () => {
  const seal = await makeSeal(base, 'test');
  const instance = await DuckDBInstance.create(base, { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  const escaped = (text: string): string =>
    text.replaceAll('\\', '\\\\').replaceAll('\t', '\\t').replaceAll('\n', '\\n');
  for (const table of ['cuda_events', 'capture', 'processes']) {
    const sealed = seal.tables.find((candidate) => candidate.table === table);
    const columns = sealed?.columns ?? [];
    const types = new Map(
      (
        await connection.runAndReadAll(
          `SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '${table}'`,
        )
      )
        .getRows()
        .map(([name, type]) => [String(name), String(type)]),
    );
    const select = columns.map((name) =>
      types.get(name)?.startsWith('TIMESTAMP') ? `epoch_ns("${name}")` : `"${name}"`,
    );
    const rows = (await connection.runAndReadAll(`SELECT ${select.join(', ')} FROM ${table}`)).getRows();
    const lines = rows.map((row) =>
      row
        .map((value) => {
          if (value === null) return '\\N';
          if (typeof value === 'object' && 'items' in value) {
            return `[${value.items.map((item) => `"${escaped(String(item)).replaceAll('"', '\\"')}"`).join(',')}]`;
          }
          return escaped(String(value));
        })
        .join('\t'),
    );
    const digests = lines.map((line) => createHash('sha256').update(line).digest('hex')).sort();
    const expected = createHash('sha256')
      .update(digests.map((digest) => `${digest}\n`).join(''))
      .digest('hex');
    expect([table, sealed?.rows, sealed?.sha256]).toEqual([table, rows.length, expected]);
  }
  connection.closeSync();
  instance.closeSync();
});

test('digests of tables do not depend on how rows are stored', async () => {
  const path = await sealedCopy();
  await change(
    path,
    'CREATE TABLE store.shuffled AS FROM store.cuda_events ORDER BY hash(call_id)',
    'DELETE FROM store.cuda_events',
    'INSERT INTO store.cuda_events FROM store.shuffled',
    'DROP TABLE store.shuffled',
  );
  expect(await check(path)).toMatchObject({ intact: false, tables: [] });
  expect((await check(path))?.detail).toContain('every table and view says what was sealed');
});

describe('what was changed is named', () => {
  test.each([
    ['a value', "UPDATE capture SET hostname = 'other'", [['capture', 'changed']]],
    ['a row less', 'DELETE FROM store.cuda_events WHERE call_id = 77', [['cuda_events', 'changed']]],
    [
      'an argument',
      'UPDATE store.cuda_events_args SET pid = 1 WHERE args_id = 5',
      [['cuda_events', 'changed']],
    ],
    ['a table more', 'CREATE TABLE notes (text VARCHAR)', [['notes', 'added']]],
    ['a table less', 'DROP TABLE threads', [['threads', 'missing']]],
    ['a view', 'CREATE OR REPLACE VIEW events AS SELECT 1 AS event_table', [['views', 'changed']]],
    ['null for empty', 'UPDATE processes SET comm = NULL', [['processes', 'changed']]],
  ] as const)('%s', async (_, statement, expected) => {
    const path = await sealedCopy();
    await change(path, statement);
    const report = await check(path);
    expect(report?.intact).toBe(false);
    expect(report?.tables?.map(({ table, difference }) => [table, difference])).toEqual(expected);
    expect(await verifyFile(path, store)).toMatchObject({ outcome: 'altered' });
  });
});

test('an intact file is intact under another name too, and reading changes nothing', async () => {
  const path = await sealedCopy();
  const before = fingerprint(dir);
  expect(await check(path)).toMatchObject({ intact: true, tables: null });
  expect(fingerprint(dir)).toEqual(before);
  const moved = join(dir, 'moved.duckdb');
  renameSync(path, moved);
  renameSync(sealPath(path), sealPath(moved));
  expect(await check(moved)).toMatchObject({ intact: true });
});

test('a log beside the file is part of it', async () => {
  const path = await sealedCopy();
  writeFileSync(`${path}.wal`, '');
  expect(await check(path)).toMatchObject({ intact: false });
});

test('a file that cannot be opened any more is altered, not an error', async () => {
  const path = await sealedCopy();
  truncateSync(path, 20_000);
  expect((await check(path))?.detail).toContain('cannot be compared');
  const gone = await sealedCopy();
  writeFileSync(gone, 'text');
  expect(await check(gone)).toMatchObject({ intact: false });
});

test('a signed seal vouches for the file; an unsigned one for nobody', async () => {
  const path = await sealedCopy();
  expect(await verifyFile(path, store)).toMatchObject({ outcome: 'unsigned', seal: { intact: true } });
  await signFile(sealPath(path), readSigningKey(lab.key), false);
  expect(await verifyFile(path, store)).toMatchObject({
    outcome: 'good',
    seal: { signature: { outcome: 'good', signer: 'Lab A' } },
  });
  // Whoever changes the file and adjusts the seal breaks the seal's signature.
  await change(path, "UPDATE capture SET hostname = 'other'");
  writeFileSync(sealPath(path), formatSeal(await makeSeal(path, 'test')));
  expect(await verifyFile(path, store)).toMatchObject({ outcome: 'altered', seal: { intact: true } });
});

test('a log put beside a signed file makes it altered, since DuckDB reads both; a signed seal covers both', async () => {
  const path = await sealedCopy();
  rmSync(sealPath(path));
  await signFile(path, readSigningKey(lab.key), false);
  expect(await verifyFile(path, store)).toMatchObject({ outcome: 'good' });
  await leaveLog(path, "UPDATE capture SET hostname = 'evil'");
  expect(await verifyFile(path, store)).toMatchObject({
    outcome: 'altered',
    signature: { outcome: 'altered', detail: expect.stringContaining(`${path}.wal`) },
  });
  expect(await failure(signWhole(path, readSigningKey(lab.key), true))).toMatchObject({
    code: 'signed-in-part',
  });
  // A seal of somebody's own does not help.
  writeFileSync(sealPath(path), formatSeal(await makeSeal(path, 'test')));
  expect(await verifyFile(path, store)).toMatchObject({ outcome: 'altered', seal: { intact: true } });
  await signFile(sealPath(path), readSigningKey(lab.key), false);
  expect(await verifyFile(path, store)).toMatchObject({ outcome: 'good' });
});

test('the log of a file named through a link is the one beside the file', async () => {
  const path = await sealedCopy();
  const link = join(dir, 'linked.duckdb');
  symlinkSync(path, link);
  cpSync(sealPath(path), sealPath(link));
  expect(await check(link)).toMatchObject({ intact: true });
  await leaveLog(path, "UPDATE capture SET hostname = 'evil'");
  expect(await check(link)).toMatchObject({ intact: false });
});

test('a list names files of its own folder only, and nothing that never ends is read', async () => {
  const folder = join(dir, 'list');
  mkdirSync(folder);
  const release = join(folder, 'SHA256SUMS');
  symlinkSync('/dev/zero', join(folder, 'zero'));
  spawnSync('mkfifo', [join(folder, 'fifo')]);
  const names = ['../base.duckdb', '/etc/passwd', 'zero', 'fifo', '.'];
  writeFileSync(release, names.map((name) => `${'0'.repeat(64)}  ${name}\n`).join(''));
  const { listed, outcome } = await verifyFile(release, store);
  expect(outcome).toBe('altered');
  expect(listed?.map(({ state }) => state)).toEqual(names.map(() => 'altered'));
  writeFileSync(release, `${'0'.repeat(64)}  x\n`.repeat(40_000));
  expect(await failure(verifyFile(release, store))).toMatchObject({ code: 'file-unreadable' });
});

test('SHA256SUMS covers the files it lists', async () => {
  const release = join(dir, 'SHA256SUMS');
  for (const name of ['one.tgz', 'two.deb']) writeFileSync(join(dir, name), name);
  writeFileSync(release, spawnSync('sha256sum', ['one.tgz', 'two.deb'], { cwd: dir }).stdout);
  await signFile(release, readSigningKey(lab.key), false);
  expect(await verifyFile(release, store)).toMatchObject({
    outcome: 'good',
    covered: 'the list and the 2 files it names',
  });
  appendFileSync(join(dir, 'two.deb'), '.');
  expect(await verifyFile(release, store)).toMatchObject({
    outcome: 'altered',
    listed: [
      { name: 'one.tgz', state: 'same' },
      { name: 'two.deb', state: 'altered' },
    ],
  });
});

test('what is no seal is said to be none', async () => {
  const seal = JSON.parse(formatSeal(await makeSeal(base, 'test'))) as Seal;
  expect(checkSeal(seal)).toBe(seal);
  expect(checkSeal({ ...seal, version: 2 })).toContain('version 2');
  expect(checkSeal({ ...seal, files: [] })).toContain('no files');
  expect(checkSeal({ ...seal, tables: [{ table: 'x' }] })).toContain('no tables');
  for (const other of [null, [], 'x', {}, { format: 'x' }]) expect(checkSeal(other)).toContain('format');
  const path = await sealedCopy();
  writeFileSync(sealPath(path), '{');
  expect(await check(path)).toMatchObject({ intact: false });
});

test('what is no capture is not sealed', async () => {
  const text = join(dir, 'text.duckdb');
  writeFileSync(text, 'text');
  expect(await failure(makeSeal(text, 'test'))).toMatchObject({
    code: 'not-a-capture',
    exitCode: EXIT.badCapture,
  });
  const cut = join(dir, 'cut.duckdb');
  writeFileSync(cut, readFileSync(base).subarray(0, 30_000));
  expect(await failure(makeSeal(cut, 'test'))).toMatchObject({ code: 'capture-damaged' });
});
