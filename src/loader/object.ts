import { createHash } from 'node:crypto';
import { closeSync, readFileSync, readSync } from 'node:fs';
import { basename } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { PACKAGE_ROOT } from '../paths.js';
import { SMALLEST_RING_BYTES } from '../ring/ring-reader.js';
import { lastErrno } from '../trust/libc.js';
import {
  type BpfSettings,
  type Counters,
  encodeProbe,
  encodeSettings,
  MAX_RINGS,
  SIZEOF_COUNTERS,
  sumCounters,
} from './layout.js';
import {
  BPF_MAP_TYPE_RINGBUF,
  BPF_TRACE_UPROBE_MULTI,
  captureLog,
  createUprobeMultiLink,
  type Libbpf,
  openOpts,
  type Pointer,
  uprobeOpts,
} from './libbpf.js';

const OBJECT_DIR = `${PACKAGE_ROOT}/src/loader/bpf`;
const BPF_ANY = 0n;
const EBADF = 9;
/** Where in the object's file a probe is tried: behind its ELF header. */
const TRIAL_OFFSET = 64;

export interface LoadOptions {
  /** Process filter; see BpfSettings. */
  filter: Pick<BpfSettings, 'filterByProcess' | 'followChildren' | 'comm'>;
  /** Size of all rings together in bytes; each ring is rounded up to a power of two, and is not less than SMALLEST_RING_BYTES. */
  ringBytes: number;
  /** Never use multi-uprobe links, even where the kernel has them. */
  perfLinksOnly?: boolean;
}

/** The programs probes are attached to. */
const PROBE_PROGRAMS = ['on_entry', 'on_return', 'on_entry_text', 'on_return_text', 'on_load'] as const;
export type ProgramName = (typeof PROBE_PROGRAMS)[number];

/** Time spent in programs, ns: in all of them, and of it in those at the entries of functions and at their returns. */
export interface RunTime {
  allNs: bigint;
  entryNs: bigint;
  returnNs: bigint;
}

/** A ring buffer map and its size in bytes. */
export interface Ring {
  fd: number;
  bytes: number;
}

/** What is asked of the kernel. Multi-uprobe links came after sleepable uprobes. */
interface Features {
  multi: boolean;
  sleepable: boolean;
}

function objectPath(): string {
  return `${OBJECT_DIR}/ingero.${process.arch}.bpf.o`;
}

/** Reads the BPF object of this architecture and checks it against the digest that ships with it. */
export function readBpfObject(): { bytes: Buffer; sha256: string } {
  const path = objectPath();
  const name = basename(path);
  const bytes = readFileSync(path);
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const expected = (JSON.parse(readFileSync(`${OBJECT_DIR}/digests.json`, 'utf8')) as Record<string, string>)[
    name
  ];
  if (sha256 !== expected) {
    throw new IngeroError(`The BPF object ${name} is not the one this ingero was released with.`, {
      code: 'bpf-digest',
      exitCode: EXIT.notReady,
      expected: `SHA-256 ${expected ?? '(none)'}, found ${sha256}`,
      next: 'Reinstall ingero from a trusted source.',
    });
  }
  return { bytes, sha256 };
}

/** The BPF object in the kernel: its programs, maps and rings. */
export class BpfObject {
  readonly libbpf: Libbpf;
  readonly sha256: string;
  /** Whether probes can be attached with multi-uprobe links. */
  readonly uprobeMulti: boolean;
  /** Whether the programs for texts could be loaded. */
  readonly sleepable: boolean;
  readonly rings: readonly Ring[];
  readonly #object: Pointer;
  readonly #links: Pointer[] = [];
  readonly #cpus: number;
  /** Looked up by name once: counters are read for every probe, again and again. */
  readonly #mapFds = new Map<string, number>();

  private constructor(libbpf: Libbpf, sha256: string, features: Features, object: Pointer, rings: Ring[]) {
    this.libbpf = libbpf;
    this.sha256 = sha256;
    this.uprobeMulti = features.multi;
    this.sleepable = features.sleepable;
    this.rings = rings;
    this.#object = object;
    this.#cpus = libbpf.libbpf_num_possible_cpus();
  }

