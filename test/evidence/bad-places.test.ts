import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { redactCapture } from '../../src/evidence/redact.js';
import { makeSeal } from '../../src/evidence/seal.js';
import { exportCapture } from '../../src/export/export.js';
import { mergeCaptures } from '../../src/merge/merge.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { failure, scratchDir } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';

/** Places that cannot take the output, and inputs that somebody holds: the same for every command that writes files. */
const dir = scratchDir();
const small = join(dir, 'small');
const big = join(dir, 'big.duckdb');
const other = join(dir, 'other.duckdb');

const OPERATIONS: readonly [string, (out: string) => Promise<unknown>][] = [
  ['merge', (out) => mergeCaptures([big, other], join(out, 'new.duckdb'), 'test')],
  [
    'redact',
    (out) => redactCapture(big, join(out, 'new.duckdb'), { drop: [], hash: [], keep: [] }, undefined, 'test'),
  ],
  ['export', (out) => exportCapture(big, out, 'test', false)],
];

beforeAll(async () => {
  mkdirSync(small);
  await buildCapture(other, { capture: { capture_id: '00000000-0000-4000-8000-000000000002' } });
  await buildCapture(big, { cudaEvents: [{ op: 'x' }] });
  const instance = await DuckDBInstance.create(big);
  const connection = await instance.connect();
  await connection.run(
    `INSERT INTO store.cuda_events (start_time, duration_ns, tid, call_id, bytes, args_id)
     SELECT make_timestamp_ns((hash(i) % 1000000000000)::BIGINT), (hash(i + 1) % 1000000000)::BIGINT, 1, i + 10, hash(i + 2), 0
     FROM range(600000) t(i)`,
  );
  connection.closeSync();
  instance.closeSync();
});

describe.each(OPERATIONS)('%s', (_, run) => {
  test('on a full disk: said so, and nothing is left', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'none', small]);
    try {
      expect(await failure(run(small))).toMatchObject({ code: 'output-space', exitCode: EXIT.output });
      expect(readdirSync(small)).toEqual([]);
    } finally {
      execFileSync('umount', [small]);
    }
  });

  test('on a read-only file system', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro,size=3m', 'none', small]);
    try {
      expect(await failure(run(small))).toMatchObject({ code: 'output-unwritable', exitCode: EXIT.output });
    } finally {
      execFileSync('umount', [small]);
    }
  });
});

describe('a capture another process holds', () => {
  const held = join(dir, 'held.duckdb');
  let holder: ReturnType<typeof spawn>;
  beforeAll(async () => {
    copyFileSync(other, held);
    const script = `require('@duckdb/node-api').DuckDBInstance.create(${JSON.stringify(held)}).then((i) => i.connect()).then(() => { console.log('held'); setInterval(() => {}, 1000); })`;
    holder = spawn(process.execPath, ['-e', script], { cwd: PACKAGE_ROOT });
    await new Promise((done) => holder.stdout?.once('data', done));
  });
  afterAll(() => {
    holder.kill('SIGKILL');
  });

  test.each([
    ['seal', () => makeSeal(held, 'test')],
    ['merge', () => mergeCaptures([big, held], join(dir, 'new.duckdb'), 'test')],
    [
      'redact',
      () => redactCapture(held, join(dir, 'new.duckdb'), { drop: [], hash: [], keep: [] }, undefined, 'test'),
    ],
    ['export', () => exportCapture(held, join(dir, 'lake'), 'test', false)],
  ] as const)('%s names who', async (_, run) => {
    const error = await failure(run());
    expect(error).toMatchObject({ code: 'capture-busy', exitCode: EXIT.badCapture });
    expect(error.message).toContain(String(holder.pid));
    expect(readdirSync(dir).filter((name) => name.startsWith('.') || name === 'new.duckdb')).toEqual([]);
  });
});
