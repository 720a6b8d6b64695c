import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { execute, type QueryResult } from '../../src/query/execute.js';
import { type FormatName, TEXT_FORMATS } from '../../src/query/format.js';
import { fitWidths } from '../../src/query/formats/table.js';
import { humanize } from '../../src/query/units.js';
import { limitRows, writeResult } from '../../src/query/write.js';
import { buildCapture } from '../support/capture-builder.js';
import { failure, scratchDir, withCapture } from './helpers.js';

const dir = scratchDir();
const path = join(dir, 'run.duckdb');

const NASTY = [
  'quote " and, comma',
  "it's",
  'line\nbreak\r\n',
  '',
  'tab\t| pipe',
  'esc\u001b[31m\u009b2J',
  'Zażółć 😀',
  '\u202eevil',
];

beforeAll(() => buildCapture(path, { cudaEvents: NASTY.map((op, index) => ({ op, bytes: index })) }));

let files = 0;
/** Runs SQL and returns what a format writes to a file. */
async function written(
  format: FormatName,
  text: string,
  change = (result: QueryResult) => result,
): Promise<string> {
  const output = join(dir, `out-${files++}`);
  await withCapture(path, async (capture, budget) =>
    writeResult(change(await execute(capture, text, budget)), { format, output, humanUnits: false }),
  );
  return readFileSync(output, 'utf8');
}

