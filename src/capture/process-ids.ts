interface Incarnation {
  id: number;
  /** When it started, monotonic ns; null until one of its threads was met. */
  startNs: bigint | null;
}

/**
 * Identities of the processes of a run: `process_id`, from 1 in order of appearance. A process is known by its pid and
 * the time it started, so one that gets the pid of one that ended is another. An exec changes neither.
 */
export class ProcessIds {
  /** Those that had the pid, the latest start first. */
  readonly #byPid = new Map<number, Incarnation[]>();
  #last = 0;
  #isAnyReused = false;

  /** Whether any pid has belonged to two processes. */
  get isAnyReused(): boolean {
    return this.#isAnyReused;
  }

  /** Identity of the process that had this pid at a time, monotonic ns. */
  idOf(pid: number, atNs: bigint): number {
    const known = this.#byPid.get(pid);
    if (known === undefined) return this.#add(pid, null);
    const had = known.find(({ startNs }) => startNs === null || startNs <= atNs) ?? known.at(-1);
    return (had as Incarnation).id;
  }

  /** Learns of a thread of a process that started at `startNs`. `isNew`: none of its threads was met before. */
  meet(pid: number, startNs: bigint): { id: number; isNew: boolean } {
    const known = this.#byPid.get(pid) ?? [];
    const met = known.find((process) => process.startNs === startNs);
    if (met !== undefined) return { id: met.id, isNew: false };
    // A call may be read before the first thread of its process, from another ring.
    const waiting = known.find((process) => process.startNs === null);
    if (waiting === undefined) return { id: this.#add(pid, startNs), isNew: true };
    waiting.startNs = startNs;
    return { id: waiting.id, isNew: true };
  }

  #add(pid: number, startNs: bigint | null): number {
    const known = this.#byPid.get(pid) ?? [];
    known.push({ id: ++this.#last, startNs });
    known.sort((one, other) => Number((other.startNs ?? 0n) - (one.startNs ?? 0n)));
    this.#byPid.set(pid, known);
    this.#isAnyReused ||= known.length > 1;
    return this.#last;
  }
}
