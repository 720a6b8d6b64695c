import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { EXIT, IngeroError } from '../../src/errors.js';
import { parseHeader } from '../../src/query/header.js';
import { QueryLibrary, readLibrary } from '../../src/query/library.js';
import { checkParam, parseRange } from '../../src/query/param-type.js';
import { resolveParams } from '../../src/query/params.js';
import { scratchDir } from './helpers.js';

const GOOD = `-- @title A title
-- @question Which is it?
-- @requires tables=cuda_events,probes schema>=1
-- @param min_ms DOUBLE 0.5 ms -- at least this long
-- @param pid INTEGER null - [1..] -- only this process
-- @packs cuda-runtime, nccl
-- @ops cudaMemcpy*
-- @discovery SELECT NULL
-- @column op - -- Operation
-- @column n calls -- Calls
-- @sampling weighted
-- @fidelity derived -- Because
--   of this.
-- @interpret Read it
--   like so.
-- @next b, c
-- @nsys cuda_api_sum

SELECT op, count(*) AS n -- not $this
FROM cuda_events WHERE duration_ns > $min_ms AND ($pid IS NULL OR pid = $pid) AND op <> '$that'
GROUP BY op
`;

test('a header is read whole, with continued lines', () => {
  const { query, problems } = parseHeader('a-b', 'a-b.sql', GOOD);
  expect(problems).toEqual([]);
  expect(query).toMatchObject({
    name: 'a-b',
    title: 'A title',
    question: 'Which is it?',
    requires: { tables: ['cuda_events', 'probes'], schema: 1 },
    params: [
      {
        name: 'min_ms',
        type: 'DOUBLE',
        default: '0.5',
        unit: 'ms',
        doc: 'at least this long',
        range: undefined,
      },
      {
        name: 'pid',
        type: 'INTEGER',
        default: undefined,
        unit: undefined,
        doc: 'only this process',
        range: { from: 1, to: undefined },
      },
    ],
    columns: [
      { name: 'op', unit: undefined, doc: 'Operation' },
      { name: 'n', unit: 'calls', doc: 'Calls' },
    ],
    packs: ['cuda-runtime', 'nccl'],
    ops: ['cudaMemcpy*'],
    discovery: 'SELECT NULL',
    sampling: 'weighted',
    fidelity: { level: 'derived', why: 'Because of this.' },
    interpret: 'Read it like so.',
    next: ['b', 'c'],
    nsys: 'cuda_api_sum',
  });
  expect(query?.sql).toMatch(/^SELECT op/);
});

test('everything that is wrong is said at once, with its line', () => {
  const { query, problems } = parseHeader(
    'Bad_Name',
    'x.sql',
    `-- @title
-- @titel x
-- stray words
-- @requires cuda_events
-- @param n INT 5 - -- wrong type
-- @param m INTEGER five - -- wrong default
-- @param m INTEGER 1 - -- again
-- @param only three
-- @column a
-- @fidelity perfect -- no
-- @next a
-- @next b
SELECT $k`,
  );
  expect(query).toBeUndefined();
  expect(
    problems.map(({ file, line, message }) => `${file}:${line}: ${message}`).sort(),
  ).toMatchInlineSnapshot(`
    [
      "x.sql:10: @fidelity is one of exact, derived, proxy, heuristic, then -- and why",
      "x.sql:12: @next is given twice",
      "x.sql:1: @question is missing",
      "x.sql:1: @sampling is missing",
      "x.sql:1: @title says nothing",
      "x.sql:1: the SQL uses $k without an @param",
      "x.sql:1: the name Bad_Name is not lower-case-with-dashes",
      "x.sql:2: unknown tag @titel; known: title, question, requires, packs, ops, discovery, sampling, fidelity, interpret, next, nsys, param, column",
      "x.sql:3: a header line is \`-- @tag text\`, or indented to continue a tag",
      "x.sql:4: @requires is tables=a,b schema>=N",
      "x.sql:5: @param n: type INT is none of INTEGER, BIGINT, DOUBLE, VARCHAR, BOOLEAN",
      "x.sql:6: @param m: default five is not a whole number",
      "x.sql:6: the SQL never uses $m",
      "x.sql:7: @param m is given twice",
      "x.sql:7: the SQL never uses $m",
      "x.sql:8: @param is NAME TYPE DEFAULT UNIT [RANGE] -- what it does (default null, unit - for none, range 1..100 or a|b)",
      "x.sql:9: @column is NAME UNIT -- what it means (unit - for none)",
    ]
  `);
});

describe('what each problem is', () => {
  test.each([
    ['no question', GOOD.replace(/-- @question.*\n/, ''), '@question is missing'],
    ['no columns', GOOD.replaceAll(/-- @column.*\n/g, ''), 'no @column'],
    ['no SQL', GOOD.slice(0, GOOD.indexOf('SELECT')), 'there is no SQL'],
    ['unused parameter', GOOD.replace('duration_ns > $min_ms', 'true'), 'the SQL never uses $min_ms'],
    ['undeclared parameter', `${GOOD}HAVING n > $least`, 'the SQL uses $least without an @param'],
    ['column twice', GOOD.replace('@column n ', '@column op '), '@column op is given twice'],
    ['a unit nobody knows', GOOD.replace('@column n calls', '@column n cals'), 'unit cals is none of'],
    ['a range of words for a number', GOOD.replace('[1..]', '[a|b]'), 'is no range of INTEGER'],
    [
      'a default outside of its range',
      GOOD.replace('0.5 ms --', '0.5 ms [1..] --'),
      'default 0.5 is not in the range',
    ],
    ['a parameter named like a flag', GOOD.replaceAll('min_ms', 'timeout'), 'flag or argument of that name'],
    [
      'a sampling nobody knows',
      GOOD.replace('@sampling weighted', '@sampling sometimes'),
      '@sampling is one of',
    ],
  ])('%s', (_, text, message) => {
    const { problems } = parseHeader('a-b', 'a-b.sql', text);
    expect(problems.map((problem) => problem.message).join('\n')).toContain(message);
  });
});

