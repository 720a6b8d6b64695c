import type { RowView } from '../sqlite/index.js';
import { int32, type TableReader, timeOf } from './table-reader.js';

/** A row of the old agent's `sessions`: one start of the agent. NULL where it is empty or 0. */
export interface Session {
  id: number;
  startedNs: bigint;
  /** null: it was still running, or was cut off. */
  stoppedNs: bigint | null;
  node: string;
  agentVersion: string | null;
  gpuModel: string | null;
  gpuDriver: string | null;
  cpuModel: string | null;
  cpuCores: number | null;
  memoryMb: number | null;
  kernel: string | null;
  osRelease: string | null;
  cudaVersion: string | null;
  pythonVersion: string | null;
  pidFilter: string | null;
  flags: string | null;
  rank: number | null;
  localRank: number | null;
  worldSize: number | null;
}

/** Reads a session; null when it does not say when it began. */
export function readSession(table: TableReader, row: RowView): Session | null {
  const startedNs = timeOf(table, row, 'started_at');
  if (startedNs === null) return null;
  const text = (name: string): string | null => table.text(row, name) || null;
  const positive = (name: string): number | null => {
    const value = table.integer(row, name);
    return value !== null && value > 0 && value < 2 ** 31 ? value : null;
  };
  return {
    id: table.integer(row, 'id') ?? 0,
    startedNs,
    stoppedNs: timeOf(table, row, 'stopped_at'),
    node: table.text(row, 'node'),
    agentVersion: text('ingero_ver'),
    gpuModel: text('gpu_model'),
    gpuDriver: text('gpu_driver'),
    cpuModel: text('cpu_model'),
    cpuCores: positive('cpu_cores'),
    memoryMb: positive('mem_total'),
    kernel: text('kernel'),
    osRelease: text('os_release'),
    cudaVersion: text('cuda_ver'),
    pythonVersion: text('python_ver'),
    pidFilter: text('pid_filter'),
    flags: text('flags'),
    rank: int32(table.integer(row, 'rank')),
    localRank: int32(table.integer(row, 'local_rank')),
    worldSize: int32(table.integer(row, 'world_size')),
  };
}

/** Whether a session's agent is of this version or a later one; false when its version is not known (`dev` builds). */
export function isAtLeast(session: Session | undefined, major: number, minor: number): boolean {
  const version = /^v?(\d+)\.(\d+)/.exec(session?.agentVersion ?? '');
  if (version === null) return false;
  const [, foundMajor, foundMinor] = version.map(Number) as [number, number, number];
  return foundMajor > major || (foundMajor === major && foundMinor >= minor);
}
