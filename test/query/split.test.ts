import { DuckDBInstance } from '@duckdb/node-api';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hasSql, splitSql } from '../../src/query/split.js';

test.each([
  ['SELECT 1', [], 'SELECT 1'],
  ['SELECT 1;', ['SELECT 1'], ''],
  ['SELECT 1; SELECT 2;\n', ['SELECT 1', ' SELECT 2'], ''],
  ['SELECT 1;\n\nSELECT 2;SELECT\n3', ['SELECT 1', '\n\nSELECT 2'], '\n\nSELECT\n3'],
  ["SELECT ';' ; x", ["SELECT ';' "], ' x'],
  [`SELECT 'it''s; so', "a;b""c";`, [`SELECT 'it''s; so', "a;b""c"`], ''],
  ["SELECT E'\\';' , 1;", ["SELECT E'\\';' , 1"], ''],
  ["SELECT e';', make';';", ["SELECT e';', make';'"], ''],
  ['SELECT $$ ; $$, $a$ $$ ; $a$;', ['SELECT $$ ; $$, $a$ $$ ; $a$'], ''],
  ['SELECT $pid; SELECT $op', ['SELECT $pid'], ' SELECT $op'],
  ['SELECT 1 -- not; here\n;', ['SELECT 1 -- not; here\n'], ''],
  ['SELECT /* a; /* b; */ c; */ 1;', ['SELECT /* a; /* b; */ c; */ 1'], ''],
  [';; -- nothing\n;', [], ''],
  ["SELECT 'open;", [], "SELECT 'open;"],
] as const)('%j', (sql, statements, rest) => {
  expect(splitSql(sql)).toEqual({ statements, rest });
});

test('white space and comments are no SQL', () => {
  expect(hasSql(' \n-- x\n/* y /* z */ */\t')).toBe(false);
  expect(hasSql('-- x\n1')).toBe(true);
});

test('DuckDB counts the same statements', async () => {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const piece = fc.constantFrom(
    "'a;b'",
    '"x;y"',
    "E'\\';'",
    '$$;$$',
    '/* ; */',
    '-- ;\n',
    '1',
    ' ',
    "''';'",
    '/* /*;*/ */',
  );
  const statement = fc
    .array(piece, { maxLength: 6 })
    .map((parts) => `SELECT 1 AS a, ${[...parts, '2'].join(' ')}`);
  await fc.assert(
    fc.asyncProperty(fc.array(statement, { minLength: 1, maxLength: 4 }), async (list) => {
      const sql = `${list.join(';')};`;
      // DuckDB may not like what a piece makes of a statement; then there is nothing to compare.
      const counted = await connection.extractStatements(sql).then(
        ({ count }) => count,
        () => undefined,
      );
      if (counted !== undefined) expect(splitSql(sql).statements).toHaveLength(counted);
    }),
    { numRuns: 200 },
  );
  connection.closeSync();
  instance.closeSync();
});
