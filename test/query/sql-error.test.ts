import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { buildCapture } from '../support/capture-builder.js';
import { failure, scratchDir, sql, withCapture } from './helpers.js';

const path = join(scratchDir(), 'run.duckdb');
beforeAll(() => buildCapture(path, { cudaEvents: [{ op: 'evil\u001b[31m', bytes: 1 }] }));

async function error(text: string) {
  const found = await failure(sql(path, text));
  expect(found.exitCode).toBe(EXIT.sql);
  return found;
}

describe('a SQL error names the place, shows it, and passes on the hint', () => {
  test('an unknown column on the second line', async () => {
    const { message, next } = await error('SELECT op,\n  bytss FROM cuda_events');
    expect(message).toBe(
      [
        'Binder error at line 2, column 3: Referenced column "bytss" not found in FROM clause!',
        '  2 |   bytss FROM cuda_events',
        '    |   ^',
      ].join('\n'),
    );
    expect(next).toContain('"bytes"');
  });

  test('an unknown table, with the nearest name', async () => {
    const { message, next } = await error('SELECT * FROM cuda_event');
    expect(message).toMatch(
      /^Catalog error at line 1, column 15: Table with name cuda_event does not exist!/,
    );
    expect(next).toBe('Did you mean "cuda_events"?');
  });

  test('a syntax error, and one at the very end', async () => {
    expect((await error('SELEC 1')).message).toMatch(
      /^Parser error at line 1, column 1: .*\n {2}1 \| SELEC 1\n {4}\| \^$/,
    );
    expect((await error('SELECT 1 +')).message).toContain('line 1, column 11');
  });

  test('columns are characters, not bytes', async () => {
    const { message } = await error("SELECT 'é€😀', nope FROM cuda_events");
    expect(message).toContain('line 1, column 16');
    expect(message.split('\n')[2]?.indexOf('^')).toBe(message.split('\n')[1]?.indexOf('nope'));
  });

  test('a long line is cut around the place', async () => {
    const { message } = await error(
      `SELECT '${'x'.repeat(300)}', nope, '${'y'.repeat(300)}' FROM cuda_events`,
    );
    const [, line = '', caret = ''] = message.split('\n');
    expect(line.length).toBeLessThan(120);
    expect(line.slice(caret.indexOf('^'))).toMatch(/^nope/);
  });

  test('text from the capture in a message cannot reach the terminal raw', async () => {
    const { message } = await error('SELECT op::VARCHAR::INTEGER FROM cuda_events');
    expect(message).toContain('evil\\x1b[31m');
    expect(message).not.toContain('\u001b');
  });

  test('a parameter without a value', async () => {
    expect((await error('SELECT * FROM cuda_events WHERE bytes > $x')).message).toContain('parameter');
  });
});

test('a query that needs too much memory says which flag raises it', async () => {
  const found = await failure(
    sql(path, 'SELECT * FROM range(50_000_000) r(a) ORDER BY hash(a)', { memoryLimit: '60MB' }),
  );
  expect(found).toMatchObject({ code: 'sql-out-of-memory', exitCode: EXIT.sql });
  expect(found.next).toContain('--memory-limit');
});

test('a query that runs too long is stopped, and the connection is not left behind', async () => {
  const started = performance.now();
  const slow = 'SELECT count(*) FROM range(3_000_000_000) a(x) WHERE hash(x) % 7 = 3';
  const found = await failure(sql(path, slow, { timeoutMs: 200 }));
  expect(found).toMatchObject({ code: 'query-timeout', exitCode: EXIT.interrupted });
  expect(performance.now() - started).toBeLessThan(5000);
  expect(process.listenerCount('SIGINT')).toBe(0);
});

const ENDLESS = 'SELECT count(*) FROM range(3_000_000_000) a(x) WHERE hash(x) % 7 = 3';

test('SIGINT interrupts a running query', async () => {
  const timer = setInterval(() => {
    if (process.listenerCount('SIGINT') > 0) process.emit('SIGINT');
  }, 100);
  const found = await failure(sql(path, ENDLESS));
  clearInterval(timer);
  expect(found).toMatchObject({ code: 'query-interrupted', exitCode: EXIT.interrupted });
});

test('an interrupt that comes before DuckDB has begun the query is not lost', async () => {
  const found = await failure(
    withCapture(path, (capture, budget) =>
      budget.run(async () => {
        budget.interrupt();
        return capture.connection.run(ENDLESS);
      }),
    ),
  );
  expect(found).toMatchObject({ code: 'query-interrupted', exitCode: EXIT.interrupted });
});
