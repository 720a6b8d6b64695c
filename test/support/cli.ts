import { spawn } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { bundleCode } from '../../packaging/code.mjs';
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

/** What the commands read at run time. */
const DATA = ['node_modules', 'schema', 'probes', 'queries', 'package.json', 'oclif.manifest.json'] as const;

/**
 * Bundles the sources as they are into a temporary package, as a release has them, and returns a way to run it. Types are
 * not checked, so that a type error elsewhere does not hide what these tests are about.
 */
export async function buildCli(): Promise<Cli> {
  const root = newPackage();
  const dist = join(root, 'dist');
  mkdirSync(dist);
  bundle ??= makeBundle();
  for (const [name, bytes] of await bundle) writeFileSync(join(dist, name), bytes);
  const bin = join(root, 'bin', 'ingero.js');
  writeFileSync(bin, "import '../dist/ingero.js';\n");
  return cli(root, bin);
}

/** Files of the bundle by name, made once for all tests of this process. */
let bundle: Promise<ReadonlyMap<string, Buffer>> | undefined;

async function makeBundle(): Promise<ReadonlyMap<string, Buffer>> {
  const folder = mkdtempSync(join(tmpdir(), 'ingero-bundle-'));
  try {
    await bundleCode(folder);
    return new Map(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The same with a file for each module, as the npm package of a clone has them: for tests that use single modules. */
export async function buildModules(): Promise<Cli> {
  const root = newPackage();
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
  const bin = join(root, 'bin', 'ingero.js');
  copyFileSync(join(PACKAGE_ROOT, 'bin', 'ingero.js'), bin);
  return cli(root, bin);
}

function newPackage(): string {
  const root = mkdtempSync(join(tmpdir(), 'ingero-cli-'));
  // Tests also run it as another user.
  chmodSync(root, 0o755);
  for (const name of DATA) symlinkSync(join(PACKAGE_ROOT, name), join(root, name));
  mkdirSync(join(root, 'bin'));
  return root;
}

function cli(root: string, bin: string): Cli {
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
