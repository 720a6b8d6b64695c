import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MACROS } from '../../src/capture/macros.js';
import { EXIT } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { scratchDir, sha256 } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildCli, type Cli, type RunOptions } from '../support/cli.js';

const dir = scratchDir();
const path = join(dir, 'run.duckdb');
let cli: Cli;

beforeAll(async () => {
  cli = await buildCli();
  await buildCapture(path, {
    cudaEvents: [
      { op: 'cudaMemcpy', kind: 'h2d', bytes: 4 << 20, duration_ns: 1_234_567, stream: 0x7f00_0000_1000 },
      { op: 'cudaMalloc', bytes: 100, ptr: '18446744073709551615' },
      { op: 'evil\u001b[2J', bytes: null },
    ],
  });
});
afterAll(() => cli.remove());

const run = (args: readonly string[], options?: RunOptions) => cli.run(args, options);

describe('ingero query', () => {
  test('prints a table, and nothing but the table', async () => {
    expect(await run(['query', path, 'SELECT op, bytes FROM cuda_events ORDER BY call_id LIMIT 2'])).toEqual({
      code: 0,
      stdout: 'op            bytes\n──────────  ───────\ncudaMemcpy  4194304\ncudaMalloc      100\n',
      stderr: '',
    });
  });

  test('the query of the README runs as written', async () => {
    const seed = 'SELECT * FROM cuda_events WHERE duration_ns > 1000000 LIMIT 20';
    const { code, stdout } = await run(['query', path, seed, '--format', 'json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject([
      { op: 'cudaMemcpy', kind: 'h2d', bytes: 4194304, duration_ns: 1234567 },
    ]);
  });

  test('reads SQL from standard input, asked with - or by giving none', async () => {
    for (const args of [
      ['query', path, '-'],
      ['query', path],
    ]) {
      const { stdout } = await run([...args, '-f', 'csv'], {
        stdin: 'SELECT count(*) AS n\nFROM cuda_events;\n',
      });
      expect(stdout).toBe('n\r\n3\r\n');
    }
  });

  test('--json has one shape: columns, rows, row_count, truncated', async () => {
    const { code, stdout } = await run([
      'query',
      path,
      'SELECT op, ptr FROM cuda_events ORDER BY call_id',
      '--json',
      '--max-rows',
      '2',
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      columns: [
        { name: 'op', type: 'ENUM' },
        { name: 'ptr', type: 'UBIGINT' },
      ],
      rows: [
        { op: 'cudaMemcpy', ptr: null },
        { op: 'cudaMalloc', ptr: '18446744073709551615' },
      ],
      row_count: 2,
      truncated: true,
    });
  });

  test('escape sequences of traced programs do not reach the terminal', async () => {
    for (const format of ['table', 'markdown', 'json', 'jsonl']) {
      const { stdout } = await run(['query', path, 'SELECT op FROM cuda_events', '-f', format]);
      expect(stdout).toContain('evil');
      expect(stdout).not.toContain('\u001b');
    }
  });

  test('--max-rows says that there is more', async () => {
    const { stdout, stderr } = await run(['query', path, 'SELECT op FROM cuda_events', '--max-rows', '1']);
    expect(stdout.trimEnd().split('\n').length).toBe(3);
    expect(stderr).toBe('Stopped after 1 rows (--max-rows); there are more.\n');
  });

  test('--output writes a new private file and does not overwrite', async () => {
    const output = join(dir, 'out.parquet');
    const first = await run(['query', path, 'FROM cuda_events', '-f', 'parquet', '-o', output]);
    expect(first).toEqual({ code: 0, stdout: '', stderr: `3 rows written to ${output}.\n` });
    expect(statSync(output).mode & 0o777).toBe(0o600);
    expect(readFileSync(output).toString('latin1', 0, 4)).toBe('PAR1');
    const again = await run(['query', path, 'FROM cuda_events', '-f', 'parquet', '-o', output]);
    expect(again.code).toBe(EXIT.output);
    expect(again.stderr).toContain('exists already');
  });

  test.each([
    ['a SQL error', ['query', path, 'SELECT nope FROM cuda_events'], EXIT.sql, 'sql-error'],
    ['a refused statement', ['query', path, 'DROP TABLE capture'], EXIT.sql, 'sql-refused'],
    ['a missing file', ['query', join(dir, 'none.duckdb'), 'SELECT 1'], EXIT.badCapture, 'capture-missing'],
    [
      'no time',
      ['query', path, 'SELECT count(*) FROM range(9000000000) r(a) WHERE hash(a) = 1', '--timeout', '200ms'],
      EXIT.interrupted,
      'query-timeout',
    ],
    [
      'no memory',
      ['query', path, 'SELECT * FROM range(50000000) r(a) ORDER BY hash(a)', '--memory-limit', '60MB'],
      EXIT.sql,
      'sql-out-of-memory',
    ],
  ])('%s: exit code, message, and the same as JSON', async (_, args, code, name) => {
    const plain = await run(args);
    expect(plain.code).toBe(code);
    expect(plain.stdout).toBe('');
    expect(plain.stderr).toMatch(/^Error: /);
    const json = await run([...args, '--json']);
    expect(json.code).toBe(code);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: name } });
  });

  test.each([
    ['an unknown format', ['--format', 'xml']],
    ['a wrong duration', ['--timeout', 'soon']],
    ['a duration without a unit', ['--timeout', '30']],
    ['a duration no timer can be', ['--timeout', '1000h']],
    ['a wrong size', ['--memory-limit', 'much']],
    ['a negative number of rows', ['--max-rows', '-1']],
    ['parquet to standard output', ['--format', 'parquet']],
  ])('%s is a usage error', async (_, flags) => {
    expect((await run(['query', path, 'SELECT 1', ...flags])).code).toBe(EXIT.usage);
  });

  test.each([['0'], ['1h30m']])('--timeout %s lets a short query end', async (timeout) => {
    expect(await run(['query', path, 'SELECT 1 AS one', '-f', 'csv', '--timeout', timeout])).toMatchObject({
      code: EXIT.ok,
      stdout: 'one\r\n1\r\n',
    });
  });

  test('a reader that stops early is no error', async () => {
    const { code, stderr } = await new Promise<{ code: string; stderr: string }>((done) => {
      const command = `"$0" "$1" query "$2" "SELECT * FROM range(3000000)" -f csv | head -1; echo "code \${PIPESTATUS[0]}"`;
      const child = spawn('bash', ['-c', command, process.execPath, cli.bin, path]);
      let stdout = '';
      let stderr = '';
      child.stdout.on('data', (data) => {
        stdout += data;
      });
      child.stderr.on('data', (data) => {
        stderr += data;
      });
      child.on('close', () => done({ code: stdout.trimEnd().split('\n').at(-1) ?? '', stderr }));
    });
    expect(code).toBe('code 0');
    expect(stderr).toBe('');
  });

  test('Ctrl-C stops a query with the documented exit code', async () => {
    const slow = 'SELECT count(*) FROM range(9000000000) r(a) WHERE hash(a) = 1';
    const child = spawn(process.execPath, [cli.bin, 'query', path, slow]);
    let stderr = '';
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    // The signal is for a query that runs: the capture is open by then.
    const isOpen = (): boolean =>
      readdirSync(`/proc/${child.pid}/fd`).some((fd) => {
        try {
          return readlinkSync(`/proc/${child.pid}/fd/${fd}`) === path;
        } catch {
          return false;
        }
      });
    while (!isOpen()) await sleep(50);
    await sleep(500);
    child.kill('SIGINT');
    const code = await new Promise((done) => child.on('close', done));
    expect(stderr).toContain('interrupted');
    expect(code).toBe(EXIT.interrupted);
  });

  test('another user cannot read a private capture, and is told why', async () => {
    if (process.getuid?.() !== 0) return;
    chmodSync(dir, 0o755);
    chmodSync(path, 0o600);
    const { code, stderr } = await run(['query', path, 'SELECT 1'], { uid: 65534 });
    expect(code).toBe(EXIT.badCapture);
    expect(stderr).toContain('cannot be read by this user');
  });

  test('none of all this changed the capture or left a file beside it', async () => {
    const before = sha256(path);
    await run(['query', path, 'SELECT 1']);
    expect(sha256(path)).toBe(before);
    expect(existsSync(`${path}.wal`)).toBe(false);
  });
});

