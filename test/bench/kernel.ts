import { execFileSync } from 'node:child_process';
import { closeSync, readFileSync } from 'node:fs';
import koffi from 'koffi';
import {
  BPF_TRACE_UPROBE_MULTI,
  createUprobeMultiLink,
  type Libbpf,
  openOpts,
  type Pointer,
} from '../../src/loader/libbpf.js';
import { lastErrno } from '../../src/trust/libc.js';

/** Compiles one of test/bench/bpf's programs and returns the object's bytes. */
export function compileBpf(root: string, name: string): Buffer {
  const out = `${root}/build/bench-${name}.bpf.o`;
  execFileSync(
    process.env.CLANG ?? 'clang-14',
    [
      '-g',
      '-O2',
      '-target',
      'bpf',
      '-mcpu=v3',
      `-I/usr/include/${hostTriple()}`,
      '-c',
      `${name}.bpf.c`,
      '-o',
      out,
    ],
    { cwd: `${root}/test/bench/bpf` },
  );
  return readFileSync(out);
}

function hostTriple(): string {
  return `${execFileSync('uname', ['-m']).toString().trim()}-linux-gnu`;
}

/** An empty probe pair on one function; returns what removes it. */
export function attachEmptyPair(libbpf: Libbpf, bytes: Buffer, path: string, offset: number): () => void {
  const object = libbpf.bpf_object__open_mem(bytes, bytes.length, openOpts('empty')) as Pointer;
  const program = (name: string): Pointer => libbpf.bpf_object__find_program_by_name(object, name) as Pointer;
  for (const name of ['on_entry', 'on_return']) {
    libbpf.bpf_program__set_expected_attach_type(program(name), BPF_TRACE_UPROBE_MULTI);
  }
  if (libbpf.bpf_object__load(object) < 0) throw new Error(`loading the empty probes: ${lastErrno().text}`);
  const links = ['on_return', 'on_entry'].map((name) =>
    createUprobeMultiLink(libbpf.bpf_program__fd(program(name)), path, [offset], [0], name === 'on_return'),
  );
  if (links.some((fd) => fd < 0)) throw new Error(`attaching the empty probes: ${lastErrno().text}`);
  return () => {
    for (const fd of links) closeSync(fd);
    libbpf.bpf_object__close(object);
  };
}

/** `struct bpf_test_run_opts` (bpf/bpf.h). */
const TestRunOpts = koffi.struct('bpf_test_run_opts', {
  sz: 'size_t',
  data_in: 'const void *',
  data_out: 'void *',
  data_size_in: 'uint32_t',
  data_size_out: 'uint32_t',
  ctx_in: 'void *',
  ctx_out: 'void *',
  ctx_size_in: 'uint32_t',
  ctx_size_out: 'uint32_t',
  retval: 'uint32_t',
  repeat: 'int',
  duration: 'uint32_t',
  flags: 'uint32_t',
  cpu: 'uint32_t',
  batch_size: 'uint32_t',
});

/** Emits records into the recorder's rings from inside the kernel. */
export class Storm {
  readonly #run: (fd: number, opts: object) => number;
  readonly #fd: number;
  readonly #state = Buffer.alloc(40);

  constructor(libbpf: Libbpf, bytes: Buffer, ringsFd: number, ringMask: number) {
    const native = koffi.load(libbpf.path);
    const reuse = native.func('int bpf_map__reuse_fd(void *map, int fd)') as unknown as (
      map: Pointer,
      fd: number,
    ) => number;
    this.#run = native.func('int bpf_prog_test_run_opts(int fd, bpf_test_run_opts *opts)') as never;
    const object = libbpf.bpf_object__open_mem(bytes, bytes.length, openOpts('storm')) as Pointer;
    reuse(libbpf.bpf_object__find_map_by_name(object, 'rings') as Pointer, ringsFd);
    if (libbpf.bpf_object__load(object) < 0) throw new Error(`loading the storm: ${lastErrno().text}`);
    this.#fd = libbpf.bpf_program__fd(libbpf.bpf_object__find_program_by_name(object, 'storm') as Pointer);
    this.#state.writeUInt32LE(ringMask, 32);
    this.#state.writeUInt32LE(12345, 36);
  }

  /** Emits `count` more records. */
  emit(count: number): void {
    this.#state.writeBigUInt64LE(BigInt(count), 0);
    const result = this.#run(this.#fd, {
      sz: koffi.sizeof(TestRunOpts),
      ctx_in: this.#state,
      ctx_size_in: this.#state.length,
    });
    if (result < 0) throw new Error(`running the storm: ${lastErrno().text}`);
  }

  get emitted(): number {
    return Number(this.#state.readBigUInt64LE(8));
  }

  get lost(): number {
    return Number(this.#state.readBigUInt64LE(16));
  }
}
