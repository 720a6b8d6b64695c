import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { available } from '../packs/support/tools.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildModules, type Cli } from '../support/cli.js';
import { ATTACKS, attacks } from './attacks.js';
import { fingerprint, scratchDir } from './helpers.js';

const dir = join(scratchDir(), 'jail');
const tmp = join(dir, 'tmp');
const path = join(dir, 'run.duckdb');
let cli: Cli;

beforeAll(async () => {
  mkdirSync(tmp, { recursive: true });
  await buildCapture(path, { cudaEvents: [{ op: 'cudaMalloc', bytes: 1 }] });
  cli = await buildModules();
});
afterAll(() => cli.remove());

/** Runs a statement under tight limits and tells its exit code, and the most memory and time it took. */
function runBounded(sql: string, flags: readonly string[]) {
  const limits = ['--memory-limit', '100MB', '--timeout', '300ms'];
  const started = performance.now();
  const child = spawn(process.execPath, [cli.bin, 'query', path, sql, ...limits, ...flags], {
    env: { ...process.env, TMPDIR: tmp },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let mib = 0;
  const poll = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      mib = Math.max(mib, Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
    } catch {
      // It has ended.
    }
  }, 20);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  return new Promise<{ code: number | null; mib: number; seconds: number; said: string }>((done) => {
    child.once('close', (code) => {
      clearInterval(poll);
      done({ code, mib, seconds: (performance.now() - started) / 1000, said });
    });
  });
}

describe('bounded in memory, time and disk', () => {
  const list = ATTACKS.filter(({ outcome }) => outcome === 'bounded').flatMap(({ statements, spill }) =>
    statements.map((sql) => [sql, spill === undefined ? [] : ['--spill', spill]] as const),
  );
  test.concurrent.each(list)('%s', async (sql, flags) => {
    const { code, mib, seconds, said } = await runBounded(sql, flags);
    expect([7, 130], said).toContain(code);
    expect(said).toMatch(/needs more memory|ran longer|disk space/);
    expect(mib).toBeLessThan(900);
    expect(seconds).toBeLessThan(20);
  });

  test('nothing is left in the temporary directory', () => expect(readdirSync(tmp)).toEqual([]));
});

test.each(attacks('truncated', path, dir, tmp))('stops after --max-rows: %s', async (sql) => {
  const { code, stdout } = await cli.run(['query', path, sql, '--json']);
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ row_count: 100_000, truncated: true });
});

describe.skipIf(!available('strace', '-V'))('under strace', () => {
  /** Files a statement may open besides the capture: Node's, DuckDB's own and the kernel's description of the host. */
  const OWN =
    /^\/(?:proc\/self\/|sys\/(?:devices\/system\/cpu|fs\/cgroup)|etc\/localtime|usr\/share\/zoneinfo)/;

  test.each([[''], ['10MB']])(
    'no attack opens, makes or removes a file elsewhere (--spill %j)',
    async (spill) => {
      const driver = join(cli.bin, '..', '..', 'dist', 'attack-driver.mjs');
      await build({
        entryPoints: [join(PACKAGE_ROOT, 'test', 'query', 'attack-driver.ts')],
        outfile: driver,
        bundle: true,
        packages: 'external',
        format: 'esm',
        platform: 'node',
        target: 'node20',
      });
      const before = fingerprint(dir);
      const statements = [...attacks('refused', path, dir, tmp), ...attacks('nothing', path, dir, tmp)];
      const { stderr } = spawnSync(
        'strace',
        [
          '-f',
          '-qq',
          '-e',
          'trace=/^(open|creat|mkdir|rmdir|unlink|rename|link|symlink|truncate|chmod|mknod|exec|socket|connect)',
          process.execPath,
          driver,
          path,
          spill,
          JSON.stringify(statements),
        ],
        { encoding: 'utf8', env: { ...process.env, TMPDIR: tmp }, maxBuffer: 1 << 28 },
      );
      const lines = stderr.split('\n');
      const opened = lines.findIndex((line) => line.includes(`"${path}", O_RDONLY`));
      expect(opened, stderr.slice(-2000)).toBeGreaterThan(0);
      const touched = lines
        .slice(opened)
        .filter((line) => /^(?:\[pid +\d+\] )?\w+\(/.test(line) && !line.includes('EINVAL'))
        .map((line) => /"([^"]*)"/.exec(line)?.[1] ?? line)
        .filter((name) => !name.startsWith(dir) && !OWN.test(name));
      expect([...new Set(touched)]).toEqual([]);
      expect(fingerprint(dir)).toEqual(before);
      expect(readdirSync(tmp)).toEqual([]);
    },
  );
});