describe('ingero run-query', () => {
  test('tables show readable units, the other formats raw values', async () => {
    const { stdout } = await run(['run-query', 'slow-memcpy', path]);
    expect(stdout).toContain('1.23 ms');
    expect(stdout).toContain('4.0 MiB');
    expect(stdout).toContain('0x7f0000001000');
    const json = await run(['run-query', 'slow-memcpy', path, '-f', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject([
      { bytes: 4194304, duration_ns: 1234567, gb_per_s: 3.397 },
    ]);
  });

  test('--json carries units and descriptions', async () => {
    const { stdout } = await run(['run-query', 'slow-memcpy', path, '--json']);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ row_count: 1, truncated: false });
    expect(result.columns).toContainEqual({
      name: 'duration_ns',
      type: 'BIGINT',
      unit: 'ns',
      description: 'Time in the call',
    });
  });

  test('parameters, before or after the names', async () => {
    for (const args of [
      ['run-query', 'slow-memcpy', path, '--param', 'min_ms=2', '-p', 'limit=1'],
      ['run-query', '--param', 'min_ms=2', 'slow-memcpy', path],
    ]) {
      expect(JSON.parse((await run([...args, '-f', 'json'])).stdout)).toEqual([]);
    }
    const wrong = await run(['run-query', 'slow-memcpy', path, '-p', 'min=2']);
    expect(wrong.code).toBe(EXIT.sql);
    expect(wrong.stderr).toContain('Parameters of slow-memcpy: min_ms, limit.');
  });

  test('an unknown name', async () => {
    const { code, stderr } = await run(['run-query', 'slow-memcopy', path]);
    expect(code).toBe(EXIT.usage);
    expect(stderr).toContain('Did you mean slow-memcpy?');
  });
});

