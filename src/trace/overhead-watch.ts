import type { Row } from '../capture/capture-file.js';
import { monotonicNs, wallClockNs } from '../capture/clock.js';
import type { Observation, ToRecorder } from '../capture/recorder-protocol.js';
import type { BpfObject } from '../loader/object.js';
import type { CompiledProbe } from '../packs/model.js';
import { Governor, type Level, levelName, overheadPercent, type ProbeCost, type Step } from './governor.js';
import { hasStack } from './plan.js';

/** What a probe costs nobody notices: more is worth a word. Percent of a core, of the busiest thread. */
export const USUAL_LIMIT_PERCENT = 2;

/** How often what recording costs is looked at, ms: where a limit has to be kept, and where it is only written down. */
const OBSERVE_MS = { limited: 2000, free: 10_000 } as const;

/** Of the calls that are only counted one in so many is recorded all the same: the kernel compares 32 bits. */
const COUNTS_ONE_IN = 2 ** 31 - 1;

/** A probe that is attached. */
export interface WatchedProbe {
  id: number;
  compiled: CompiledProbe;
  cost: ProbeCost;
}

/**
 * Keeps an eye on what recording costs: writes it into the capture and steps down where a limit was given. Without one
 * nothing is changed, and what goes beyond the usual is only told.
 */
export class OverheadWatch {
  readonly #object: BpfObject;
  readonly #send: (message: ToRecorder) => void;
  readonly #governor: Governor | null;
  /** How often `observe` is to be called. */
  readonly intervalMs: number;
  readonly #probes: WatchedProbe[] = [];
  readonly #hits = new Map<number, bigint>();
  #steps = 0;
  #lastMs = performance.now();
  /** Largest overhead seen, percent of a core, of the busiest thread. */
  highestPercent = 0;

  /** `limitPercent`: null where none was asked for. */
  constructor(
    object: BpfObject,
    send: (message: ToRecorder) => void,
    limitPercent: number | null,
    hasStacks: boolean,
  ) {
    this.#object = object;
    this.#send = send;
    this.#governor = limitPercent === null ? null : new Governor(limitPercent, hasStacks);
    this.intervalMs = limitPercent === null ? OBSERVE_MS.free : OBSERVE_MS.limited;
  }

  add(probes: readonly WatchedProbe[]): void {
    this.#probes.push(...probes);
  }

  get level(): Level {
    return this.#governor?.level ?? { kind: 'full' };
  }

  /** What the time since the last observation cost. Returns the step that was taken, or null. */
  observe({ busyThreads, busiestShare, ringHighWater, flushMaxNs }: Observation): Step | null {
    const now = performance.now();
    const intervalMs = now - this.#lastMs;
    this.#lastMs = now;
    const loads = this.#probes.map(({ id, cost }) => ({ cost, calls: this.#callsOf(id) }));
    const percent = overheadPercent(loads, this.level, intervalMs, busiestShare);
    this.highestPercent = Math.max(this.highestPercent, percent);
    const { user, system } = process.cpuUsage();
    const runTime = this.#object.runTime();
    const row: Row = {
      observed_at: wallClockNs(),
      cpu_ns: BigInt(user + system) * 1000n,
      rss_bytes: BigInt(process.memoryUsage.rss()),
      ring_high_water: ringHighWater,
      flush_max_ns: flushMaxNs,
      bpf_run_ns: runTime?.allNs ?? null,
      busy_threads: busyThreads,
      overhead_percent: percent,
      bpf_entry_ns: runTime?.entryNs ?? null,
      bpf_return_ns: runTime?.returnNs ?? null,
    };
    this.#send({ type: 'rows', table: 'self_observations', rows: [row] });
    const step = this.#governor?.observe(loads, intervalMs, busiestShare) ?? null;
    if (step !== null) this.#take(step);
    return step;
  }

  #callsOf(id: number): number {
    const hits = this.#object.counters(id).hits;
    const calls = Number(hits - (this.#hits.get(id) ?? 0n));
    this.#hits.set(id, hits);
    return calls;
  }

  #take({ from, to, reason }: Step): void {
    if (to.kind === 'no-stacks') {
      for (const { id, compiled } of this.#probes) this.#object.setProbe(id, compiled, hasStack(compiled));
    } else if (to.kind === 'sample' || to.kind === 'counts') {
      const oneIn = to.kind === 'sample' ? to.oneIn : COUNTS_ONE_IN;
      for (const { id, compiled } of this.#probes) {
        this.#object.setProbe(id, { ...compiled, sample: compiled.sample * oneIn }, hasStack(compiled));
      }
      this.#send({
        type: 'thin',
        sinceNs: monotonicNs(),
        oneIn,
        probeIds: this.#probes.map(({ id }) => id),
      });
    }
    this.#steps++;
    this.#send({
      type: 'rows',
      table: 'governor_steps',
      rows: [
        {
          step: this.#steps,
          stepped_at: wallClockNs(),
          from_level: levelName(from),
          to_level: levelName(to),
          reason,
        },
      ],
    });
  }
}