  /**
   * Loads the object. Multi-uprobe links are used where a trial of one gives the answer of a kernel that
   * has them. Throws `bpf-load` with libbpf's and the verifier's words when the kernel refuses.
   */
  static load(libbpf: Libbpf, options: LoadOptions): BpfObject {
    const { bytes, sha256 } = readBpfObject();
    if (!options.perfLinksOnly) {
      const multi = BpfObject.#tryLoad(libbpf, bytes, sha256, options, { multi: true, sleepable: true });
      if (multi instanceof BpfObject) {
        if (multi.#kernelHasUprobeMulti()) return multi;
        multi.close();
      }
    }
    const single = BpfObject.#tryLoad(libbpf, bytes, sha256, options, { multi: false, sleepable: true });
    if (single instanceof BpfObject) return single.#withPerfLinks();
    const plain = BpfObject.#tryLoad(libbpf, bytes, sha256, options, { multi: false, sleepable: false });
    if (plain instanceof BpfObject) return plain.#withPerfLinks();
    throw loadError(plain.errno, plain.log);
  }

  /**
   * This object, when the kernel takes a probe by a perf link from this process; tried on a file nobody runs. Throws
   * `probes-refused`: CAP_PERFMON was enough from Linux 5.8 until the summer of 2025 (commit ba677dbe77af, in stable releases).
   */
  #withPerfLinks(): this {
    const link = this.libbpf.bpf_program__attach_uprobe_opts(
      this.program('on_load'),
      -1,
      objectPath(),
      TRIAL_OFFSET,
      uprobeOpts(0, false),
    );
    if (link !== null) {
      this.libbpf.bpf_link__destroy(link);
      return this;
    }
    const { text } = lastErrno();
    this.close();
    for (const { fd } of this.rings) closeSync(fd);
    throw new IngeroError(`The kernel refused a probe by a perf link: ${text}.`, {
      code: 'probes-refused',
      exitCode: EXIT.notReady,
      expected: 'root or CAP_SYS_ADMIN, as kernels without multi-uprobe links take it; some take CAP_PERFMON',
      next: 'Trace with sudo, or boot Linux 6.6 or newer, where CAP_BPF and CAP_PERFMON are enough.',
    });
  }