describe('ingero queries', () => {
  test('lists names and titles', async () => {
    const { code, stdout } = await run(['queries']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^cuda-api-sum {2,}CUDA API summary$/m);
    const json = JSON.parse((await run(['queries', '--json'])).stdout);
    expect(json.queries).toContainEqual(expect.objectContaining({ name: 'cuda-api-sum', fidelity: 'exact' }));
  });

  test('shows documentation and SQL', async () => {
    const { stdout } = await run(['queries', 'show', 'cuda-api-sum']);
    expect(stdout).toContain('# cuda-api-sum');
    expect(stdout).toContain('FROM cuda_events');
    const json = JSON.parse((await run(['queries', 'show', 'cuda-api-sum', '--json'])).stdout);
    expect(json).toMatchObject({ name: 'cuda-api-sum', params: [{ name: 'pid', type: 'INTEGER' }] });
    expect((await run(['queries', 'show', 'cuda-api'])).code).toBe(EXIT.usage);
  });
});

describe('statements and parameters', () => {
  test('several statements give several results', async () => {
    const sql = 'SELECT 1 AS a; SELECT op FROM cuda_events ORDER BY call_id LIMIT 1;';
    expect((await run(['query', path, sql])).stdout).toBe('a\n─\n1\n\nop\n──────────\ncudaMemcpy\n');
    const { stdout } = await run(['query', path, '-', '--json'], { stdin: sql });
    expect(JSON.parse(stdout)).toMatchObject({
      results: [{ rows: [{ a: 1 }] }, { rows: [{ op: 'cudaMemcpy' }] }],
    });
  });

  test('the first error ends a script, and says where', async () => {
    const { code, stdout, stderr } = await run(['query', path, 'SELECT 1 AS a;\nSELECT nope;\nSELECT 2']);
    expect(code).toBe(EXIT.sql);
    expect(stdout).toBe('a\n─\n1\n');
    expect(stderr).toContain('line 2');
  });

  test('several results have no room in one file', async () => {
    const { code, stderr } = await run(['query', path, 'SELECT 1; SELECT 2', '-o', join(dir, 'two.csv')]);
    expect(code).toBe(EXIT.usage);
    expect(stderr).toContain('2 statements have 2 results');
    expect(existsSync(join(dir, 'two.csv'))).toBe(false);
  });

  test('parameters are bound: numbers as numbers, all else as text', async () => {
    const sql =
      'SELECT $n + 1 AS n, $x * 2 AS x, $flag AS flag, $none AS none, $text AS text, $quoted AS quoted';
    const values = ['n=41', 'x=1.5', 'flag=true', 'none=null', "text=it's; DROP", "quoted='5'"];
    const { stdout } = await run([
      'query',
      path,
      sql,
      '-f',
      'jsonl',
      ...values.flatMap((value) => ['-p', value]),
    ]);
    expect(JSON.parse(stdout)).toEqual({
      n: 42,
      x: 3,
      flag: true,
      none: null,
      text: "it's; DROP",
      quoted: '5',
    });
  });

  test.each([
    [['SELECT $a'], 'The parameter $a has no value'],
    [['SELECT 1', '-p', 'a'], '--param a has no value'],
    [['SELECT $a', '-p', 'a=1', '-p', 'a=2'], '--param a is given twice'],
  ])('%j is refused', async (args, message) => {
    const { code, stderr } = await run(['query', path, ...args]);
    expect(code).toBe(EXIT.sql);
    expect(stderr).toContain(message);
  });
});