test('a folder with problems is refused with all of them, and @next must exist', () => {
  const dir = mkdtempSync(join(scratchDir(), 'queries-'));
  writeFileSync(join(dir, 'one.sql'), GOOD);
  writeFileSync(join(dir, 'two.sql'), '-- @title x\n');
  try {
    readLibrary(dir);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(IngeroError);
    const { message, exitCode } = error as IngeroError;
    expect(exitCode).toBe(EXIT.badPack);
    expect(message).toContain('one.sql:1: @next names b, which does not exist');
    expect(message).toContain('two.sql:1: @question is missing');
    expect(message).toContain('two.sql:1: there is no SQL');
  }
});

test('parameter values are checked by type and range', () => {
  expect(checkParam('INTEGER', '2147483647')).toBeUndefined();
  expect(checkParam('INTEGER', '-2147483648')).toBeUndefined();
  expect(checkParam('INTEGER', '2147483648')).toMatch(/fits INTEGER/);
  expect(checkParam('BIGINT', '9223372036854775807')).toBeUndefined();
  expect(checkParam('BIGINT', '9223372036854775808')).toMatch(/fits BIGINT/);
  for (const wrong of ['', '1.5', '1e3', 'x', '0x10', '1;DROP'])
    expect(checkParam('INTEGER', wrong)).toBeTruthy();
  for (const right of ['0', '-1.5', '1e3']) expect(checkParam('DOUBLE', right)).toBeUndefined();
  for (const wrong of ['', ' ', 'NaN', 'Infinity', '1,5']) expect(checkParam('DOUBLE', wrong)).toBeTruthy();
  expect(checkParam('BOOLEAN', 'true')).toBeUndefined();
  expect(checkParam('BOOLEAN', 'yes')).toBeTruthy();
});

test('ranges of parameters', () => {
  expect(parseRange('INTEGER', '1..100')).toEqual({ from: 1, to: 100 });
  expect(parseRange('DOUBLE', '0.5..')).toEqual({ from: 0.5, to: undefined });
  expect(parseRange('VARCHAR', 'a | b')).toEqual({ words: ['a', 'b'] });
  for (const [type, text] of [
    ['INTEGER', '..'],
    ['INTEGER', 'a|b'],
    ['VARCHAR', '1..2'],
    ['VARCHAR', 'a||b'],
  ] as const) {
    expect(parseRange(type, text)).toBeUndefined();
  }
  expect(checkParam('INTEGER', '0', { from: 1, to: undefined })).toContain('in the range 1..');
  expect(checkParam('INTEGER', '1', { from: 1, to: undefined })).toBeUndefined();
  expect(checkParam('VARCHAR', 'c', { words: ['a', 'b'] })).toBe('one of a, b');
});

describe('--param', () => {
  const query = QueryLibrary.open().find('slow-memcpy');
  const failing = (given: string[]): IngeroError => {
    try {
      resolveParams(query, given);
    } catch (error) {
      return error as IngeroError;
    }
    throw new Error('nothing failed');
  };

  test('defaults stand until a value replaces them', () => {
    const values = [...resolveParams(query, ['limit=7'])].map(([param, value]) => [param.name, value]);
    expect(values).toEqual([
      ['min_ms', '0.1'],
      ['limit', '7'],
    ]);
  });

  test.each([
    ['a name that does not exist', ['limt=3'], /no parameter "limt"/, /did you mean limit/],
    ['no value', ['limit'], /has no value/, /name=value/],
    ['a wrong value', ['limit=many'], /limit="many" is not valid/, /whole number/],
    ['null where the default is not null', ['limit=null'], /not valid/, /whole number/],
    ['one name twice', ['limit=1', 'limit=2'], /given twice/, undefined],
  ])('%s', (_, given, message, expected) => {
    const error = failing(given);
    expect(error.exitCode).toBe(EXIT.sql);
    expect(error.message).toMatch(message);
    if (expected !== undefined) expect(error.expected).toMatch(expected);
    expect(error.next).toContain('min_ms, limit');
  });
});

test('an unknown query name is answered with the nearest', () => {
  const library = QueryLibrary.open();
  for (const [typed, meant] of [
    ['cuda-api-summ', 'cuda-api-sum'],
    ['slow-memcopy', 'slow-memcpy'],
    ['what-was-losst', 'what-was-lost'],
  ] as const) {
    try {
      library.find(typed);
      expect.unreachable();
    } catch (error) {
      expect((error as IngeroError).next).toContain(`Did you mean ${meant}?`);
      expect((error as IngeroError).exitCode).toBe(EXIT.usage);
    }
  }
});
