import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { shippedValues } from '../../packaging/code.mjs';
import { NODE_VARIABLES } from '../../src/node-environment.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { setTraps } from './support/traps.js';

const FIXTURE = join(PACKAGE_ROOT, 'test/fixtures/demo-v1.duckdb');

/** Every file below a folder, with the digest of its bytes and its mode. */
function digests(folder: string): Record<string, string> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();
  return Object.fromEntries(
    names
      .filter((name) => statSync(join(folder, name)).isFile())
      .map((name) => {
        const digest = createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex');
        return [name, `${digest} ${(statSync(join(folder, name)).mode & 0o777).toString(8)}`];
      }),
  );
}

describe('the release', () => {
  const work = mkdtempSync(join(tmpdir(), 'ingero-release-'));
  const release = join(work, 'ingero');
  const bundle = (out: string): void => {
    execFileSync(process.execPath, [join(PACKAGE_ROOT, 'packaging/bundle.mjs'), out], { stdio: 'inherit' });
  };
  const run = (args: string[], env: NodeJS.ProcessEnv = {}, bin = join(release, 'bin/ingero')) =>
    spawnSync(bin, args, { cwd: work, encoding: 'utf8', env: { ...process.env, ...env } });

  beforeAll(() => bundle(release));
  afterAll(() => rmSync(work, { recursive: true, force: true }));

  test('says its version as the source form does', () => {
    const fast = run(['--version']);
    expect(fast.stdout).toMatch(/^ingero\/\d+\.\d+\.\d+ linux-(x64|arm64) node-v\d+\.\d+\.\d+\n$/);
    // Not the first word: then oclif answers.
    expect(run(['--version', '--help']).stdout).toBe(fast.stdout);
  });

  test('lists, queries and refuses like the source form', () => {
    expect(run(['queries']).stdout).toMatch(/^cuda-api-sum /m);
    expect(run(['probes', 'list']).stdout).toMatch(/^cuda-runtime /m);
    expect(run(['migrate', FIXTURE, '--out', join(work, 'v2.duckdb')]).status).toBe(0);
    const answer = run(['run-query', 'cuda-api-sum', join(work, 'v2.duckdb'), '--format', 'json']);
    expect(answer.stderr).toBe('');
    expect(JSON.parse(answer.stdout)).toContainEqual(expect.objectContaining({ op: 'cudaMalloc' }));
    expect(run(['query', FIXTURE, "COPY (SELECT 1) TO 'x'"]).status).toBe(7);
    expect(run(['query', FIXTURE, 'SELECT 1', '--nonsense']).status).toBe(2);
    expect(run(['nonsense']).status).toBe(2);
    expect(run(['query', '--help']).stdout).toContain('$ ingero query run.duckdb');
  });

  test('works through a link, for a user without a home, wherever it lies', () => {
    const link = join(work, 'linked');
    symlinkSync(join(release, 'bin/ingero'), link);
    const { PATH } = process.env;
    const { stdout, status } = spawnSync(link, ['queries'], { cwd: '/', encoding: 'utf8', env: { PATH } });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^cuda-api-sum /m);
  });

  test('loads, writes and prints nothing the caller tells Node.js to', () => {
    const traps = setTraps(work);
    const env = { ...traps.env, NODE_DEBUG: 'module' };
    // Nothing but these: each of them is hidden.
    expect(Object.keys(env).sort()).toEqual(NODE_VARIABLES);
    expect(run(['queries'], env)).toMatchObject({ status: 0, stderr: '' });
    expect(traps.sprung()).toEqual([]);
  });

  test('machine code is as it was published', () => {
    const native = [
      'koffi',
      '@duckdb/node-bindings',
      '@duckdb/node-bindings-linux-x64',
      '@koromix/koffi-linux-x64',
    ];
    for (const name of native.filter((name) => existsSync(join(PACKAGE_ROOT, 'node_modules', name)))) {
      expect(digests(join(release, 'node_modules', name))).toEqual(
        digests(join(PACKAGE_ROOT, 'node_modules', name)),
      );
    }
    expect(readdirSync(join(release, 'node_modules')).sort()).toEqual([
      '@duckdb',
      '@koromix',
      'detect-libc',
      'koffi',
    ]);
  });

  test('every bundled package comes with its licence', () => {
    const notices = readFileSync(join(release, 'THIRD-PARTY-LICENSES.txt'), 'utf8');
    for (const name of ['@oclif/core', '@duckdb/node-api', 'ajv', 'yaml'])
      expect(`\n${notices}`).toContain(`\n${name} `);
    expect(
      notices.split(`\n${'-'.repeat(80)}\n`).filter((part) => part.trim().split('\n').length < 3),
    ).toEqual([]);
  });

  test('has the values of the YAML files that ship', () => {
    const code = readdirSync(join(release, 'lib')).map((name) =>
      readFileSync(join(release, 'lib', name), 'utf8'),
    );
    const values = shippedValues();
    for (const folder of ['probes', 'schema']) {
      for (const name of readdirSync(join(release, folder)).filter((file) => file.endsWith('.yaml'))) {
        const text = readFileSync(join(release, folder, name), 'utf8');
        const digest = createHash('sha256').update(text).digest('hex');
        expect(JSON.parse(values[digest] as string)).toEqual(parse(text));
        expect(code.filter((part) => part.includes(digest))).toHaveLength(1);
      }
    }
  });

  test('equal sources give equal bytes', () => {
    const again = join(work, 'again');
    bundle(again);
    expect(digests(again)).toEqual(digests(release));
  });

  describe.skipIf(process.getuid?.() !== 0)('traces', () => {
    test('from the kernel into a file', () => {
      execFileSync('sh', [join(PACKAGE_ROOT, 'test/workload/build.sh')]);
      const workload = join(PACKAGE_ROOT, 'build/workload/gpu-scenarios');
      const traced = run(['trace', '--out', 'run.duckdb', '--', workload, 'steady', '5']);
      expect(traced.stderr).toBe('');
      expect(traced.status).toBe(0);
      const lost = run(['run-query', 'what-was-lost', 'run.duckdb', '--format', 'json']);
      expect(JSON.parse(lost.stdout)[0]).toMatchObject({ verdict: 'complete' });
    });

    test('a program in the environment of the caller, and no process or thread of its own listens to it', () => {
      const traps = setTraps(work);
      const env: Record<string, string> = { ...traps.env, NODE_DEBUG: '/tmp/a "b" c' };
      const { stdout, stderr } = run(['trace', '--out', 'other.duckdb', '--', 'env'], env);
      expect(stderr).toBe('');
      for (const [name, value] of Object.entries(env))
        expect(`\n${stdout}`).toContain(`\n${name}=${value}\n`);
      expect(stdout).not.toContain('INGERO_KEPT');
      expect(traps.sprung()).toEqual([]);
    });
  });
});
