import { createHash } from 'node:crypto';
import type { Row } from '../../capture/capture-file.js';
import type { ProcessNumbers } from './event-writer.js';
import type { Gathered } from './gather.js';
import type { ProcessFacts, Run } from './runs.js';
import type { Session } from './sessions.js';

const MIB = 2n ** 20n;

/** The `capture` row of a run. What the old agent did not record is NULL. */
export function captureRow(
  run: Run,
  sourceSha256: string,
  schemaVersion: number,
  ingeroVersion: string,
): Row {
  const { session } = run;
  const pid = session?.pidFilter ?? null;
  return {
    run_id: run.id,
    capture_id: captureId(sourceSha256, run.id),
    schema_version: schemaVersion,
    ingero_version: ingeroVersion,
    hostname: run.node === '' ? null : run.node,
    kernel: session?.kernel ?? null,
    cpu_count: session?.cpuCores ?? null,
    started_at: session?.startedNs ?? run.first?.ns ?? null,
    ended_at: session?.stoppedNs ?? null,
    // The agent says that it ended, not why.
    end_reason: session?.stoppedNs === null ? 'cut-off' : 'unknown',
    end_detail: session === undefined ? 'imported; no session of the old agent covers these events' : null,
    target: session === undefined ? 'unknown' : pid === null ? 'all processes' : `pid ${pid}`,
  };
}

/** Equal for a file converted twice: it is the same run. Form: RFC 9562, version 8. */
function captureId(sourceSha256: string, run: number): string {
  const hex = createHash('sha256').update(`${sourceSha256} ${run}`).digest('hex');
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}

export function sessionRow(run: Run, session: Session): Row {
  return {
    run_id: run.id,
    session_id: session.id,
    agent_version: session.agentVersion,
    gpu_model: session.gpuModel,
    gpu_driver: session.gpuDriver,
    cpu_model: session.cpuModel,
    memory_bytes: session.memoryMb === null ? null : BigInt(session.memoryMb) * MIB,
    os_release: session.osRelease,
    cuda_version: session.cudaVersion,
    python_version: session.pythonVersion,
    pid_filter: session.pidFilter,
    flags: session.flags,
    rank: session.rank,
    local_rank: session.localRank,
    world_size: session.worldSize,
  };
}

/** Rows of `processes`. */
export function* processRows({ runs, names, cgroups }: Gathered, numbers: ProcessNumbers): Iterable<Row> {
  for (const run of runs.all) {
    for (const process of run.processes.values()) {
      const cgroup = cgroups.get(mainCgroup(process) ?? 0);
      yield {
        run_id: run.id,
        process_id: numbers.idOf(run, process.pid),
        pid: process.pid,
        first_seen: process.firstSeen.ns,
        comm: process.comm ?? names.get(process.pid) ?? null,
        cgroup: cgroup?.path ?? null,
        container_id: cgroup?.containerId ?? null,
        rank: process.rank ?? run.session?.rank ?? null,
        local_rank: process.local_rank ?? run.session?.localRank ?? null,
        world_size: process.world_size ?? run.session?.worldSize ?? null,
      };
    }
  }
}

/** The cgroup most events of a process name: some are recorded in the context of another. */
function mainCgroup({ cgroups }: ProcessFacts): number | undefined {
  const [most] = [...cgroups].sort(([, a], [, b]) => b - a);
  return most?.[0];
}

/** Rows of `threads`. */
export function* threadRows({ runs, names }: Gathered, numbers: ProcessNumbers): Iterable<Row> {
  for (const run of runs.all) {
    for (const thread of run.threads.values()) {
      yield {
        run_id: run.id,
        tid: thread.tid,
        pid: thread.pid,
        process_id: numbers.idOf(run, thread.pid),
        name: thread.name ?? names.get(thread.tid) ?? null,
        first_seen: thread.firstSeen.ns,
      };
    }
  }
}
