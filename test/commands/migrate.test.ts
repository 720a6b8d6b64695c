import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { EXIT } from '../../src/errors.js';
import { fingerprint, scratchDir, sha256, sql } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildCli, type Cli } from '../support/cli.js';
import { buildLargeCapture } from '../support/large-capture.js';

const dir = scratchDir();
const large = join(dir, 'large.duckdb');
const v1 = readCaptureSchema(1);
let cli: Cli;

beforeAll(async () => {
  cli = await buildCli();
  await buildLargeCapture(large, 400_000, v1);
});
afterAll(() => cli.remove());

function folder(): string {
  return mkdtempSync(join(dir, 'case-'));
}

/** Starts a migration and sends a signal after a while. Resolves to the exit code, null when the signal ended it. */
function interrupted(args: readonly string[], signal: NodeJS.Signals, ms: number): Promise<number | null> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [cli.bin, 'migrate', ...args], { stdio: 'ignore' });
    setTimeout(() => child.kill(signal), ms);
    child.on('close', (code) => done(code));
  });
}

test('says what it did; --json says it as data', async () => {
  const at = folder();
  const file = join(at, 'old-capture');
  await buildCapture(file, { cudaEvents: [{ op: 'cudaFree' }] }, v1);
  const { code, stdout, stderr } = await cli.run(['migrate', file]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(
    /old-capture: schema 1 to 2, 1 event, .* s\n.* 11 tables verified: row counts and checksums equal/,
  );
  expect(stdout).toContain(`written to ${file}.v2.duckdb; the original is unchanged`);
  const again = await cli.run(['migrate', `${file}.v2`, '--json']);
  expect(JSON.parse(again.stdout)).toMatchObject({ files: [{ state: 'current', to_schema: 2 }] });
});

test('a directory: what can be migrated is, and the exit code tells that something could not', async () => {
  const at = folder();
  await buildCapture(join(at, 'a.duckdb'), {}, v1);
  await buildCapture(join(at, 'b.duckdb'), { capture: { schema_version: 99, ingero_version: '9.9.9' } }, v1);
  await buildCapture(join(at, 'c.duckdb'), {}, v1);
  const { code, stdout } = await cli.run(['migrate', at, '--json']);
  expect(code).toBe(EXIT.badCapture);
  const { files } = JSON.parse(stdout) as { files: { state?: string; error?: { code: string } }[] };
  expect(files.map(({ state, error }) => state ?? error?.code)).toEqual([
    'migrated',
    'capture-newer',
    'migrated',
  ]);
});

test('a hostile file name is shown, not interpreted', async () => {
  const file = join(folder(), 'a\x1b[2J\n.duckdb');
  await buildCapture(file, {}, v1);
  const { code, stdout } = await cli.run(['migrate', file]);
  expect(code).toBe(0);
  expect(stdout).toContain('a\\x1b[2J\\n.duckdb');
  expect(stdout).not.toContain('\x1b');
  const gone = await cli.run(['migrate', '/nowhere/\x1b[2J']);
  expect(gone.code).toBe(EXIT.badCapture);
  expect(gone.stderr).not.toContain('\x1b');
});

test.each(['SIGINT', 'SIGTERM'] as const)(
  '%s at any time leaves the original and nothing else',
  async (signal) => {
    const at = folder();
    const file = join(at, 'run.duckdb');
    copyFileSync(large, file);
    const before = fingerprint(at);
    for (const ms of [250, 400, 550]) {
      const code = await interrupted([file], signal, ms);
      expect([0, null, EXIT.interrupted]).toContain(code);
      if (code === 0) break;
      expect(fingerprint(at)).toEqual(before);
    }
  },
);

test('killed at any time: the original is whole, and no file has the final name unless it is complete', async () => {
  for (const ms of [200, 300, 400, 500, 600, 700]) {
    const at = folder();
    const file = join(at, 'run.duckdb');
    copyFileSync(large, file);
    await interrupted([file], 'SIGKILL', ms);
    expect(sha256(file)).toBe(sha256(large));
    for (const name of readdirSync(at)) {
      if (name === 'run.v2.duckdb') {
        expect((await sql(join(at, name), 'SELECT count(*) AS n FROM events')).rows).toEqual([
          { n: 400_004 },
        ]);
      } else if (name !== 'run.duckdb') expect(name).toMatch(/^\.run\.v2\.duckdb\.\d+\.partial(\.wal)?$/);
    }
    // A later run is not in the way of what the killed one left.
    if (ms === 400) expect((await cli.run(['migrate', file])).code).toBeOneOf([0, EXIT.output]);
  }
});

test('killed in place: the file is the old one or the new one, whole', async () => {
  for (const ms of [450, 600, 750]) {
    const file = join(folder(), 'run.duckdb');
    copyFileSync(large, file);
    await interrupted([file, '--in-place'], 'SIGKILL', ms);
    if (sha256(file) === sha256(large)) continue;
    expect((await sql(file, 'SELECT schema_version FROM capture')).rows).toEqual([{ schema_version: 2 }]);
    expect((await sql(file, 'SELECT count(*) AS n FROM events')).rows).toEqual([{ n: 400_004 }]);
  }
});

/** A file system of `bytes` for the time of `use`. */
async function onSmallDisk(bytes: number, use: (at: string) => Promise<void>): Promise<void> {
  const at = folder();
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${Math.ceil(bytes / 4096) * 4096}`, 'none', at]);
  try {
    await use(at);
  } finally {
    execFileSync('umount', [at]);
  }
}

test('a disk without room for the new file is refused before', async () => {
  await onSmallDisk(statSync(large).size - 4096, async (at) => {
    const { code, stderr } = await cli.run(['migrate', large, '--out', join(at, 'new.duckdb')]);
    expect(code).toBe(EXIT.output);
    expect(stderr).toContain('There is too little free space');
    expect(readdirSync(at)).toEqual([]);
  });
});

test('a disk that is full on the way: nothing is left of the new file', async () => {
  await onSmallDisk(2 * statSync(large).size, async (at) => {
    const running = cli.run(['migrate', large, '--out', join(at, 'new.duckdb')]);
    let isDone = false;
    void running.finally(() => {
      isDone = true;
    });
    // As if somebody else had taken the rest, once the new file has begun.
    while (!isDone && !shrink(at)) await sleep(2);
    const { code, stderr } = await running;
    expect(code).toBe(EXIT.output);
    expect(stderr).toContain('There is no space left');
    expect(readdirSync(at)).toEqual([]);
  });
});

/** Makes a file system end where it is used to, if it is used at all and does not grow at this moment. */
function shrink(at: string): boolean {
  const { blocks, bfree, bsize } = statfsSync(at);
  const used = (blocks - bfree) * bsize;
  if (used < 12_288) return false;
  try {
    execFileSync('mount', ['-o', `remount,size=${used + 4096}`, at], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