  static #tryLoad(
    libbpf: Libbpf,
    bytes: Buffer,
    sha256: string,
    options: LoadOptions,
    features: Features,
  ): BpfObject | { errno: { code: number; text: string }; log: string[] } {
    const log: string[] = [];
    const stopLog = captureLog(libbpf, (level, message) => {
      if (level < 2) log.push(message);
    });
    let object: Pointer | null = null;
    try {
      object = libbpf.bpf_object__open_mem(bytes, bytes.length, openOpts('ingero'));
      if (object === null) return { errno: lastErrno(), log };
      const cpus = libbpf.libbpf_num_possible_cpus();
      const ringCount = Math.min(MAX_RINGS, 2 ** Math.floor(Math.log2(cpus)));
      const rodata = libbpf.bpf_object__find_map_by_name(object, '.rodata') as Pointer;
      const settings = encodeSettings({
        ...options.filter,
        epochNs: process.hrtime.bigint(),
        ringMask: ringCount - 1,
        cpuBits: Math.ceil(Math.log2(cpus + 1)),
      });
      libbpf.bpf_map__set_initial_value(rodata, settings, settings.length);
      for (const name of PROBE_PROGRAMS) {
        const program = libbpf.bpf_object__find_program_by_name(object, name) as Pointer;
        libbpf.bpf_program__set_expected_attach_type(program, features.multi ? BPF_TRACE_UPROBE_MULTI : 0);
        if (name.endsWith('_text')) libbpf.bpf_program__set_autoload(program, features.sleepable);
      }
      if (libbpf.bpf_object__load(object) < 0) {
        const errno = lastErrno();
        libbpf.bpf_object__close(object);
        return { errno, log };
      }
      const rings = createRings(libbpf, object, ringCount, options.ringBytes);
      return new BpfObject(libbpf, sha256, features, object, rings);
    } finally {
      stopLog();
    }
  }

  /** A kernel without multi-uprobe links says EINVAL here; one with them looks at the path first (libbpf's probe). */
  #kernelHasUprobeMulti(): boolean {
    const fd = createUprobeMultiLink(this.programFd('on_entry'), '/', [1], [0], false);
    return fd < 0 && lastErrno().code === EBADF;
  }

  program(name: string): Pointer {
    const program = this.libbpf.bpf_object__find_program_by_name(this.#object, name);
    if (program === null) throw new Error(`no program ${name} in the BPF object`);
    return program;
  }

  programFd(name: string): number {
    return this.libbpf.bpf_program__fd(this.program(name));
  }

  #mapFd(name: string): number {
    const known = this.#mapFds.get(name);
    if (known !== undefined) return known;
    const map = this.libbpf.bpf_object__find_map_by_name(this.#object, name);
    if (map === null) throw new Error(`no map ${name} in the BPF object`);
    const fd = this.libbpf.bpf_map__fd(map);
    this.#mapFds.set(name, fd);
    return fd;
  }

  /** Descriptor of the array of rings, for programs that emit into the same ones. */
  get ringsFd(): number {
    return this.#mapFd('rings');
  }

  /** Tells the kernel what to gather at probe `id`: before it is attached, or to change it while it is. */
  setProbe(id: number, probe: Parameters<typeof encodeProbe>[0], withoutStack = false): void {
    this.#update('probes', u32(id), encodeProbe(probe, withoutStack));
  }

  /** Time spent in programs so far; null when the kernel does not count it (kernel.bpf_stats_enabled). */
  runTime(): RunTime | null {
    const times = PROBE_PROGRAMS.map((name) => {
      const info = readFileSync(`/proc/self/fdinfo/${this.programFd(name)}`, 'utf8');
      return [name, BigInt(/^run_time_ns:\t(\d+)$/m.exec(info)?.[1] ?? 0)] as const;
    });
    const sum = (start: string): bigint =>
      times.reduce((total, [name, ns]) => (name.startsWith(start) ? total + ns : total), 0n);
    const allNs = sum('');
    return allNs === 0n ? null : { allNs, entryNs: sum('on_entry'), returnNs: sum('on_return') };
  }

  /** Adds a process to the filter. */
  allowProcess(pid: number): void {
    this.#update('processes', u32(pid), Buffer.from([1]));
  }

  /** What the kernel has counted for probe `id` so far. */
  counters(id: number): Counters {
    const value = Buffer.alloc(SIZEOF_COUNTERS * this.#cpus);
    if (this.libbpf.bpf_map_lookup_elem(this.#mapFd('counters'), u32(id), value) < 0) {
      throw bpfCallError('reading counters', lastErrno().text);
    }
    return sumCounters(value, this.#cpus);
  }

  /** Descriptor of the ring that tells which processes got new libraries; see LoadBell. */
  get loadsFd(): number {
    return this.#mapFd('loads');
  }

  /** Attaches the programs that clean up at thread exit and exec, follow children and tell of new programs. */
  attachTracepoints(): void {
    for (const name of ['on_thread_exit', 'on_exec', 'on_fork', 'on_exec_load']) {
      const link = this.libbpf.bpf_program__attach(this.program(name));
      if (link === null) throw bpfCallError(`attaching ${name}`, lastErrno().text);
      this.#links.push(link);
    }
  }

  /** Emits a record for every call still in flight. The probes must be detached first. */
  dumpInFlight(): void {
    const link = this.libbpf.bpf_program__attach_iter(this.program('dump_in_flight'), null);
    if (link === null) throw bpfCallError('attaching the task iterator', lastErrno().text);
    const fd = this.libbpf.bpf_iter_create(this.libbpf.bpf_link__fd(link));
    if (fd < 0) throw bpfCallError('creating the task iterator', lastErrno().text);
    const buffer = Buffer.alloc(4096);
    while (readSync(fd, buffer, 0, buffer.length, null) > 0);
    closeSync(fd);
    this.libbpf.bpf_link__destroy(link);
  }

  /** Detaches what attachTracepoints attached and unloads the object. Rings stay open for their reader. */
  close(): void {
    for (const link of this.#links) this.libbpf.bpf_link__destroy(link);
    this.#links.length = 0;
    this.libbpf.bpf_object__close(this.#object);
  }

  #update(map: string, key: Buffer, value: Buffer): void {
    if (this.libbpf.bpf_map_update_elem(this.#mapFd(map), key, value, BPF_ANY) < 0) {
      throw bpfCallError(`updating map ${map}`, lastErrno().text);
    }
  }
}

function createRings(libbpf: Libbpf, object: Pointer, count: number, totalBytes: number): Ring[] {
  const bytes = 2 ** Math.ceil(Math.log2(Math.max(SMALLEST_RING_BYTES, totalBytes / count)));
  const outer = libbpf.bpf_map__fd(libbpf.bpf_object__find_map_by_name(object, 'rings') as Pointer);
  return Array.from({ length: count }, (_, index) => {
    const fd = libbpf.bpf_map_create(BPF_MAP_TYPE_RINGBUF, 'ring', 0, 0, bytes, null);
    if (fd < 0) throw bpfCallError(`creating a ring buffer of ${bytes} bytes`, lastErrno().text);
    if (libbpf.bpf_map_update_elem(outer, u32(index), u32(fd), BPF_ANY) < 0) {
      throw bpfCallError('installing a ring buffer', lastErrno().text);
    }
    return { fd, bytes };
  });
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function bpfCallError(what: string, text: string): IngeroError {
  return new IngeroError(`The kernel refused ${what}: ${text}.`, {
    code: 'bpf-call',
    exitCode: EXIT.notReady,
    next: 'Run `ingero check` to see what this host lacks.',
  });
}

function loadError(errno: { code: number; text: string }, log: readonly string[]): IngeroError {
  // The verifier's log has thousands of lines; the reason stands in the last ones.
  const said = log
    .flatMap((message) => message.split('\n'))
    .filter((line) => line.trim() !== '')
    .slice(-12);
  return new IngeroError(
    `The kernel refused the BPF object: ${errno.text}.${said.length === 0 ? '' : `\n${said.join('\n')}`}`,
    {
      code: 'bpf-load',
      exitCode: EXIT.notReady,
      expected:
        'root, or CAP_BPF and CAP_PERFMON; a kernel with BTF, ring buffers and task storage (5.15 or newer)',
      next: 'Run `ingero check` to see what this host lacks.',
    },
  );
}
