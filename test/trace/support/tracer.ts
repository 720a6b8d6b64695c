import { type ChildProcess, spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PACKAGE_ROOT } from '../../../src/paths.js';
import type { TraceSummary } from '../../../src/trace/summary.js';
import { buildCli } from '../../support/cli.js';
import { truthLines } from './workload.js';

/** How long a trace may take to attach its probes, and to end once it was told to. */
const PATIENCE_MS = 20_000;
/** How long after its end its output is read on. */
const DRAIN_MS = 300;

/** What a trace that ended left behind. */
export interface TraceResult {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** A trace that is running. */
export interface RunningTrace {
  pid: number;
  /** Path of its capture file. */
  capture: string;
  /** Resolves once the entry and the return probes are on this library file. */
  attached(library: string): Promise<void>;
  /** Resolves once the capture file is there; libraries were looked for before. */
  recording(): Promise<void>;
  /** Resolves with the first line of its standard output, the traced command's included, that matches. */
  said(pattern: RegExp): Promise<string>;
  signal(name: NodeJS.Signals): void;
  /** Resolves when it has ended. */
  ended: Promise<TraceResult>;
}

export interface TraceOptions {
  env?: Readonly<Record<string, string>>;
  /** Program put in front of node, e.g. `['setpriv', '--reuid', '65534']`. */
  wrapper?: readonly string[];
  /** Path of the capture; by default a new one. */
  out?: string;
  /** Node.js that runs it; by default the one that runs the tests. */
  node?: string;
}

/** An installed ingero, and a directory for what its traces write. */
export interface Tracer {
  dir: string;
  bin: string;
  /** A path for a capture that does not exist yet. */
  path(): string;
  /** Starts `ingero trace --out FILE ARGS`. */
  start(args: readonly string[], options?: TraceOptions): RunningTrace;
  /** Runs a trace to its end. */
  run(args: readonly string[], options?: TraceOptions): Promise<TraceResult & { capture: string }>;
  /** Kills what still runs and removes every file. */
  remove(): void;
}

/** Builds the command from the sources as they are. */
export async function buildTracer(): Promise<Tracer> {
  const cli = await buildCli();
  // The BPF object is package data under src/; a copy cannot change in the middle of a test.
  const bpf = join('src', 'loader', 'bpf');
  const root = dirname(dirname(cli.bin));
  if (!existsSync(join(root, bpf))) {
    mkdirSync(join(root, bpf), { recursive: true });
    cpSync(join(PACKAGE_ROOT, bpf), join(root, bpf), { recursive: true });
  }
  const dir = mkdtempSync(join(tmpdir(), 'ingero-trace-'));
  const running = new Set<ChildProcess>();
  let captures = 0;
  const path = (): string => join(dir, `${captures++}.duckdb`);

  const start = (args: readonly string[], options: TraceOptions = {}): RunningTrace => {
    const capture = options.out ?? path();
    const [program, ...rest] = [
      ...(options.wrapper ?? []),
      options.node ?? process.execPath,
      cli.bin,
      'trace',
      '--out',
      capture,
      ...args,
    ] as [string, ...string[]];
    const child = spawn(program, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Which packs this host has enabled is no business of the tests.
      env: { ...process.env, INGERO_CONFIG_DIR: dir, ...options.env },
    });
    running.add(child);
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    let isOver = false;
    const ended = new Promise<TraceResult>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        isOver = true;
        running.delete(child);
        const finish = (): void => resolve({ code, signal, stdout, stderr });
        child.once('close', finish);
        // A command that outlives the trace keeps the pipes open.
        setTimeout(finish, DRAIN_MS);
      });
    });
    const pid = child.pid as number;
    const until = async <T>(what: string, look: () => T | undefined): Promise<T> => {
      for (const deadline = Date.now() + PATIENCE_MS; ; await sleep(20)) {
        const found = look();
        if (found !== undefined) return found;
        if (isOver || Date.now() > deadline) {
          throw new Error(`${isOver ? 'the trace ended' : 'too late'} before ${what}: ${stdout}${stderr}`);
        }
      }
    };
    return {
      pid,
      capture,
      ended,
      signal: (name) => void child.kill(name),
      attached: (library) =>
        until(`probes on ${library}`, () => isProbing(pid, library) || undefined).then(() => {}),
      recording: () => until('recording', () => existsSync(capture) || undefined).then(() => {}),
      said: (pattern) => until(String(pattern), () => stdout.split('\n').find((line) => pattern.test(line))),
    };
  };

  return {
    dir,
    bin: cli.bin,
    path,
    start,
    run: async (args, options) => {
      const trace = start(args, options);
      return { ...(await trace.ended), capture: trace.capture };
    },
    remove: () => {
      for (const child of running) child.kill('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
      cli.remove();
    },
  };
}

/** Resolves when the process has slept (in a call that does not return) for a moment. */
export async function untilAsleep(pid: number): Promise<void> {
  for (let seen = 0; seen < 5; await sleep(20)) {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    seen = stat.slice(stat.lastIndexOf(')') + 2).startsWith('S') ? seen + 1 : 0;
  }
}

/**
 * Whether a process holds a multi-uprobe link on the entries of a file, as /proc/PID/fdinfo tells it; that of the
 * returns was made before.
 */
function isProbing(pid: number, library: string): boolean {
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => {
      if (!readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('anon_inode:bpf_link')) return false;
      const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8');
      const path = /^path:\t(.*?)(?: \(deleted\))?$/m.exec(info)?.[1];
      return /^link_type:\tuprobe_multi$/m.test(info) && path === library;
    });
  } catch {
    // A descriptor was closed, or the process ended, while it was looked at.
    return false;
  }
}

/**
 * The summary `--json` prints. A traced command writes to the same output before; its lines are one object each,
 * the summary is printed over several.
 */
export function summaryOf({ stdout, stderr }: TraceResult): TraceSummary {
  const at = `\n${stdout}`.lastIndexOf('\n{\n');
  if (at < 0) throw new Error(`no summary in: ${stdout}${stderr}`);
  return JSON.parse(stdout.slice(at)) as TraceSummary;
}

/** The last truth line of the traced command. */
export function truthOf<T>({ stdout, stderr }: TraceResult): T {
  const last = truthLines<T>(stdout).at(-1);
  if (last === undefined) throw new Error(`no truth line in: ${stdout}${stderr}`);
  return last;
}
