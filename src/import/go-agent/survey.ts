import type { RowView } from '../sqlite/index.js';
import type { EventRow } from './event-row.js';
import { pidIsTid } from './operations.js';
import { Earliest, type ProcessFacts, type Run, type Runs } from './runs.js';
import type { StackIndex } from './stacks.js';

/** A thread seen only where the old agent does not say its process. */
interface SwitchedThread {
  firstSeen: Earliest;
  comm: string | null;
  cgroup: number;
  events: number;
}

/**
 * First pass over the events: what is there, so that the second pass can be planned and, when it is done,
 * checked. Its counts are the source's side of that check.
 */
export class Survey {
  readonly #runs: Runs;
  readonly #stacks: StackIndex;
  readonly #switched = new Map<Run, Map<number, SwitchedThread>>();
  events = 0;
  /** Events that cannot be converted, by reason. */
  readonly rejected = new Map<string, number>();
  /** Events with a stack in the form used before schema 0.8, which is not read. */
  inlineStacks = 0;

  constructor(runs: Runs, stacks: StackIndex) {
    this.#runs = runs;
    this.#stacks = stacks;
  }

  add(event: EventRow, row: RowView): void {
    this.events++;
    const reason = event.read(row);
    if (reason !== null) {
      this.rejected.set(reason, (this.rejected.get(reason) ?? 0) + 1);
      return;
    }
    event.readIdentity(row);
    const run = this.#runs.runOf(event.nodes.texts[event.node] as string, event.start);
    run.count(event);
    if (run.first === null) run.first = new Earliest(event.startNs);
    else run.first.meet(event);
    this.#stacks.meet(run, event.stackLow, event.stackHigh);
    if (event.hasInlineStack && event.stackLow === 0 && event.stackHigh === 0) this.inlineStacks++;
    const comm = event.comm === 0 ? null : (event.comms.texts[event.comm] as string);
    if (pidIsTid(event.source, event.op)) this.#meetSwitched(run, event, comm);
    else this.#meet(run, event, row, comm);
  }

  /** Completes the processes: threads known from scheduling alone go to the process other events name. */
  finish(): void {
    for (const [run, threads] of this.#switched) {
      for (const [tid, thread] of threads) {
        const known = run.threads.get(tid);
        const pid = known?.pid ?? tid;
        const process = this.#process(run, pid, thread.firstSeen.ns);
        addCgroup(process, thread.cgroup, thread.events);
        process.firstSeen.include(thread.firstSeen.ns);
        if (known === undefined) {
          run.threads.set(tid, { tid, pid, firstSeen: thread.firstSeen, name: thread.comm });
        } else known.firstSeen.include(thread.firstSeen.ns);
      }
    }
    for (const run of this.#runs.all) {
      for (const process of run.processes.values()) {
        // The main thread's name is the process's.
        process.comm ??= run.threads.get(process.pid)?.name ?? null;
      }
    }
  }

  #meet(run: Run, event: EventRow, row: RowView, comm: string | null): void {
    const { pid, tid } = event;
    const process = run.processes.get(pid) ?? this.#process(run, pid, event.startNs);
    process.firstSeen.meet(event);
    addCgroup(process, event.cgroup, 1);
    if (process.rank === null && process.local_rank === null && process.world_size === null) {
      Object.assign(process, event.ranks(row));
    }
    const thread = run.threads.get(tid);
    if (thread === undefined)
      run.threads.set(tid, { tid, pid, firstSeen: new Earliest(event.startNs), name: comm });
    else {
      thread.firstSeen.meet(event);
      thread.name ??= comm;
    }
  }

  #meetSwitched(run: Run, event: EventRow, comm: string | null): void {
    let threads = this.#switched.get(run);
    if (threads === undefined) {
      threads = new Map();
      this.#switched.set(run, threads);
    }
    const thread = threads.get(event.tid);
    if (thread === undefined) {
      threads.set(event.tid, {
        firstSeen: new Earliest(event.startNs),
        comm,
        cgroup: event.cgroup,
        events: 1,
      });
      return;
    }
    thread.events++;
    thread.firstSeen.meet(event);
    thread.comm ??= comm;
  }

  #process(run: Run, pid: number, firstSeenNs: bigint): ProcessFacts {
    let process = run.processes.get(pid);
    if (process === undefined) {
      process = {
        pid,
        firstSeen: new Earliest(firstSeenNs),
        comm: null,
        rank: null,
        local_rank: null,
        world_size: null,
        cgroups: new Map(),
      };
      run.processes.set(pid, process);
    }
    return process;
  }
}

function addCgroup(process: ProcessFacts, cgroup: number, events: number): void {
  if (cgroup !== 0) process.cgroups.set(cgroup, (process.cgroups.get(cgroup) ?? 0) + events);
}
