import { existsSync, rmSync, statSync } from 'node:fs';
import { readClockAnchor, wallClockNs } from '../../src/capture/clock.js';
import { Recorder } from '../../src/capture/recorder.js';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { loadLibbpf } from '../../src/loader/libbpf.js';
import { BpfObject } from '../../src/loader/object.js';
import { type Arch, type CompiledProbe, compilePack, loadBuiltinPacks } from '../../src/packs/index.js';
import { decodingOf, packRow, planEventTables } from '../../src/trace/plan.js';
import { compileBpf, Storm } from './kernel.js';

const OPS = ['cudaLaunchKernel', 'cudaMemcpyAsync', 'cudaStreamSynchronize', 'cudaMalloc'];

export interface IngestResult {
  events: number;
  lost: number;
  seconds: number;
  eventsPerSecond: number;
  /** CPU of the whole process (storm, recorder, DuckDB) per event. */
  cpuNsPerEvent: number;
  /** The part of it the thread that produces the events used. */
  stormNsPerEvent: number;
  bytesPerEvent: number;
  ringHighWater: number;
}

/** Kernel to file: records at `rate` per second for `seconds`, through the real rings into a real capture. */
export async function benchIngest(
  root: string,
  path: string,
  rate: number,
  seconds: number,
): Promise<IngestResult> {
  for (const file of [path, `${path}.wal`]) if (existsSync(file)) rmSync(file);
  const libbpf = loadLibbpf();
  const object = BpfObject.load(libbpf, {
    filter: { filterByProcess: false, followChildren: false, comm: '' },
    ringBytes: 128 << 20,
  });
  const packs = loadBuiltinPacks()
    .filter((pack) => pack.name === 'cuda-runtime')
    .map((pack) => compilePack(pack, process.arch as Arch));
  const schema = readCaptureSchema();
  const anchor = readClockAnchor();
  const recorder = await Recorder.start({
    path,
    rings: object.rings,
    schema,
    events: planEventTables(schema, packs),
    wallOffsetNs: anchor.wallNs - anchor.monotonicNs,
    capture: {
      capture_id: '00000000-0000-4000-8000-000000000000',
      schema_version: schema.version,
      ingero_version: 'bench',
      hostname: 'bench',
      kernel: '',
      arch: process.arch,
      cpu_count: 0,
      started_at: wallClockNs(),
      end_reason: 'cut-off',
      command_line: [],
      target: 'bench',
      bpf_sha256: object.sha256,
      ring_bytes: 0n,
    },
    packs: packs.map(({ pack }) => packRow(pack, null)),
    minFreeBytes: 64 << 20,
    maxBytes: null,
    redactAddresses: null,
    dropCommandLines: false,
    known: [],
  });
  const decodings = OPS.map((op, id) => {
    const pack = packs.find(({ probes }) => probes.some((probe) => probe.op === op));
    const compiled = pack?.probes.find((probe) => probe.op === op) as CompiledProbe;
    const site = { symbol: op, address: 0n, fileOffset: 0, skip: 0, cost: 'emulated' as const };
    return decodingOf((pack as (typeof packs)[number]).pack, { id, compiled, site });
  });
  recorder.send({ type: 'decodings', decodings });

  const storm = new Storm(libbpf, compileBpf(root, 'storm'), object.ringsFd, object.rings.length - 1);
  const startedAt = performance.now();
  const cpuAtStart = process.cpuUsage();
  let stormCpuMs = 0;
  let due = 0;
  while (performance.now() - startedAt < seconds * 1000) {
    due = Math.floor((rate * (performance.now() - startedAt)) / 1000);
    const behind = due - storm.emitted - storm.lost;
    if (behind > 0) {
      const before = performance.now();
      storm.emit(Math.min(behind, 50_000));
      stormCpuMs += performance.now() - before;
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const produced = performance.now() - startedAt;
  const zero = {
    filtered: 0n,
    sampled: 0n,
    lost_stacks: 0n,
    lost_too_deep: 0n,
    lost_no_memory: 0n,
    orphan_returns: 0n,
    read_faults: 0n,
  };
  const result = await recorder.finish({
    type: 'finish',
    endReason: 'duration',
    endDetail: null,
    counters: [
      [0, { ...zero, hits: BigInt(storm.emitted + storm.lost), lost_ring_full: BigInt(storm.lost) }],
    ],
  });
  const cpu = process.cpuUsage(cpuAtStart);
  object.close();
  return {
    events: storm.emitted,
    lost: storm.lost,
    seconds: produced / 1000,
    eventsPerSecond: storm.emitted / (produced / 1000),
    cpuNsPerEvent: ((cpu.user + cpu.system) * 1000) / storm.emitted,
    stormNsPerEvent: (stormCpuMs * 1e6) / storm.emitted,
    bytesPerEvent: statSync(path).size / storm.emitted,
    ringHighWater: result.ringHighWater,
  };
}
