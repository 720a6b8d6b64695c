import { closeSync } from 'node:fs';
import { lastErrno } from '../trust/libc.js';
import { captureLog, createUprobeMultiLink, type Pointer, uprobeOpts } from './libbpf.js';
import type { BpfObject, ProgramName } from './object.js';

/** One probe to attach: its id in the BPF maps, and where in the file. */
export interface ProbePoint {
  id: number;
  /** File offset in bytes. */
  offset: number;
  mode: 'call' | 'entry';
  /** When texts are read, which only some programs can: at return, at entry alone, or never. */
  texts: 'return' | 'entry' | null;
}

/** The programs of bpf/ingero.bpf.c a probe needs; return programs first. */
function programsOf({ mode, texts }: ProbePoint): { name: ProgramName; isReturn: boolean }[] {
  const entry = { name: texts === null ? 'on_entry' : 'on_entry_text', isReturn: false } as const;
  if (mode === 'entry') return [entry];
  return [{ name: texts === 'return' ? 'on_return_text' : 'on_return', isReturn: true }, entry];
}

/** What became of one probe: attached, or the kernel's words why not. */
export interface AttachOutcome {
  id: number;
  error: string | null;
}

/** What holds probes in place: a descriptor of the kernel, or a link of libbpf. */
interface Link {
  isReturn: boolean;
  close: () => void;
}

/** The links that hold probes in place; closing them removes the probes. */
export class ProbeLinks {
  readonly #object: BpfObject;
  readonly #links: Link[] = [];

  constructor(object: BpfObject) {
    this.#object = object;
  }

  /**
   * Attaches probes to one file, for every process that maps it now or later. Return probes go first: a call
   * entered between the two is then a return without an entry, never an entry that waits for ever.
   * With multi-uprobe links all probes of a kind share two links; if those are refused, one link per probe finds the culprit.
   */
  attach(path: string, points: readonly ProbePoint[]): AttachOutcome[] {
    if (this.#object.sleepable) return this.#attachAll(path, points);
    // A kernel before 6.0: nothing can wait for the page a text is on.
    const able = points.filter((point) => point.texts === null);
    const error = 'this kernel has no sleepable uprobes, which strings need (Linux 6.0)';
    const refused = points.filter((point) => point.texts !== null).map(({ id }) => ({ id, error }));
    return [...this.#attachAll(path, able), ...refused];
  }

  #attachAll(path: string, points: readonly ProbePoint[]): AttachOutcome[] {
    if (points.length === 0) return [];
    if (this.#object.uprobeMulti && this.#attachMulti(path, points)) {
      return points.map((point) => ({ id: point.id, error: null }));
    }
    return points.map((point) => ({ id: point.id, error: this.#attachOne(path, point) }));
  }

  /**
   * Puts a probe on the function a dynamic loader calls when its list of libraries changed. Returns the kernel's words
   * when it refuses.
   */
  watchLoader(path: string, offset: number): string | null {
    if (this.#object.uprobeMulti) {
      const fd = createUprobeMultiLink(this.#object.programFd('on_load'), path, [offset], [0], false);
      if (fd < 0) return lastErrno().text;
      this.#links.push({ isReturn: false, close: () => closeSync(fd) });
      return null;
    }
    const link = this.#object.libbpf.bpf_program__attach_uprobe_opts(
      this.#object.program('on_load'),
      -1,
      path,
      offset,
      uprobeOpts(0, false),
    );
    if (link === null) return lastErrno().text;
    this.#links.push(this.#perfLink(link, false));
    return null;
  }

  /**
   * Removes every probe; no program runs for them afterwards. Entry probes go first: removing a link takes the kernel
   * up to a tenth of a second, and calls entered meanwhile would never be seen to return.
   */
  close(): void {
    for (const returns of [false, true]) {
      for (const { isReturn, close } of this.#links) if (isReturn === returns) close();
    }
    this.#links.length = 0;
  }

  #perfLink(link: Pointer, isReturn: boolean): Link {
    return { isReturn, close: () => this.#object.libbpf.bpf_link__destroy(link) };
  }

  #attachMulti(path: string, points: readonly ProbePoint[]): boolean {
    const made: Link[] = [];
    for (const program of ['on_return', 'on_return_text', 'on_entry', 'on_entry_text'] as const) {
      const group = points.filter((point) => programsOf(point).some(({ name }) => name === program));
      if (group.length === 0) continue;
      const isReturn = program.startsWith('on_return');
      const fd = createUprobeMultiLink(
        this.#object.programFd(program),
        path,
        group.map((point) => point.offset),
        group.map((point) => point.id),
        isReturn,
      );
      if (fd < 0) {
        for (const other of made) other.close();
        return false;
      }
      made.push({ isReturn, close: () => closeSync(fd) });
    }
    this.#links.push(...made);
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
    const made: Link[] = [];
    for (const { name, isReturn } of programsOf(point)) {
      const program = this.#object.program(name);
      const link = libbpf.bpf_program__attach_uprobe_opts(
        program,
        -1,
        path,
        point.offset,
        uprobeOpts(point.id, isReturn),
      );
      if (link === null) {
        const { text } = lastErrno();
        for (const other of made) other.close();
        return text;
      }
      made.push(this.#perfLink(link, isReturn));
    }
    this.#links.push(...made);
    return null;
  }
}
