import { spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { PACKAGE_ROOT } from '../../src/paths.js';

/** An installed copy of ingero, built from the sources as they are. */
export interface Cli {
  run(args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Path of its entry, for tests that need a shell around it. */
  readonly bin: string;
  remove(): void;
}

export interface RunOptions {
  stdin?: string;
  env?: Readonly<Record<string, string>>;
  /** User to run as (needs root). */
  uid?: number;
}

export interface RunResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Data folders the commands read at run time. */
const DATA = ['node_modules', 'schema', 'probes', 'queries'] as const;

/**
 * Builds the sources into a temporary package and returns a way to run it. Types are not checked, so that
 * a type error elsewhere does not hide what these tests are about.
 */
export async function buildCli(): Promise<Cli> {
  const root = mkdtempSync(join(tmpdir(), 'ingero-cli-'));
  // Tests also run it as another user.
  chmodSync(root, 0o755);
  const source = join(PACKAGE_ROOT, 'src');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' });
  await build({
    entryPoints: files.filter((file) => file.endsWith('.ts')).map((file) => join(source, file)),
    outbase: source,
    outdir: join(root, 'dist'),
    format: 'esm',
    platform: 'node',
    target: 'node20',
    logLevel: 'silent',
  });
  for (const folder of DATA) symlinkSync(join(PACKAGE_ROOT, folder), join(root, folder));
  copyFileSync(join(PACKAGE_ROOT, 'package.json'), join(root, 'package.json'));
  mkdirSync(join(root, 'bin'));
  const bin = join(root, 'bin', 'ingero.js');
  copyFileSync(join(PACKAGE_ROOT, 'bin', 'ingero.js'), bin);
  return {
    bin,
    run: (args, options) => run(bin, args, options),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

function run(bin: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return new Promise((done, failed) => {
    const child = spawn(process.execPath, [bin, ...args], {
      env: { ...process.env, ...options.env },
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', failed);
    child.on('close', (code) => done({ code, stdout, stderr }));
    child.stdin.on('error', () => {});
    child.stdin.end(options.stdin ?? '');
  });
}
