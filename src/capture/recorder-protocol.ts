/** Messages between the tracer (main thread) and the recorder (worker thread). */
import type { ProcessInfo } from '../discovery/processes.js';
import type { Counters } from '../loader/layout.js';
import type { Row } from './capture-file.js';
import type { EventTablePlan } from './ddl.js';
import type { ProbeDecoding } from './event-decoder.js';
import type { CaptureSchema } from './schema.js';

/** How a capture ended; the `end_reason` names of the schema, `cut-off` aside. */
export type EndReason =
  | 'duration'
  | 'interrupted'
  | 'terminated'
  | 'target-exited'
  | 'max-size'
  | 'max-overhead'
  | 'disk-full'
  | 'failed';

/** What the recorder starts from (worker data). */
export interface RecorderStart {
  path: string;
  rings: readonly { fd: number; bytes: number }[];
  schema: CaptureSchema;
  events: readonly EventTablePlan[];
  /** Wall clock minus monotonic clock, ns. */
  wallOffsetNs: bigint;
  /** Rows of `capture` and `packs`. */
  capture: Row;
  packs: readonly Row[];
  /** Free bytes below which recording stops. */
  minFreeBytes: number;
  /** Size of the capture at which recording stops; null: none. */
  maxBytes: number | null;
  /** What becomes of the addresses in stacks; null: they are recorded. */
  redactAddresses: 'hash' | 'drop' | null;
  /** Whether the arguments of processes are left out. */
  dropCommandLines: boolean;
  /** What happened before there was a recorder: probes are attached first. */
  known: readonly ToRecorder[];
}

export type ToRecorder =
  /** How to read the records of probes that are about to be attached. */
  | { type: 'decodings'; decodings: readonly ProbeDecoding[] }
  /** What became of attaching: rows of `libraries` and `probes`. */
  | { type: 'probes'; libraries: readonly Row[]; probes: readonly Row[] }
  /** What is known of a process should it end before it is looked at. */
  | { type: 'process'; info: ProcessInfo }
  | { type: 'capture'; row: Row }
  | { type: 'anchor'; row: Row }
  | { type: 'rows'; table: 'governor_steps' | 'self_observations'; rows: readonly Row[] }
  /** Of the calls that begin at `sinceNs` (monotonic) or later one in `oneIn` is recorded, of those of these probes. */
  | { type: 'thin'; sinceNs: bigint; oneIn: number; probeIds: readonly number[] }
  | { type: 'summary' }
  | { type: 'observe' }
  | {
      type: 'finish';
      endReason: EndReason;
      endDetail: string | null;
      counters: readonly (readonly [number, Counters])[];
    };

/** Totals of one operation, for the live summary. */
export interface OpSummary {
  op: string;
  calls: number;
  errors: number;
  /** Estimated quantiles, ns; null when no call returned. */
  p50: number | null;
  p99: number | null;
}

/** What became of the hits of one probe. */
export interface ProbeAccounting {
  probeId: number;
  hits: bigint;
  rows: bigint;
  filtered: bigint;
  sampled: bigint;
  lost: bigint;
  balanced: boolean;
}

export interface RecorderResult {
  rows: number;
  accounting: readonly ProbeAccounting[];
  balanced: boolean;
  /** Largest ring backlog seen, as a share of the ring. */
  ringHighWater: number;
  /** Set when the file could not be completed. */
  failure: string | null;
  endReason: EndReason;
}

/** What happened since the observation before. */
export interface Observation {
  /** Threads that called; those with few calls may be left out. */
  busyThreads: number;
  /** Part of the calls, 0 to 1, that the thread made that calls most. */
  busiestShare: number;
  /** Largest backlog, as a share of a ring. */
  ringHighWater: number;
  /** Longest commit; null when there was none. */
  flushMaxNs: bigint | null;
}

export type FromRecorder =
  | { type: 'ready' }
  | ({ type: 'observation' } & Observation)
  | { type: 'summary'; ops: readonly OpSummary[]; rows: number; ringHighWater: number }
  /** Recording cannot go on; the tracer answers with `finish`. */
  | { type: 'stopped'; reason: EndReason; detail: string }
  | { type: 'finished'; result: RecorderResult };
