import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseCreateTable } from '../../src/import/sqlite/create-table.js';
import {
  type RowView,
  SqliteDamage,
  SqliteDatabase,
  SqliteRefusal,
  type SqliteTable,
} from '../../src/import/sqlite/index.js';
import { fingerprint } from '../query/helpers.js';
import { sqlite } from './support/go-agent-file.js';

const dir = mkdtempSync(join(tmpdir(), 'ingero-sqlite-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** A table as the sqlite3 shell prints it with `quote()`, one line a row. */
function shown(path: string, table: string, columns: readonly string[]): string[] {
  const values = columns.map((name) => `quote("${name}")`).join(` || '|' || `);
  return sqlite(path, `SELECT ${values} FROM "${table}" ORDER BY rowid;`).split('\n').slice(0, -1);
}

/** The same, read by ours. */
function read(table: SqliteTable, row: RowView): string {
  const quote = (column: number): string => {
    switch (row.kind(column)) {
      case 'null':
        return 'NULL';
      case 'integer':
        return String(row.bigint(column));
      case 'real':
        return String(row.real(column));
      case 'text':
        return `'${row.text(column).replaceAll("'", "''")}'`;
      case 'blob':
        return `X'${row.bytesOf(column).toString('hex').toUpperCase()}'`;
    }
  };
  return table.columns.map((_, column) => quote(column)).join('|');
}

async function readAll(path: string, name: string): Promise<string[]> {
  const database = SqliteDatabase.open(path, { salvage: false });
  try {
    const table = database.tables.get(name) as SqliteTable;
    const lines: string[] = [];
    await database.scan(table, (row) => lines.push(read(table, row)));
    database.assertUnchanged();
    return lines;
  } finally {
    database.close();
  }
}

const VALUES = `
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
  INSERT INTO mixed (a, b, c, d)
  SELECT
    CASE i % 9 WHEN 0 THEN NULL WHEN 1 THEN 0 WHEN 2 THEN 1 WHEN 3 THEN -128 WHEN 4 THEN -32769 WHEN 5 THEN 8388608
      WHEN 6 THEN -2147483649 WHEN 7 THEN 140737488355328 ELSE -9223372036854775808 + i END,
    CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'it''s ' || char(233, 8364, 128512) ELSE printf('%.*c', i * 40, 'x') END,
    CASE i % 3 WHEN 0 THEN zeroblob(i) WHEN 1 THEN X'00FF' ELSE 2.5 + i END,
    i * 1000003
  FROM n;`;

describe.each([
  ['4096-byte pages', 'PRAGMA page_size = 4096;'],
  ['the smallest pages', 'PRAGMA page_size = 512;'],
  ['the largest pages', 'PRAGMA page_size = 65536;'],
  ['UTF-16, little endian', "PRAGMA encoding = 'UTF-16le';"],
  ['UTF-16, big endian', "PRAGMA encoding = 'UTF-16be';"],
])('a database with %s', (name, setup) => {
  test('reads as the sqlite3 shell reads it', async () => {
    const path = join(dir, `${name}.db`);
    sqlite(
      path,
      `${setup} CREATE TABLE mixed (a INTEGER, b TEXT, c BLOB, d INTEGER PRIMARY KEY); ${VALUES}
       ALTER TABLE mixed ADD COLUMN e TEXT; INSERT INTO mixed VALUES (1, 'added', NULL, 7, 'later');
       DELETE FROM mixed WHERE d % 7 = 0; VACUUM;`,
    );
    expect(await readAll(path, 'mixed')).toEqual(shown(path, 'mixed', ['a', 'b', 'c', 'd', 'e']));
  });
});

describe('a write-ahead log', () => {
  /** A database that was copied while its writer had it open: part of it is in the log only. */
  function withLog(name: string): string {
    const path = join(dir, `${name}-live.db`);
    const copy = join(dir, `${name}.db`);
    // `.shell` runs while the connection is open, before closing it would fold the log in.
    sqlite(
      path,
      `PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'in the file');
       PRAGMA wal_checkpoint(TRUNCATE); PRAGMA wal_autocheckpoint = 0;
       INSERT INTO t VALUES (2, 'in the log'); UPDATE t SET b = 'changed' WHERE a = 1;
       WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT i, 'row ' || i FROM n;
.shell cp '${path}' '${copy}'
.shell cp '${path}-wal' '${copy}-wal'
      `,
    );
    return copy;
  }

  test('is read with the file, and nothing is written beside it', async () => {
    const path = withLog('log');
    const before = fingerprint(dir);
    const rows = await readAll(path, 't');
    expect(fingerprint(dir)).toEqual(before);
    expect(existsSync(`${path}-shm`)).toBe(false);
    const twin = join(dir, 'twin.db');
    cpSync(path, twin);
    cpSync(`${path}-wal`, `${twin}-wal`);
    expect(rows).toEqual(shown(twin, 't', ['a', 'b']));
    expect(rows).toHaveLength(2000);
    expect(rows[0]).toBe("1|'changed'");
  });

  test('that is cut off ends with its last complete transaction', async () => {
    const path = withLog('cut');
    truncateSync(`${path}-wal`, statSync(`${path}-wal`).size - 100);
    const twin = join(dir, 'cut-twin.db');
    cpSync(path, twin);
    cpSync(`${path}-wal`, `${twin}-wal`);
    const rows = await readAll(path, 't');
    expect(rows).toEqual(shown(twin, 't', ['a', 'b']));
    expect(rows).toHaveLength(2);
  });

  test('of another database is not read', async () => {
    const path = withLog('foreign');
    writeFileSync(`${path}-wal`, Buffer.alloc(100_000, 7));
    expect(await readAll(path, 't')).toEqual(["1|'in the file'"]);
  });
});

test('what is no SQLite database, or is being changed, is refused', async () => {
  const path = join(dir, 'text.db');
  writeFileSync(path, 'not a database at all, but long enough to hold a header'.repeat(4));
  expect(() => SqliteDatabase.open(path, { salvage: false })).toThrow(SqliteRefusal);
  writeFileSync(path, 'SQLite format 3\0');
  expect(() => SqliteDatabase.open(path, { salvage: false })).toThrow(SqliteDamage);

  const written = join(dir, 'written.db');
  sqlite(written, 'CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);');
  const database = SqliteDatabase.open(written, { salvage: false });
  database.assertUnchanged();
  sqlite(written, 'INSERT INTO t VALUES (2);');
  expect(() => database.assertUnchanged()).toThrow(/written to while it was read/);
  database.close();

  writeFileSync(
    `${written}-journal`,
    Buffer.concat([Buffer.from('d9d505f920a163d7', 'hex'), Buffer.alloc(600)]),
  );
  expect(() => SqliteDatabase.open(written, { salvage: false })).toThrow(/transaction that was cut off/);
});

describe('damage', () => {
  const path = join(dir, 'sound.db');

  function damage(name: string, change: (copy: string) => void): string {
    if (!existsSync(path)) {
      sqlite(
        path,
        `PRAGMA page_size = 1024; CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT, c INTEGER); CREATE TABLE other (a TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
         INSERT INTO t SELECT i, printf('%.*c', i % 70, 'x'), i * 7 FROM n; INSERT INTO other VALUES ('one');`,
      );
    }
    const copy = join(dir, `${name}.db`);
    cpSync(path, copy);
    change(copy);
    return copy;
  }

  async function salvage(copy: string): Promise<{ rows: string[]; damages: number; recovered: number }> {
    const database = SqliteDatabase.open(copy, { salvage: true });
    const table = database.tables.get('t') as SqliteTable;
    const rows: string[] = [];
    const { count, recovered } = await database.scan(table, (row) => rows.push(read(table, row)));
    database.close();
    return { rows, damages: count, recovered };
  }

  test('of a page is an error, and salvage reads the other pages', async () => {
    const copy = damage('page', (file) => overwrite(file, 40 * 1024, Buffer.alloc(1024, 0xee)));
    await expect(readAll(copy, 't')).rejects.toThrow(/page 41: /);
    const all = await readAll(path, 't');
    const { rows, damages, recovered } = await salvage(copy);
    expect([damages, recovered]).toEqual([1, 0]);
    expect(all).toEqual(expect.arrayContaining(rows));
    expect(rows.length).toBeGreaterThan(4900);
    expect(rows.length).toBeLessThan(5000);
  });

  test('of the page that leads to all others is an error, and salvage finds the others again', async () => {
    const root = Number(sqlite(path, "SELECT rootpage FROM sqlite_schema WHERE name = 't';"));
    const copy = damage('root', (file) => overwrite(file, (root - 1) * 1024, Buffer.alloc(1024)));
    await expect(readAll(copy, 't')).rejects.toThrow(new RegExp(`page ${root}: `));
    const { rows, damages, recovered } = await salvage(copy);
    expect(damages).toBe(1);
    expect(recovered).toBe(5000);
    expect(new Set(rows)).toEqual(new Set(await readAll(path, 't')));
  });

  test('by truncation is an error, and salvage reads what is left', async () => {
    const copy = damage('cut', (file) => truncateSync(file, Math.floor(statSync(file).size / 2048) * 1024));
    await expect(readAll(copy, 't')).rejects.toThrow(SqliteDamage);
    const { rows, damages } = await salvage(copy);
    expect(damages).toBeGreaterThan(0);
    expect(rows.length).toBeGreaterThan(2000);
    expect(rows.length).toBeLessThan(5000);
  });

  test('does not bring back rows that were deleted', async () => {
    const copy = damage('deleted', (file) => sqlite(file, 'DELETE FROM t WHERE a <= 2500;'));
    const { rows, recovered } = await salvage(copy);
    expect([rows.length, recovered]).toEqual([2500, 0]);
  });
});

function overwrite(file: string, offset: number, bytes: Buffer): void {
  const content = readFileSync(file);
  bytes.copy(content, offset);
  writeFileSync(file, content);
}

test('CREATE TABLE statements give their columns and the one that is the rowid', async () => {
  expect(
    parseCreateTable(`CREATE TABLE "odd ""name" (
      [a b] INTEGER NOT NULL DEFAULT (1 + (2)), -- a comment, with a comma
      'c' TEXT CHECK (c IN ('x,y', 'z')), \`d\` /* (no) */ REAL, e,
      PRIMARY KEY ("a b")
    )`),
  ).toEqual({
    columns: [
      { name: 'a b', type: 'INTEGER' },
      { name: 'c', type: 'TEXT' },
      { name: 'd', type: 'REAL' },
      { name: 'e', type: '' },
    ],
    rowidColumn: 0,
  });
  expect(parseCreateTable('CREATE TABLE t (a TEXT PRIMARY KEY, b INT PRIMARY KEY)')?.rowidColumn).toBe(-1);
  expect(parseCreateTable('CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT)')?.rowidColumn).toBe(0);
  expect(parseCreateTable('CREATE TABLE t (a INTEGER, b INTEGER, PRIMARY KEY (a, b))')?.rowidColumn).toBe(-1);
  expect(parseCreateTable('SELECT 1')).toBeUndefined();
});