/** A strict reader of RFC 4180: quotes only around whole fields, CRLF after every record. */
function readCsv(text: string): (string | null)[][] {
  const records: (string | null)[][] = [];
  let rest = text;
  while (rest !== '') {
    const record: (string | null)[] = [];
    for (;;) {
      const field = /^(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/.exec(rest);
      if (field === null) throw new Error(`not CSV: ${JSON.stringify(rest.slice(0, 40))}`);
      rest = rest.slice(field[0].length);
      record.push(field[1]?.replaceAll('""', '"') ?? (field[2] === '' ? null : (field[2] ?? null)));
      if (field[3] === '\r\n') break;
    }
    records.push(record);
  }
  return records;
}

const VALUES = `SELECT
  1::TINYINT AS small, 9007199254740991 AS safe, 9007199254740993 AS big, 18446744073709551615::UBIGINT AS handle,
  -170141183460469231731687303715884105727::HUGEINT AS huge, 1.25::DECIMAL(10, 2) AS money, 0.1::DOUBLE AS half,
  'nan'::DOUBLE AS nothing, 'infinity'::DOUBLE AS endless, true AS yes, NULL AS unknown, NULL::BIGINT AS no_number,
  make_timestamp_ns(1700000000000000001) AS at, TIMESTAMP '2024-02-29 12:00:00.5' AS micros, DATE '2024-02-29' AS day,
  TIMESTAMPTZ '2024-02-29 12:00:00+02' AS zoned, [1, NULL, 3] AS list, {'a': 1, 'b': 'x'} AS struct,
  MAP {'k': 1} AS map, 'x'::ENUM('x', 'y') AS name, '\\x00\\xFF'::BLOB AS raw, INTERVAL '1 day 2 hours' AS span,
  '00000000-0000-4000-8000-000000000001'::UUID AS id`;

describe('json', () => {
  test('every type reads back with a strict parser', async () => {
    expect(JSON.parse(await written('json', VALUES))).toEqual([
      {
        small: 1,
        safe: 9007199254740991,
        big: '9007199254740993',
        handle: '18446744073709551615',
        huge: '-170141183460469231731687303715884105727',
        money: 1.25,
        half: 0.1,
        nothing: 'NaN',
        endless: 'Infinity',
        yes: true,
        unknown: null,
        no_number: null,
        at: '2023-11-14T22:13:20.000000001Z',
        micros: '2024-02-29T12:00:00.500000Z',
        day: '2024-02-29',
        zoned: '2024-02-29T10:00:00.000000Z',
        list: [1, null, 3],
        struct: { a: 1, b: 'x' },
        map: [{ key: 'k', value: 1 }],
        name: 'x',
        raw: '\\x00\\xFF',
        span: '1 day 02:00:00',
        id: '00000000-0000-4000-8000-000000000001',
      },
    ]);
  });

  test('names with quotes, line breaks and controls survive, and no control is sent raw', async () => {
    for (const format of ['json', 'jsonl'] as const) {
      const text = await written(format, 'SELECT op FROM cuda_events ORDER BY bytes');
      const rows: { op: string }[] =
        format === 'json'
          ? JSON.parse(text)
          : text
              .trimEnd()
              .split('\n')
              .map((line) => JSON.parse(line));
      expect(rows.map((row) => row.op)).toEqual(NASTY);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: looking for them
      expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
    }
  });

  test('no rows are an empty array, and repeated column names stay apart', async () => {
    expect(JSON.parse(await written('json', 'SELECT 1 AS a WHERE false'))).toEqual([]);
    expect(JSON.parse(await written('json', 'SELECT 1 AS a, 2 AS a'))).toEqual([{ a: 1, 'a:1': 2 }]);
  });
});

describe('csv', () => {
  test('reads back by RFC 4180, and tells NULL from an empty string', async () => {
    const text = await written(
      'csv',
      "SELECT op, bytes, NULL AS none, '' AS empty FROM cuda_events ORDER BY bytes",
    );
    const [header, ...rows] = readCsv(text);
    expect(header).toEqual(['op', 'bytes', 'none', 'empty']);
    expect(rows).toEqual(NASTY.map((op, index) => [op, String(index), null, '']));
  });

  test('integers keep all their digits', async () => {
    expect(readCsv(await written('csv', 'SELECT 18446744073709551615::UBIGINT AS h'))[1]).toEqual([
      '18446744073709551615',
    ]);
  });
});

describe('parquet', () => {
  async function readBack(file: string): Promise<unknown[]> {
    const connection = await (await DuckDBInstance.create(':memory:')).connect();
    const rows = await connection.runAndReadAll(`SELECT * FROM read_parquet('${file}')`);
    return rows.getRowObjectsJson();
  }

  async function parquet(text: string, name: string): Promise<string> {
    const output = join(dir, name);
    await withCapture(path, async (capture, budget) =>
      writeResult(await execute(capture, text, budget), { format: 'parquet', output, humanUnits: false }),
    );
    return output;
  }

  test('rows and types read back, the file is private, and nothing else is left', async () => {
    const before = readdirSync(dir);
    const output = await parquet(
      'SELECT op, bytes, start_time, NULL AS none FROM cuda_events ORDER BY bytes',
      'a.parquet',
    );
    expect(await readBack(output)).toEqual(
      NASTY.map((op, index) => ({
        op,
        bytes: String(index),
        start_time: `2026-01-01 00:00:00${index === 0 ? '' : `.00${index}`}`,
        none: null,
      })),
    );
    expect(statSync(output).mode & 0o777).toBe(0o600);
    expect(readdirSync(dir).filter((name) => !before.includes(name))).toEqual(['a.parquet']);
  });

  test('many rows and nested values', async () => {
    const output = await parquet(
      'SELECT range AS n, [range] AS list, {a: range} AS s FROM range(100_000)',
      'b.parquet',
    );
    const rows = await readBack(output);
    expect(rows.length).toBe(100_000);
    expect(rows.at(-1)).toEqual({ n: '99999', list: ['99999'], s: { a: '99999' } });
  });

  test('an existing file is not overwritten, and a failed query leaves none', async () => {
    writeFileSync(join(dir, 'taken.parquet'), 'precious');
    expect(await failure(parquet('SELECT 1', 'taken.parquet'))).toMatchObject({
      code: 'output-exists',
      exitCode: EXIT.output,
    });
    expect(readFileSync(join(dir, 'taken.parquet'), 'utf8')).toBe('precious');
    const before = readdirSync(dir);
    const late = "SELECT CASE WHEN range = 50000 THEN error('late') END AS x FROM range(100_000)";
    expect(await failure(parquet(late, 'late.parquet'))).toMatchObject({ code: 'sql-error' });
    expect(await failure(parquet('SELECT 1', 'no/such/folder.parquet'))).toMatchObject({
      code: 'output-unwritable',
    });
    expect(readdirSync(dir)).toEqual(before);
  });

  test('standard output is refused', async () => {
    const refused = withCapture(path, async (capture, budget) =>
      writeResult(await execute(capture, 'SELECT 1', budget), {
        format: 'parquet',
        output: undefined,
        humanUnits: false,
      }),
    );
    expect(await failure(refused)).toMatchObject({ code: 'output-needed', exitCode: EXIT.usage });
  });
});

test('a text file is private, is not overwritten, and is removed when the query fails', async () => {
  const output = join(dir, 'text.csv');
  const write = (text: string, file: string) =>
    withCapture(path, async (capture, budget) =>
      writeResult(await execute(capture, text, budget), { format: 'csv', output: file, humanUnits: false }),
    );
  expect(await write('SELECT 1 AS a', output)).toBe(1);
  expect(statSync(output).mode & 0o777).toBe(0o600);
  expect(await failure(write('SELECT 2 AS a', output))).toMatchObject({ code: 'output-exists' });
  expect(readFileSync(output, 'utf8')).toBe('a\r\n1\r\n');
  const late = "SELECT CASE WHEN range = 50000 THEN error('late') END AS x FROM range(100_000)";
  await failure(write(late, join(dir, 'late.csv')));
  expect(existsSync(join(dir, 'late.csv'))).toBe(false);
});

test('markdown escapes what would be markup, and controls', async () => {
  const text = await written(
    'markdown',
    'SELECT op, bytes AS "n|m" FROM cuda_events WHERE bytes IN (4, 5) ORDER BY bytes',
  );
  expect(text).toBe(
    [
      '| op | n\\|m |',
      '| --- | ---: |',
      '| tab\\\\t\\| pipe | 4 |',
      '| esc\\\\x1b\\[31m\\\\x9b2J | 5 |',
      '',
    ].join('\n'),
  );
});

describe('table', () => {
  test('aligns, numbers to the right, and shows controls as escapes', async () => {
    const text = await written(
      'table',
      'SELECT bytes, op, NULL AS none FROM cuda_events WHERE bytes IN (1, 2, 5, 7) ORDER BY bytes',
    );
    expect(text).toBe(
      [
        'bytes  op                 none',
        '─────  ─────────────────  ────',
        "    1  it's               NULL",
        '    2  line\\nbreak\\r\\n    NULL',
        '    5  esc\\x1b[31m\\x9b2J  NULL',
        '    7  \\u202eevil         NULL',
        '',
      ].join('\n'),
    );
  });

  const columns = ['first', 'second', 'third'].map((name) => ({ name, type: 'VARCHAR', numeric: false }));

  test('fits a terminal: wide columns are cut with …, and columns without room are named', () => {
    const render = (width: number): string[] => {
      const writer = TEXT_FORMATS.table(columns, { width, humanUnits: false });
      return (writer.head() + writer.rows([['a'.repeat(50), 'b', 'c'.repeat(20)]]) + writer.tail())
        .trimEnd()
        .split('\n');
    };
    for (const width of [40, 60, 80, 200]) {
      for (const line of render(width)) expect([...line].length, `${width}`).toBeLessThanOrEqual(width);
    }
    expect(render(40).at(-1)).toContain('…');
    expect(render(14).at(-1)).toBe('2 more columns not shown: second, third');
  });

  test('a result that is longer than the sample streams on with the same widths', () => {
    const writer = TEXT_FORMATS.table(columns.slice(0, 1), { width: undefined, humanUnits: false });
    const first = writer.rows(Array.from({ length: 1000 }, () => ['x']));
    expect(first.split('\n').length).toBe(1003);
    expect(writer.rows([['longer than before']])).toBe('longer than before\n');
    expect(writer.tail()).toBe('');
  });

  test('widths: the widest gives way first, and nothing is cut without need', () => {
    expect(fitWidths([10, 10], 22)).toEqual([10, 10]);
    expect(fitWidths([50, 10, 30], 64)).toEqual([25, 10, 25]);
    expect(fitWidths([9, 9, 9], 20)).toEqual([8, 8]);
    expect(fitWidths([3], 1)).toEqual([3]);
  });
});

test('the number of rows can be limited in every format, and says when there were more', async () => {
  const limited = async (maxRows: number) => {
    let truncated = false;
    const text = await written('jsonl', 'SELECT range AS n FROM range(5000)', (result) => {
      const cut = limitRows(result, maxRows);
      return {
        ...cut,
        async *chunks() {
          yield* cut.chunks();
          truncated = cut.truncated;
        },
      };
    });
    return { rows: text.split('\n').length - 1, truncated };
  };
  expect(await limited(0)).toEqual({ rows: 5000, truncated: false });
  expect(await limited(1)).toEqual({ rows: 1, truncated: true });
  expect(await limited(2048)).toEqual({ rows: 2048, truncated: true });
  expect(await limited(4999)).toEqual({ rows: 4999, truncated: true });
  expect(await limited(5000)).toEqual({ rows: 5000, truncated: false });
});

test('a result of a gigabyte is read in bounded memory', async () => {
  const before = process.memoryUsage().rss;
  let rows = 0;
  let most = 0;
  const wide = `SELECT range AS a, ${'range, '.repeat(20)} repeat('x', 200) AS text FROM range(3_000_000)`;
  await withCapture(path, async (capture, budget) => {
    for await (const chunk of (await execute(capture, wide, budget)).chunks()) {
      rows += chunk.rowCount;
      most = Math.max(most, process.memoryUsage().rss - before);
    }
  });
  expect(rows).toBe(3_000_000);
  expect(most).toBeLessThan(350 * 1024 * 1024);
});

test('readable units', () => {
  expect(humanize(999n, 'ns')).toBe('999 ns');
  expect(humanize(1234, 'ns')).toBe('1.23 µs');
  expect(humanize(12_345_678n, 'ns')).toBe('12.3 ms');
  expect(humanize(123_456_789_012n, 'ns')).toBe('123 s');
  expect(humanize(1023, 'bytes')).toBe('1023 B');
  expect(humanize(4n << 20n, 'bytes')).toBe('4.0 MiB');
  expect(humanize(0x7f00_0000_0000n, 'address')).toBe('0x7f0000000000');
  expect(humanize('_Z3addPfPKfi', 'symbol')).toBe('add(float*, float const*, int)');
  expect(humanize('main', 'symbol')).toBeUndefined();
  expect(humanize(12.345, '%')).toBe('12.3 %');
  expect(humanize(25.5, 'GB/s')).toBe('25.5 GB/s');
  expect(humanize(5, 'calls')).toBeUndefined();
  expect(humanize(null, 'ns')).toBeUndefined();
});
