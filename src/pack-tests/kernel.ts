import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { parse, stringify } from 'yaml';
import { eventColumns, readCaptureSchema } from '../capture/schema.js';
import { ident } from '../capture/sql-text.js';
import { EXIT, IngeroError } from '../errors.js';
import { loadLibbpf } from '../loader/libbpf.js';
import type { Pack, PackTest } from '../packs/model.js';
import { withSiteTables } from '../packs/site-tables.js';
import { ownProgram } from '../program.js';
import { buildTestProgram, findCompiler } from './program.js';
import type { RowText } from './row.js';

/** What the kernel made of the calls of some tests. */
export interface KernelOutcome {
  /** Rows of each test, in its order. */
  rows: RowText[][];
  /** Operations without a probe -> why. */
  skipped: ReadonlyMap<string, string>;
}

/** Why tests cannot go through the kernel here; null when they can. */
export function kernelObstacle(): string | null {
  if (process.geteuid?.() !== 0) return 'not root';
  if (!existsSync('/sys/kernel/btf/vmlinux')) return 'the kernel has no BTF (/sys/kernel/btf/vmlinux)';
  try {
    loadLibbpf();
  } catch (error) {
    if (!(error instanceof IngeroError)) throw error;
    return error.message;
  }
  return findCompiler() === null ? 'no C compiler (cc, gcc or clang) in PATH' : null;
}

/**
 * Makes the calls of tests in a library generated from the pack, for one version of it, and traces them with
 * `ingero trace`, in a process of its own: a trace gives up the privileges the next one needs. Throws
 * `compiler-failed`, and `test-trace-failed` with what the trace says.
 */
export async function runThroughKernel(
  pack: Pack,
  tests: readonly PackTest[],
  version: string,
): Promise<KernelOutcome> {
  const dir = mkdtempSync(join(tmpdir(), 'ingero-pack-test-'));
  try {
    const tested = testable(pack);
    const program = buildTestProgram(tested, tests, version, dir, findCompiler() as string);
    const told = join(dir, 'told');
    const capture = join(dir, 'capture.duckdb');
    const packFile = join(dir, 'pack.yaml');
    writeFileSync(packFile, stringify({ ...(parse(pack.source.text) as object), probes: tested.probes }));
    await trace(['--pack', packFile, '--out', capture, ...TRACE_FLAGS, '--', program, told]);
    return await readOutcome(pack, tests.length, capture, told);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

const TRACE_FLAGS = ['--ring-size', '1', '--keep-privileges', 'none'];

/**
 * The pack as it can be tested: a sampled call is recorded by chance, which a test cannot wait for, and C++ names stand
 * for functions the generated library has under their plain names.
 */
function testable(pack: Pack): Pack {
  const probes = pack.probes.map(({ sample: _, symbols, ...probe }) => {
    const plain = symbols?.filter((symbol) => typeof symbol === 'string') ?? [];
    return plain.length === 0 ? probe : { ...probe, symbols: plain };
  });
  return { ...pack, probes };
}

async function trace(args: readonly string[]): Promise<void> {
  // Under sudo a trace becomes the user who called it, who cannot reach the private folder of the test.
  const { SUDO_UID: _uid, SUDO_GID: _gid, SUDO_USER: _user, ...env } = process.env;
  const [file, ...own] = ownProgram();
  const { code, stdout } = await new Promise<{ code: number; stdout: string }>((resolve) => {
    const child = execFile(file, [...own, 'trace', '--json', ...args], { env }, (_, output) =>
      resolve({ code: child.exitCode ?? EXIT.internal, stdout: output }),
    );
  });
  // Without any probe there is a capture all the same, which says why.
  if (code === EXIT.ok || code === EXIT.targetMissing) return;
  throw new IngeroError(`The calls of the tests cannot be traced: ${failureIn(stdout)}`, {
    code: 'test-trace-failed',
    exitCode: EXIT.notReady,
    next: 'Run the tests with --through decoder.',
  });
}

/** What `trace --json` says went wrong. */
function failureIn(stdout: string): string {
  try {
    const { error, failure } = JSON.parse(stdout) as { error?: { message: string }; failure?: string };
    return error?.message ?? failure ?? stdout;
  } catch {
    return stdout.trim() || 'the trace said nothing';
  }
}

async function readOutcome(pack: Pack, count: number, capture: string, told: string): Promise<KernelOutcome> {
  const testOfThread = new Map(
    readFileSync(told, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split('\t'))
      .map(([test, thread]) => [thread, Number(test)]),
  );
  const schema = withSiteTables(readCaptureSchema(), [pack]);
  const columns = eventColumns(schema, pack.table).map(({ name }) => name);
  const texts = columns.map((name) => `${ident(name)}::VARCHAR AS ${ident(name)}`);
  const instance = await DuckDBInstance.create(capture, { access_mode: 'READ_ONLY' });
  const connection = await instance.connect();
  try {
    const rows: RowText[][] = Array.from({ length: count }, () => []);
    const events = await connection.runAndReadAll(
      `SELECT ${texts.join(', ')} FROM ${ident(pack.table)} ORDER BY start_time`,
    );
    for (const row of events.getRowObjects() as unknown as RowText[]) {
      rows[testOfThread.get(row.tid ?? '') ?? -1]?.push(row);
    }
    const reasons = await connection.runAndReadAll(
      `SELECT op, any_value(reason) FROM probes GROUP BY op HAVING count(*) FILTER (state = 'attached') = 0`,
    );
    return { rows, skipped: new Map(reasons.getRows() as unknown as [string, string][]) };
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
