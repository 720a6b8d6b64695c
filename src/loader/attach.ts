import { closeSync } from 'node:fs';
import { captureLog, createUprobeMultiLink, lastErrno, type Pointer, uprobeOpts } from './libbpf.js';
import type { BpfObject } from './object.js';

/** One probe to attach: its id in the BPF maps, and where in the file. */
export interface ProbePoint {
  id: number;
  /** File offset in bytes. */
  offset: number;
  mode: 'call' | 'entry';
}

/** What became of one probe: attached, or the kernel's words why not. */
export interface AttachOutcome {
  id: number;
  error: string | null;
}

/** The links that hold probes in place; closing them removes the probes. */
export class ProbeLinks {
  readonly #object: BpfObject;
  readonly #links: Pointer[] = [];
  readonly #fds: number[] = [];

  constructor(object: BpfObject) {
    this.#object = object;
  }

  /**
   * Attaches probes to one file, for every process that maps it now or later. Return probes go first: a call
   * entered between the two is then a return without an entry, never an entry that waits for ever.
   * With multi-uprobe links all probes share two links; if those are refused, one link per probe finds the culprit.
   */
  attach(path: string, points: readonly ProbePoint[]): AttachOutcome[] {
    if (points.length === 0) return [];
    if (this.#object.uprobeMulti && this.#attachMulti(path, points)) {
      return points.map((point) => ({ id: point.id, error: null }));
    }
    return points.map((point) => ({ id: point.id, error: this.#attachOne(path, point) }));
  }

  /** Removes every probe. No program runs for them afterwards. */
  close(): void {
    for (const fd of this.#fds) closeSync(fd);
    for (const link of this.#links) this.#object.libbpf.bpf_link__destroy(link);
    this.#fds.length = 0;
    this.#links.length = 0;
  }

  #attachMulti(path: string, points: readonly ProbePoint[]): boolean {
    const calls = points.filter((point) => point.mode === 'call');
    const made: number[] = [];
    for (const [group, isReturn] of [
      [calls, true],
      [points, false],
    ] as const) {
      if (group.length === 0) continue;
      const fd = createUprobeMultiLink(
        this.#object.programFd(isReturn ? 'on_return' : 'on_entry'),
        path,
        group.map((point) => point.offset),
        group.map((point) => point.id),
        isReturn,
      );
      if (fd < 0) {
        for (const other of made) closeSync(other);
        return false;
      }
      made.push(fd);
    }
    this.#fds.push(...made);
    return true;
  }

  #attachOne(path: string, point: ProbePoint): string | null {
    if (this.#object.uprobeMulti) {
      return this.#attachMulti(path, [point]) ? null : lastErrno().text;
    }
    const { libbpf } = this.#object;
    const log: string[] = [];
    const stopLog = captureLog(libbpf, (level, message) => {
      if (level === 0) log.push(message);
    });
    try {
      const error = this.#attachPerf(path, point);
      return error === null ? null : [error, ...log].join('; ');
    } finally {
      stopLog();
    }
  }

  #attachPerf(path: string, point: ProbePoint): string | null {
    const { libbpf } = this.#object;
    const made: Pointer[] = [];
    for (const isReturn of point.mode === 'call' ? [true, false] : [false]) {
      const program = this.#object.program(isReturn ? 'on_return' : 'on_entry');
      const link = libbpf.bpf_program__attach_uprobe_opts(
        program,
        -1,
        path,
        point.offset,
        uprobeOpts(point.id, isReturn),
      );
      if (link === null) {
        const { text } = lastErrno();
        for (const other of made) libbpf.bpf_link__destroy(other);
        return text;
      }
      made.push(link);
    }
    this.#links.push(...made);
    return null;
  }
}