describe('macros', () => {
  const SQL = `SELECT us(1500) AS us, ms(2e6) AS ms, sec(3e9) AS sec, kib(2048) AS kib, mib(3145728) AS mib, gib(1073741824) AS gib,
    gb_per_s(4e9, 1e9) AS rate, gb_per_s(1, 0) AS none, round(since_start(started_at + INTERVAL 2 SECOND), 3) AS at_s,
    between_s(started_at + INTERVAL 2 SECOND, 1, 2.5) AS inside, between_s(started_at, 1, 2) AS outside FROM capture`;
  const EXPECTED = {
    us: 1.5,
    ms: 2,
    sec: 3,
    kib: 2,
    mib: 3,
    gib: 1,
    rate: 4,
    none: null,
    at_s: 2,
    inside: true,
    outside: false,
  };

  test.each([
    ['a capture of this version', () => path],
    ['one of schema version 1', () => join(PACKAGE_ROOT, 'test', 'fixtures', 'demo-v1.duckdb')],
  ])('convert units and say when, in %s', async (_, file) => {
    const { stdout, stderr } = await run(['query', file(), SQL, '-f', 'jsonl']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual(EXPECTED);
  });

  test('the capture carries them, for any DuckDB', async () => {
    const instance = await DuckDBInstance.create(path, { access_mode: 'READ_ONLY' });
    const connection = await instance.connect();
    const { kib, at_s } = (await connection.runAndReadAll(SQL)).getRowObjectsJson()[0] ?? {};
    expect({ kib, at_s }).toEqual({ kib: 2, at_s: 2 });
    connection.closeSync();
    instance.closeSync();
  });

  describe('call_site says where a call was made', () => {
    const traced = join(dir, 'stacks.duckdb');
    const stack = { depth: 1, run_id: 1 };
    beforeAll(() =>
      buildCapture(traced, {
        processes: [{ pid: 100 }],
        threads: [
          { tid: 100, pid: 100, name: 'main' },
          { tid: 101, pid: 100, name: 'helper' },
        ],
        cudaEvents: [
          { op: 'cudaMalloc', tid: 100, stack_id: 1 },
          { op: 'cudaMalloc', tid: 101, stack_id: 2 },
          { op: 'cudaMalloc', tid: 101 },
          { op: 'cudaMalloc', tid: 102 },
        ],
        tables: {
          stacks: [
            { ...stack, stack_id: 1 },
            { ...stack, stack_id: 2 },
          ],
          frames: [
            { stack_id: 1, position: 0, kind: 'native', address: 1, module: '/opt/train', function: 'step' },
            { stack_id: 2, position: 0, kind: 'native', address: 2, module: '/usr/lib/libcudart.so.12' },
          ],
        },
      }),
    );
    const sites = [{ site: 'step' }, { site: 'thread helper' }, { site: 'thread helper' }, { site: null }];

    // A macro is pasted in: none of these names may be taken for one of the tables it reads.
    test.each([['events'], ['s'], ['t'], ['c'], ['call_sites'], ['threads']])(
      'asked of %s, with and without its name',
      async (alias) => {
        for (const of of ['', `${alias}.`]) {
          const sql = `SELECT call_site(${of}stack_id, ${of}process_id, ${of}tid) AS site FROM events AS ${alias} ORDER BY call_id`;
          const { stdout, stderr } = await run(['query', traced, sql, '-f', 'json']);
          expect(stderr).toBe('');
          expect(JSON.parse(stdout)).toEqual(sites);
        }
      },
    );

    test('of several captures opened as one, and by any DuckDB', async () => {
      const sql = 'SELECT call_site(stack_id, process_id, tid) AS site FROM events ORDER BY run_id, call_id';
      const second = join(dir, 'second.duckdb');
      await buildCapture(second, {
        capture: { capture_id: '00000000-0000-4000-8000-000000000002' },
        processes: [{ pid: 100 }],
        threads: [{ tid: 100, pid: 100, name: 'other' }],
        cudaEvents: [{ op: 'cudaMalloc', tid: 100 }],
      });
      const { stdout } = await run(['query', traced, second, sql, '-f', 'json']);
      expect(JSON.parse(stdout)).toEqual([...sites, { site: 'thread other' }]);
      const instance = await DuckDBInstance.create(traced, { access_mode: 'READ_ONLY' });
      const connection = await instance.connect();
      expect((await connection.runAndReadAll(sql)).getRowObjectsJson()).toEqual(sites);
      connection.closeSync();
      instance.closeSync();
    });
  });

  test('docs/query.md lists them', () => {
    const text = readFileSync(join(PACKAGE_ROOT, 'docs', 'query.md'), 'utf8');
    for (const { signature, description } of MACROS)
      expect(text).toContain(`| \`${signature}\` | ${description} |`);
  });
});
