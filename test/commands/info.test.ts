import { chmodSync, copyFileSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import type { CaptureInfo } from '../../src/query/info.js';
import { fingerprint, scratchDir } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildCli, type Cli } from '../support/cli.js';

const dir = scratchDir();
let cli: Cli;

beforeAll(async () => {
  cli = await buildCli();
});
afterAll(() => cli.remove());

const newPath = (): string => join(mkdtempSync(join(dir, 'case-')), 'run.duckdb');

test('the demo capture: who, when, where, how it ended, losses, packs, rows; and it is not changed', async () => {
  const file = newPath();
  copyFileSync(join(PACKAGE_ROOT, 'test/fixtures/demo-v1.duckdb'), file);
  const before = fingerprint(join(file, '..'));
  const { code, stdout, stderr } = await cli.run(['info', file]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain(`${file}: 4.3 MiB, schema 1\n`);
  for (const line of [
    'recorded  2026-11-24 22:42:28 to 2026-11-24 22:42:38 UTC by ingero 0.1.0',
    'host      gpu-host (Linux 6.18.44-fc-v669, x64, 2 CPUs)',
    'ended     target-exited (exit status 0)',
    'pack      cuda-runtime 1.0.0 (runtime, into cuda_events)',
    'probes    281 attached, 37 skipped',
    'calls     19,509 hits = 19,509 rows + 0 filtered + 0 sampled + 0 lost',
    'events    cuda_events: 19,509 rows',
  ]) {
    expect(stdout).toContain(`  ${line}\n`);
  }
  expect(fingerprint(join(file, '..'))).toEqual(before);
});

test('--json: one object per file, an error in the place of one that cannot be read', async () => {
  const file = newPath();
  await buildCapture(file, {
    cudaEvents: [{ op: 'cudaFree' }, { op: 'cudaFree' }],
    probeAccounting: [{ probe_id: 0, hits: 5, rows: 2, lost_ring_full: 3 }],
  });
  const { code, stdout } = await cli.run(['info', '/nonexistent', file, '--json']);
  expect(code).toBe(EXIT.badCapture);
  const { files } = JSON.parse(stdout) as { files: [{ error: { code: string } }, CaptureInfo] };
  expect(files[0].error.code).toBe('capture-missing');
  expect(files[1]).toMatchObject({
    file,
    recording: false,
    wal_bytes: null,
    schema_version: 2,
    accounting: { hits: 5, rows: 2, lost: 3, balanced: true },
    missing: [],
  });
  expect(files[1].runs).toMatchObject([{ hostname: 'testhost', end_reason: 'duration' }]);
  expect(files[1].tables).toContainEqual({ table: 'cuda_events', kind: 'events', rows: 2 });
});

test('a capture that lacks tables, or was cut off, is described as far as it goes', async () => {
  const file = newPath();
  await buildCapture(file, { capture: { end_reason: 'cut-off', ended_at: null } });
  const instance = await DuckDBInstance.create(file);
  const connection = await instance.connect();
  await connection.run('DROP TABLE packs');
  connection.closeSync();
  instance.closeSync();
  const { code, stdout } = await cli.run(['info', file]);
  expect(code).toBe(0);
  expect(stdout).toContain('to ? UTC');
  expect(stdout).toContain('ended     cut-off');
  expect(stdout).toContain('calls     not counted');
  expect(stdout).toContain('missing   packs: not a whole capture');
});

test('nothing in a capture or its name acts on the terminal', async () => {
  const evil = '\x1b]0;owned\x07\n\r';
  const file = join(mkdtempSync(join(dir, 'case-')), `a${evil}b.duckdb`);
  await buildCapture(file, {
    capture: { hostname: evil, target: evil, end_detail: evil },
    packs: [{ pack: evil }],
  });
  const { code, stdout } = await cli.run(['info', file]);
  expect(code).toBe(0);
  expect(stdout).toContain('\\x1b]0;owned\\x07\\n\\r');
  for (const control of '\x1b\x07\r') expect(stdout).not.toContain(control);
});

test('a file this user may not read, and one that is no capture', async () => {
  const file = newPath();
  await buildCapture(file);
  chmodSync(file, 0o600);
  chmodSync(dir, 0o755);
  chmodSync(join(file, '..'), 0o755);
  const denied = await cli.run(['info', file, '--json'], { uid: 65534 });
  expect(denied.code).toBe(EXIT.badCapture);
  expect(denied.stdout).toContain('capture-unreadable');
  writeFileSync(join(file, '../text'), 'hello '.repeat(5000));
  expect((await cli.run(['info', join(file, '../text')])).code).toBe(EXIT.badCapture);
});
