import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { buildModules, type Cli } from '../support/cli.js';

interface Manifest {
  files: string[];
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}
const pkg = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as Manifest;

describe('the npm package', () => {
  const work = mkdtempSync(join(tmpdir(), 'ingero-pack-'));
  let cli: Cli;
  let files: string[];
  beforeAll(async () => {
    cli = await buildModules();
    const source = join(work, 'source');
    const parts = [
      ...pkg.files.filter((name) => name !== 'dist'),
      'package.json',
      'README.md',
      'LICENSE',
      'test/fixtures',
    ];
    for (const name of parts) cpSync(join(PACKAGE_ROOT, name), join(source, name), { recursive: true });
    cpSync(join(dirname(dirname(cli.bin)), 'dist'), join(source, 'dist'), { recursive: true });
    const args = ['pack', '--ignore-scripts', '--json', '--pack-destination', work];
    const packed = JSON.parse(execFileSync('npm', args, { cwd: source, encoding: 'utf8' })) as unknown;
    const [{ filename, files: listed }] = (
      Array.isArray(packed) ? packed : Object.values(packed as object)
    ) as [{ filename: string; files: { path: string }[] }];
    files = listed.map((file) => file.path);
    execFileSync('tar', ['-xzf', join(work, filename), '-C', work]);
    symlinkSync(join(PACKAGE_ROOT, 'node_modules'), join(work, 'package/node_modules'));
  });
  afterAll(() => {
    cli.remove();
    rmSync(work, { recursive: true, force: true });
  });
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(work, 'package/bin/ingero.js'), ...args], { encoding: 'utf8' });

  test('holds what runs and nothing of the tests', () => {
    expect(files).toEqual(
      expect.arrayContaining([
        'LICENSE',
        'NOTICE',
        'README.md',
        'bin/ingero.js',
        'dist/capture/recorder-worker.js',
        'oclif.manifest.json',
        'probes/cuda-runtime.yaml',
        'queries/cuda-api-sum.sql',
        'schema/capture-v1.yaml',
        'schema/capture-v2.yaml',
        'schema/probe-pack.schema.json',
        'src/loader/bpf/LICENSE.BSD-3-Clause',
        'src/loader/bpf/LICENSE.GPL-2.0-only',
        'src/loader/bpf/digests.json',
        'src/loader/bpf/ingero.arm64.bpf.o',
        'src/loader/bpf/ingero.bpf.c',
        'src/loader/bpf/ingero.x64.bpf.o',
      ]),
    );
    expect(
      files.filter((name) => /^(test|packaging|build|node_modules|\.ci)\b|\.duckdb$/.test(name)),
    ).toEqual([]);
  });

  test('runs', () => {
    expect(run('--version').stdout).toMatch(/^ingero\/\d/);
    const capture = join(work, 'v2.duckdb');
    run('migrate', join(PACKAGE_ROOT, 'test/fixtures/demo-v1.duckdb'), '--out', capture);
    const { stdout, stderr } = run('run-query', 'api-errors', capture);
    expect(stderr).toBe('');
    expect(stdout).toContain('cudaErrorMemoryAllocation');
    // The BPF object is found and is the one of the digest, whether or not this kernel takes it.
    expect(run('check').stdout).not.toMatch(/released with|ENOENT/);
  });

  test('runs no plugin that a home folder has, as oclif would', () => {
    const home = join(work, 'home');
    const plugins = join(home, '.local/share/ingero');
    const plugin = join(plugins, 'node_modules/planted');
    mkdirSync(plugin, { recursive: true });
    const named = { name: 'ingero', oclif: { plugins: [{ name: 'planted', type: 'user' }] } };
    writeFileSync(join(plugins, 'package.json'), JSON.stringify(named));
    const described = { name: 'planted', version: '1.0.0', oclif: { hooks: { init: './hook.js' } } };
    writeFileSync(join(plugin, 'package.json'), JSON.stringify(described));
    const ran = join(work, 'ran');
    const hook = `exports.default = () => require('node:fs').writeFileSync(${JSON.stringify(ran)}, '');`;
    writeFileSync(join(plugin, 'hook.js'), hook);
    const { status } = spawnSync(process.execPath, [join(work, 'package/bin/ingero.js'), 'queries'], {
      env: { PATH: process.env.PATH, HOME: home },
    });
    expect(status).toBe(0);
    expect(existsSync(ran)).toBe(false);
  });
});

test('every dependency is pinned, and docs/dependencies.md tells its version', () => {
  const audit = readFileSync(join(PACKAGE_ROOT, 'docs/dependencies.md'), 'utf8');
  const unexplained = Object.entries({ ...pkg.dependencies, ...pkg.devDependencies })
    .filter(([name, version]) => !audit.includes(`| \`${name}\` | ${version} |`))
    .map(([name]) => name);
  expect(unexplained).toEqual([]);
});
