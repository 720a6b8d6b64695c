import type { EventRow } from './event-row.js';
import { type Arg1Rule, operationOf } from './operations.js';
import { isAtLeast, type Session } from './sessions.js';

/** Addresses of one run that are compared to tell device pointers from others. */
const MAX_ADDRESSES = 1 << 17;
/** Every address cudaMalloc returns is a multiple of this (CUDA C Programming Guide, "Device Memory Accesses"). */
const ALIGNMENT = 256;
const TWO_32 = 2 ** 32;

/** The earliest of the times it is shown. */
export class Earliest {
  /** ns since 1970. */
  ns: bigint;
  /** The same, exact to about 256 ns: most times are later by far, and are not made into a bigint. */
  #about: number;

  constructor(ns: bigint) {
    this.ns = ns;
    this.#about = Number(ns);
  }

  meet(event: EventRow): void {
    if (event.start <= this.#about) this.include(event.startNs);
  }

  include(ns: bigint): void {
    if (ns >= this.ns) return;
    this.ns = ns;
    this.#about = Number(ns);
  }
}

/** One process of a run, as its events show it. */
export interface ProcessFacts {
  pid: number;
  firstSeen: Earliest;
  comm: string | null;
  rank: number | null;
  local_rank: number | null;
  world_size: number | null;
  /** Events by cgroup id. */
  cgroups: Map<number, number>;
}

export interface ThreadFacts {
  tid: number;
  pid: number;
  firstSeen: Earliest;
  name: string | null;
}

/** What the events of one operation in one run are, before any of them is converted. */
export interface OpFacts {
  source: number;
  op: number;
  events: number;
}

/** One run of the recorder on one node, and what the survey finds out about it. */
export class Run {
  readonly id: number;
  /** undefined: events of a node that has no session. */
  readonly session: Session | undefined;
  readonly node: string;
  readonly ops = new Map<number, OpFacts>();
  readonly processes = new Map<number, ProcessFacts>();
  readonly threads = new Map<number, ThreadFacts>();
  /** Of its events; null without any. */
  first: Earliest | null = null;
  #allocations = 0;
  #allocationsWithZero = 0;
  readonly #allocated = new Set<number>();
  readonly #freed = new Set<number>();
  /** Whether an address was seen that no allocation of device memory can have returned. */
  #hasOtherAddress = false;
  #holdsDevicePointers: boolean | undefined;

  constructor(id: number, node: string, session: Session | undefined) {
    this.id = id;
    this.node = node;
    this.session = session;
  }

  count(event: EventRow): void {
    const key = event.source * 0x1_0000 + event.op;
    const facts = this.ops.get(key);
    if (facts === undefined) this.ops.set(key, { source: event.source, op: event.op, events: 1 });
    else facts.events++;
    if (event.source === 1) this.#notePointer(event);
  }

  /** Whether a value of `arg1` is to be kept (operations.ts, Arg1Rule). */
  keepsArg1(rule: Arg1Rule | undefined, low: number, high: number): boolean {
    switch (rule) {
      case undefined:
        return true;
      case 'nonzero':
        return low !== 0 || high !== 0;
      case 'not-negative':
        return high < 0x8000_0000;
      case 'since-0.16':
        return isAtLeast(this.session, 0, 16);
      case 'device-pointer':
        return (low !== 0 || high !== 0) && this.#hasDevicePointers();
    }
  }

  /** Allocations that are converted without their address. */
  get allocationsWithoutAddress(): number {
    return this.#hasDevicePointers() ? this.#allocationsWithZero : this.#allocations;
  }

  /**
   * Old files hold 0 or the host address the pointer was to be stored at instead of the device address. They
   * are told apart by what the run itself says: every address is aligned as cudaMalloc aligns, and
   * the agent is new enough, or one of them was passed to cudaFree.
   */
  #hasDevicePointers(): boolean {
    this.#holdsDevicePointers ??=
      !this.#hasOtherAddress &&
      (isAtLeast(this.session, 0, 16) || [...this.#freed].some((address) => this.#allocated.has(address)));
    return this.#holdsDevicePointers;
  }

  #notePointer(event: EventRow): void {
    const { arg1 } = operationOf(event.source, event.op);
    if (arg1 === 'device-pointer') {
      // A failed allocation has none to record.
      if (event.returnLow === 0) {
        this.#allocations++;
        if (event.arg1Low === 0 && event.arg1High === 0) this.#allocationsWithZero++;
      }
      if (event.arg1Low % ALIGNMENT !== 0) this.#hasOtherAddress = true;
      const address = event.arg1High * TWO_32 + event.arg1Low;
      if (address !== 0 && this.#allocated.size < MAX_ADDRESSES) this.#allocated.add(address);
    } else if (event.op === 2 && this.#freed.size < MAX_ADDRESSES) {
      this.#freed.add(event.arg0High * TWO_32 + event.arg0Low);
    }
  }
}

/**
 * The runs of a file: one per session, and one for each node that has events but no session. Events name their node at
 * most, so they belong to the last session of it that had begun.
 */
export class Runs {
  readonly all: Run[] = [];
  readonly #byNode = new Map<string, { run: Run; from: number }[]>();
  /** Where events that name no node, or one without session, are looked for. */
  readonly #single: { run: Run; from: number }[] | undefined;

  constructor(sessions: readonly Session[]) {
    const sorted = [...sessions].sort((a, b) =>
      a.startedNs < b.startedNs ? -1 : a.startedNs > b.startedNs ? 1 : 0,
    );
    for (const session of sorted) {
      const run = new Run(this.all.length + 1, session.node, session);
      this.all.push(run);
      const list = this.#byNode.get(session.node) ?? [];
      list.push({ run, from: Number(session.startedNs) });
      this.#byNode.set(session.node, list);
    }
    // A file of one node says so in its sessions or in its events, not always in both.
    const [only, ...others] = this.#byNode.values();
    this.#single = others.length === 0 ? only : undefined;
  }

  /** Nodes with a session, or with events of their own. */
  get nodes(): string[] {
    return [...new Set(this.all.map(({ node }) => node))];
  }

  /** The run of something that happened on a node at a time (ns since 1970). */
  runOf(node: string, at: number): Run {
    const runs = this.#byNode.get(node) ?? this.#adopt(node);
    // The last that had begun; the first for what seems to lie before it.
    let low = 0;
    for (let high = runs.length - 1; low < high; ) {
      const middle = (low + high + 1) >>> 1;
      if ((runs[middle] as { from: number }).from <= at) low = middle;
      else high = middle - 1;
    }
    return (runs[low] as { run: Run }).run;
  }

  /** The run at a time in tables that do not name the node; null when that could be several. */
  runAt(at: number): Run | null {
    const [node, ...others] = this.nodes;
    return node === undefined || others.length > 0 ? null : this.runOf(node, at);
  }

  #adopt(node: string): { run: Run; from: number }[] {
    const isAnonymous = node === '' || this.#byNode.has('');
    let runs = isAnonymous ? this.#single : undefined;
    if (runs === undefined) {
      const run = new Run(this.all.length + 1, node, undefined);
      this.all.push(run);
      runs = [{ run, from: 0 }];
    }
    this.#byNode.set(node, runs);
    return runs;
  }
}
