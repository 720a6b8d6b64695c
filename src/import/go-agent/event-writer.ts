import type { DuckDBConnection } from '@duckdb/node-api';
import { EventTable } from '../../capture/event-table.js';
import { ProcessIds } from '../../capture/process-ids.js';
import type { CaptureSchema } from '../../capture/schema.js';
import { Stacks } from '../../capture/stacks.js';
import { CALL, RECORD_CALL, STATUS } from '../../ring/record.js';
import type { EventRow } from './event-row.js';
import { pidIsTid, SLOT } from './operations.js';
import type { EventPlan, PlannedProbe } from './probe-plan.js';
import type { Run, Runs } from './runs.js';
import type { StackIndex } from './stacks.js';

const SLOTS = 6;
/** Rows between commits. */
const FLUSH_ROWS = 1_000_000;
/** `missing` bit of the first slot's value; the following slots have the next bits. */
const missing = (slot: number): number => 1 << slot;

/** Numbers of the processes of all runs together. */
export class ProcessNumbers {
  readonly #byRun = new Map<Run, Map<number, number>>();
  #count = 0;

  idOf(run: Run, pid: number): number {
    let ids = this.#byRun.get(run);
    if (ids === undefined) {
      ids = new Map();
      this.#byRun.set(run, ids);
    }
    let id = ids.get(pid);
    if (id === undefined) {
      id = ++this.#count;
      ids.set(pid, id);
    }
    return id;
  }
}

/**
 * Second pass over the events: turns each into a record as the kernel would have sent it, so that the recorder's own
 * writer stores it (src/capture/event-table.ts).
 */
export class EventWriter {
  readonly #runs: Runs;
  readonly #stacks: StackIndex;
  readonly #processes: ProcessNumbers;
  readonly #tables: ReadonlyMap<string, EventTable>;
  readonly #probes = new Map<Run, Map<number, PlannedProbe>>();
  readonly #record = new Uint32Array(CALL.slots + SLOTS * 2);
  #rows = 0;

  private constructor(
    runs: Runs,
    stacks: StackIndex,
    processes: ProcessNumbers,
    plan: EventPlan,
    tables: ReadonlyMap<string, EventTable>,
  ) {
    this.#runs = runs;
    this.#stacks = stacks;
    this.#processes = processes;
    this.#tables = tables;
    for (const probe of plan.probes) {
      tables.get(probe.operation.table)?.addProbe(probe.decoding);
      const ofRun = this.#probes.get(probe.run) ?? new Map<number, PlannedProbe>();
      ofRun.set(probe.facts.source * 0x1_0000 + probe.facts.op, probe);
      this.#probes.set(probe.run, ofRun);
    }
  }

  /** Opens the event tables that the plan created. */
  static async open(
    connection: DuckDBConnection,
    schema: CaptureSchema,
    plan: EventPlan,
    runs: Runs,
    stacks: StackIndex,
    processes: ProcessNumbers,
  ): Promise<EventWriter> {
    const tables = new Map<string, EventTable>();
    for (const table of plan.tables) {
      tables.set(
        table.table,
        await EventTable.open(connection, schema, table, 0n, new ProcessIds(), new Stacks()),
      );
    }
    return new EventWriter(runs, stacks, processes, plan, tables);
  }

  /** Writes the event last read. */
  write(event: EventRow): void {
    const run = this.#runs.runOf(event.nodes.texts[event.node] as string, event.start);
    const probe = this.#probes.get(run)?.get(event.source * 0x1_0000 + event.op);
    if (probe === undefined) throw new Error('an event that the first pass did not see');
    const words = this.#record;
    const pid = pidIsTid(event.source, event.op) ? (run.threads.get(event.tid)?.pid ?? event.tid) : event.pid;
    const stack = this.#stacks.idOf(run, event.stackLow, event.stackHigh);
    const isIpv4 = probe.operation.arg0 === 'ipv4-pair';
    const status = event.isInstant ? STATUS.entry : STATUS.returned;
    words[CALL.head] = (RECORD_CALL | (status << 8) | (probe.decoding.probeId << 16)) >>> 0;
    words[CALL.missing] =
      (stack === 0 ? missing(SLOT.stack) : 0) |
      (isIpv4 && event.arg0Low === 0 && event.arg0High === 0 ? missing(SLOT.arg0) : 0) |
      (run.keepsArg1(probe.operation.arg1, event.arg1Low, event.arg1High) ? 0 : missing(SLOT.arg1)) |
      (SLOTS << 16);
    words[CALL.pid] = pid;
    words[CALL.tid] = event.tid;
    set(words, CALL.start, event.startLow, event.startHigh);
    set(words, CALL.duration, event.durationLow, event.durationHigh);
    set(words, CALL.callId, event.rowidLow, event.rowidHigh);
    set(words, CALL.parentId, 0, 0);
    set(words, CALL.returnValue, event.returnLow, event.returnHigh);
    if (isIpv4) set(words, CALL.slots + SLOT.arg0 * 2, swap(event.arg0Low), swap(event.arg0High));
    else set(words, CALL.slots + SLOT.arg0 * 2, event.arg0Low, event.arg0High);
    set(words, CALL.slots + SLOT.arg1 * 2, event.arg1Low, event.arg1High);
    set(words, CALL.slots + SLOT.gpuId * 2, event.gpuId, 0);
    set(words, CALL.slots + SLOT.stack * 2, stack, 0);
    set(words, CALL.slots + SLOT.process * 2, this.#processes.idOf(run, pid), 0);
    set(words, CALL.slots + SLOT.run * 2, run.id, 0);
    this.#tables.get(probe.operation.table)?.append(words, 0);
    if (++this.#rows % FLUSH_ROWS === 0) for (const table of this.#tables.values()) table.flush();
  }

  /** Commits and closes the tables. */
  close(): void {
    for (const table of this.#tables.values()) table.close();
  }
}

function set(words: Uint32Array, at: number, low: number, high: number): void {
  words[at] = low;
  words[at + 1] = high;
}

/** A word with its bytes in the opposite order. */
function swap(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
