import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { buildModules, type Cli } from '../support/cli.js';

describe('oclif.manifest.json', () => {
  let cli: Cli;
  let root: string;
  beforeAll(async () => {
    cli = await buildModules();
    root = dirname(dirname(cli.bin));
    copyFileSync(join(PACKAGE_ROOT, 'oclif.manifest.json'), join(root, 'oclif.manifest.json'));
  });
  afterAll(() => cli.remove());

  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(PACKAGE_ROOT, 'packaging/manifest.mjs'), ...args, root], {
      encoding: 'utf8',
    });

  test('describes the commands as they are', () => {
    const { status, stderr } = run('--check');
    expect(stderr).toBe('');
    expect(status).toBe(0);
  });

  test('a stale one is refused, and written anew with the same bytes', () => {
    const file = join(root, 'oclif.manifest.json');
    const fresh = readFileSync(file, 'utf8');
    writeFileSync(file, fresh.replace('"query"', '"other"'));
    const { status, stderr } = run('--check');
    expect(status).toBe(1);
    expect(stderr).toContain('npm run manifest');
    expect(run().status).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe(fresh);
  });
});
