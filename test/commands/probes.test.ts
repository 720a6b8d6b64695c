import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PackListing } from '../../src/commands/probes/list.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { buildCli, type Cli } from '../support/cli.js';

describe('probes list', () => {
  let cli: Cli;
  beforeAll(async () => {
    cli = await buildCli();
  });
  afterAll(() => cli.remove());

  test('--json says what each pack is, and which bytes', async () => {
    const { code, stdout } = await cli.run(['probes', 'list', '--json']);
    expect(code).toBe(0);
    const { packs } = JSON.parse(stdout) as { packs: PackListing[] };
    const runtime = packs.find((pack) => pack.name === 'cuda-runtime');
    expect(runtime).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      layer: 'runtime',
      libraries: ['libcudart.so.*'],
      table: 'cuda_events',
      default: true,
    });
    const file = readFileSync(join(PACKAGE_ROOT, 'probes/cuda-runtime.yaml'));
    expect(runtime?.sha256).toBe(createHash('sha256').update(file).digest('hex'));
    expect(runtime?.probes).toBe(file.toString().match(/^ {2}- prototype:/gm)?.length);
    expect(runtime?.path).toMatch(/\/probes\/cuda-runtime\.yaml$/);
  });

  test('as text: one block per pack', async () => {
    const { code, stdout, stderr } = await cli.run(['probes', 'list']);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^cuda-runtime \d+\.\d+\.\d+ \(default\): CUDA runtime API calls/m);
    expect(stdout).toMatch(/^ {2}sha256 {5}[0-9a-f]{64}$/m);
  });
});
