import { execFileSync, spawn } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PACKAGE_ROOT } from '../../../src/paths.js';

/** Counts of one operation, as a scenario tells them. Values beyond 2^53 do not occur. */
export interface OpTruth {
  calls: number;
  bytes: number;
  ok_bytes: number;
  /** Calls by the code they returned, success left out. */
  errors: Record<string, number>;
}

export type Ops = Record<string, OpTruth>;

/** One thread or child process of a scenario. */
export interface CallerTruth {
  pid: number;
  tid: number;
  name: string;
  ops: Ops;
}

/** The line a scenario of gpu-scenarios ends with; what else is in it depends on the scenario. */
export interface Truth {
  scenario: string;
  pid: number;
  tid: number;
  ops: Ops;
  calls: number;
  threads?: CallerTruth[];
  children?: CallerTruth[];
  tids?: number[];
  streams?: Record<string, number>;
  unwound?: Record<string, number>;
  thread_exited?: Record<string, number>;
  in_flight?: { op: string; stream: number; tid: number };
}

/** A private copy of the workload: no other trace on this host sees its library files, so all counts are ours. */
export interface Workload {
  dir: string;
  gpuScenarios: string;
  /** The same program with the runtime linked in. */
  gpuScenariosStatic: string;
  probeTarget: string;
  /** Folder of the stub libraries. */
  libraries: string;
  cudart: string;
  remove(): void;
}

const FILES = [
  'gpu-scenarios',
  'gpu-scenarios-static',
  'probe-target',
  'lib/libcuda.so.1',
  'lib/libcudart.so.13',
  'lib/libprobe_target.so',
];

/** Builds what is out of date of the workload and copies it into a temporary directory. */
export function copyWorkload(): Workload {
  const built = join(PACKAGE_ROOT, 'build', 'workload');
  execFileSync('sh', [join(PACKAGE_ROOT, 'test', 'workload', 'build.sh'), built], { stdio: 'inherit' });
  const dir = mkdtempSync(join(tmpdir(), 'ingero-workload-'));
  mkdirSync(join(dir, 'lib'));
  for (const file of FILES) copyFileSync(join(built, file), join(dir, file));
  return {
    dir,
    gpuScenarios: join(dir, 'gpu-scenarios'),
    gpuScenariosStatic: join(dir, 'gpu-scenarios-static'),
    probeTarget: join(dir, 'probe-target'),
    libraries: join(dir, 'lib'),
    cudart: join(dir, 'lib', 'libcudart.so.13'),
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** The truth lines in the output of a workload program: JSON objects, one per line. */
export function truthLines<T = Truth>(output: string): T[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('{"'))
    .map((line) => JSON.parse(line) as T);
}

/** A workload program that waits, after its libraries are mapped, until it is told to go on. */
export interface Waiting {
  pid: number;
  /** Lets it run. */
  go(): void;
  /** The next line it prints. */
  line(): Promise<string>;
  /** Its whole output once it has ended. */
  done: Promise<string>;
  kill(): void;
}

/** Starts a workload program with `--wait` and resolves when it is ready. */
export async function startWaiting(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Waiting> {
  const child = spawn(program, ['--wait', ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  const lines: string[] = [];
  const readers: ((line: string) => void)[] = [];
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    const waiting = readers.shift();
    lines.push(line);
    waiting?.(line);
  });
  const done = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    reader.once('close', () => resolve(lines.join('\n')));
  });
  const line = (): Promise<string> =>
    Promise.race([
      new Promise<string>((resolve) => readers.push(resolve)),
      done.then((output) => Promise.reject(new Error(`${program} ended: ${output}`))),
    ]);
  const first = await line();
  return {
    pid: (JSON.parse(first) as { pid: number }).pid,
    go: () => void child.stdin.write('\n'),
    line,
    done,
    kill: () => void child.kill('SIGKILL'),
  };
}
