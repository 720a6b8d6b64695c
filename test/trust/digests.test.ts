import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Interfaces } from '@oclif/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { scratchDir } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildCli, type Cli } from '../support/cli.js';
import { makeKeys } from '../support/keys.js';

const dir = scratchDir();
const WATCH = join(PACKAGE_ROOT, 'test/support/only-sha2.mjs');
const WEAK = /['"`](?:rsa-)?(?:md4|md5|sha-?1|ripemd160)['"`]|\bmd5\s*\(|\bsha1\s*\(/i;
const manifest = JSON.parse(
  readFileSync(join(PACKAGE_ROOT, 'oclif.manifest.json'), 'utf8'),
) as Interfaces.Manifest;

test('no source, query or pack asks for MD5 or SHA-1', () => {
  const files = ['src', 'queries', 'probes', 'bin', 'packaging'].flatMap((folder) =>
    readdirSync(join(PACKAGE_ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.(ts|js|mjs|sql|yaml|sh)$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name)),
  );
  expect(files.length).toBeGreaterThan(100);
  expect(files.filter((file) => WEAK.test(readFileSync(file, 'utf8')))).toEqual([]);
});

describe('no command, nor a package it uses, computes one', () => {
  let cli: Cli;
  const capture = join(dir, 'run.duckdb');
  const other = join(dir, 'other.duckdb');
  const keys = makeKeys(dir, 'signer');
  beforeAll(async () => {
    cli = await buildCli();
    await buildCapture(capture, { cudaEvents: [{ op: 'cudaMalloc' }] });
    await buildCapture(other, { capture: { capture_id: '00000000-0000-4000-8000-000000000002' } });
  });
  afterAll(() => cli.remove());

  const run = (args: readonly string[]) => {
    const { status, stderr } = spawnSync(process.execPath, ['--import', WATCH, cli.bin, ...args], {
      encoding: 'utf8',
      cwd: dir,
    });
    return { status, stderr };
  };

  test('the watch sees what it has to', () => {
    const weak = spawnSync(process.execPath, [
      '--import',
      WATCH,
      '-e',
      "require('crypto').createHash('md5')",
    ]);
    expect(weak.status).toBe(99);
  });

  const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
    seal: [capture, '--key', keys.key],
    sign: [capture, '--key', keys.key],
    verify: [capture, '--trust', keys.trust],
    query: [capture, 'SELECT 1'],
    merge: [capture, other, '--out', join(dir, 'merged.duckdb')],
    redact: [capture, '--out', join(dir, 'redacted.duckdb')],
    export: [capture, '--out', join(dir, 'lake')],
    explain: [capture],
    info: [capture],
    'run-query': ['cuda-api-sum', capture],
    'queries:show': ['cuda-api-sum'],
    'probes:show': ['cuda-runtime'],
    'probes:validate': [join(PACKAGE_ROOT, 'probes/cuda-runtime.yaml')],
    'probes:compile': ['cuda-runtime'],
  };

  /** Commands that would work for long, or need more than this test can give: they fail after their start. */
  const FAILING: Readonly<Record<string, readonly string[]>> = { trace: ['--pid', '4194303'] };

  // Commands without arguments here run far enough to load everything they use, and say what they lack.
  test.each(Object.keys(manifest.commands).map((id) => [id]))('%s', (id) => {
    const { status, stderr } = run([...id.split(':'), ...(ARGUMENTS[id] ?? FAILING[id] ?? [])]);
    expect(stderr).not.toContain('weak digest');
    expect(status).not.toBe(99);
    if (id in ARGUMENTS) expect([id, status, stderr]).toEqual([id, 0, expect.anything()]);
  });
});
