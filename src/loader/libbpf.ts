/**
 * libbpf and the few libc calls the loader needs, one to one, named as in C. Nothing here interprets
 * anything: see object.ts and attach.ts. Signatures: libbpf 1.x `bpf/libbpf.h` and `bpf/bpf.h`.
 */
import koffi from 'koffi';
import { EXIT, IngeroError } from '../errors.js';
import { PACKAGE_ROOT } from '../paths.js';

/** Opaque native pointer. */
export type Pointer = bigint | object;

const OpenOpts = koffi.struct('bpf_object_open_opts', {
  sz: 'size_t',
  object_name: 'const char *',
  relaxed_maps: 'bool',
  pin_root_path: 'const char *',
  attach_prog_fd: 'uint32_t',
  kconfig: 'const char *',
  btf_custom_path: 'const char *',
  kernel_log_buf: 'void *',
  kernel_log_size: 'size_t',
  kernel_log_level: 'uint32_t',
});
const UprobeOpts = koffi.struct('bpf_uprobe_opts', {
  sz: 'size_t',
  ref_ctr_offset: 'size_t',
  bpf_cookie: 'uint64_t',
  retprobe: 'bool',
  func_name: 'const char *',
});
/** `link_create.uprobe_multi` of `union bpf_attr` (linux/bpf.h). */
const UprobeMultiAttr = koffi.struct('bpf_attr_uprobe_multi', {
  prog_fd: 'uint32_t',
  target_fd: 'uint32_t',
  attach_type: 'uint32_t',
  flags: 'uint32_t',
  path: 'const char *',
  offsets: 'uint64_t *',
  ref_ctr_offsets: 'uint64_t *',
  cookies: 'uint64_t *',
  cnt: 'uint32_t',
  multi_flags: 'uint32_t',
  pid: 'uint32_t',
  reserved: 'uint32_t',
});
const PrintFn = koffi.pointer(koffi.proto('int libbpf_print_fn(int level, void *format, void *args)'));

/** linux/bpf.h */
export const BPF_TRACE_UPROBE_MULTI = 48;
export const BPF_F_UPROBE_MULTI_RETURN = 1;
export const BPF_MAP_TYPE_RINGBUF = 27;
const BPF_LINK_CREATE = 28;
const SYS_BPF = process.arch === 'arm64' ? 280 : 321;

type Fn<Args extends unknown[], Result> = (...args: Args) => Result;

/** The native calls, under their C names. Pointers that may be NULL are `null`. */
export interface Libbpf {
  readonly path: string;
  libbpf_version_string: Fn<[], string>;
  libbpf_set_print: Fn<[unknown], unknown>;
  bpf_object__open_mem: Fn<[Uint8Array, number, object], Pointer | null>;
  bpf_object__load: Fn<[Pointer], number>;
  bpf_object__close: Fn<[Pointer], void>;
  bpf_object__find_map_by_name: Fn<[Pointer, string], Pointer | null>;
  bpf_object__find_program_by_name: Fn<[Pointer, string], Pointer | null>;
  bpf_map__fd: Fn<[Pointer], number>;
  bpf_map__set_initial_value: Fn<[Pointer, Uint8Array, number], number>;
  bpf_map__initial_value: Fn<[Pointer, BigUint64Array], Pointer | null>;
  bpf_program__fd: Fn<[Pointer], number>;
  bpf_program__set_expected_attach_type: Fn<[Pointer, number], number>;
  bpf_program__set_autoload: Fn<[Pointer, boolean], number>;
  bpf_program__attach: Fn<[Pointer], Pointer | null>;
  bpf_program__attach_iter: Fn<[Pointer, null], Pointer | null>;
  bpf_program__attach_uprobe_opts: Fn<[Pointer, number, string, number, object], Pointer | null>;
  bpf_link__fd: Fn<[Pointer], number>;
  bpf_link__destroy: Fn<[Pointer], number>;
  bpf_iter_create: Fn<[number], number>;
  bpf_map_create: Fn<[number, string, number, number, number, null], number>;
  bpf_map_update_elem: Fn<[number, Uint8Array, Uint8Array, bigint], number>;
  bpf_map_lookup_elem: Fn<[number, Uint8Array, Uint8Array], number>;
  bpf_map_delete_elem: Fn<[number, Uint8Array], number>;
  libbpf_num_possible_cpus: Fn<[], number>;
}

const PROTOTYPES: Record<Exclude<keyof Libbpf, 'path'>, string> = {
  libbpf_version_string: 'const char *libbpf_version_string()',
  libbpf_set_print: 'void *libbpf_set_print(void *fn)',
  bpf_object__open_mem:
    'void *bpf_object__open_mem(const void *buf, size_t size, const bpf_object_open_opts *opts)',
  bpf_object__load: 'int bpf_object__load(void *obj)',
  bpf_object__close: 'void bpf_object__close(void *obj)',
  bpf_object__find_map_by_name: 'void *bpf_object__find_map_by_name(const void *obj, const char *name)',
  bpf_object__find_program_by_name:
    'void *bpf_object__find_program_by_name(const void *obj, const char *name)',
  bpf_map__fd: 'int bpf_map__fd(const void *map)',
  bpf_map__set_initial_value: 'int bpf_map__set_initial_value(void *map, const void *data, size_t size)',
  bpf_map__initial_value: 'void *bpf_map__initial_value(void *map, _Out_ size_t *psize)',
  bpf_program__fd: 'int bpf_program__fd(const void *prog)',
  bpf_program__set_expected_attach_type: 'int bpf_program__set_expected_attach_type(void *prog, int type)',
  bpf_program__set_autoload: 'int bpf_program__set_autoload(void *prog, bool autoload)',
  bpf_program__attach: 'void *bpf_program__attach(const void *prog)',
  bpf_program__attach_iter: 'void *bpf_program__attach_iter(const void *prog, const void *opts)',
  bpf_program__attach_uprobe_opts:
    'void *bpf_program__attach_uprobe_opts(const void *prog, int pid, const char *path, size_t offset, const bpf_uprobe_opts *opts)',
  bpf_link__fd: 'int bpf_link__fd(const void *link)',
  bpf_link__destroy: 'int bpf_link__destroy(void *link)',
  bpf_iter_create: 'int bpf_iter_create(int link_fd)',
  bpf_map_create:
    'int bpf_map_create(int type, const char *name, uint32_t key_size, uint32_t value_size, uint32_t max_entries, const void *opts)',
  bpf_map_update_elem: 'int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)',
  bpf_map_lookup_elem: 'int bpf_map_lookup_elem(int fd, const void *key, _Out_ void *value)',
  bpf_map_delete_elem: 'int bpf_map_delete_elem(int fd, const void *key)',
  libbpf_num_possible_cpus: 'int libbpf_num_possible_cpus()',
};

/** Where libbpf is looked for, in order: packages bring their own. */
export const LIBBPF_NAMES: readonly string[] = [`${PACKAGE_ROOT}native/libbpf.so`, 'libbpf.so.1'];

/**
 * Loads libbpf 1.x. Throws `no-libbpf` when it is not installed.
 * @param names file names or paths tried in order
 */
export function loadLibbpf(names: readonly string[] = LIBBPF_NAMES): Libbpf {
  for (const name of names) {
    let library: ReturnType<typeof koffi.load>;
    try {
      library = koffi.load(name);
    } catch {
      continue;
    }
    const calls = Object.fromEntries(
      Object.entries(PROTOTYPES).map(([symbol, prototype]) => [symbol, library.func(prototype)]),
    );
    return { path: name, ...calls } as unknown as Libbpf;
  }
  throw new IngeroError(`libbpf was not found (looked for ${names.join(', ')}).`, {
    code: 'no-libbpf',
    exitCode: EXIT.notReady,
    expected: 'libbpf 1.0 or newer as a shared library',
    next: 'Install it: apt-get install libbpf1 (Debian/Ubuntu), dnf install libbpf (RHEL/Fedora).',
  });
}

const libc = koffi.load(null);
const vsnprintf = libc.func('int vsnprintf(_Out_ void *to, size_t size, void *format, void *args)') as Fn<
  [Uint8Array, number, unknown, unknown],
  number
>;
const syscall = libc.func('long syscall(long nr, long cmd, bpf_attr_uprobe_multi *attr, long size)') as Fn<
  [number, number, object, number],
  number
>;
/** Options for `bpf_object__open_mem`. */
export function openOpts(objectName: string): object {
  return { sz: koffi.sizeof(OpenOpts), object_name: objectName };
}

/** Options for `bpf_program__attach_uprobe_opts`. */
export function uprobeOpts(cookie: number, isReturn: boolean): object {
  return { sz: koffi.sizeof(UprobeOpts), bpf_cookie: cookie, retprobe: isReturn };
}

/**
 * `bpf(BPF_LINK_CREATE)` of a multi-uprobe link, done directly because libbpf has it only since 1.3.
 * Returns the link's file descriptor, or -1 with errno set.
 */
export function createUprobeMultiLink(
  progFd: number,
  path: string,
  offsets: readonly number[],
  cookies: readonly number[],
  isReturn: boolean,
): number {
  return syscall(
    SYS_BPF,
    BPF_LINK_CREATE,
    {
      prog_fd: progFd,
      attach_type: BPF_TRACE_UPROBE_MULTI,
      path,
      offsets: offsets.map(BigInt),
      ref_ctr_offsets: null,
      cookies: cookies.map(BigInt),
      cnt: offsets.length,
      multi_flags: isReturn ? BPF_F_UPROBE_MULTI_RETURN : 0,
      pid: 0,
    },
    koffi.sizeof(UprobeMultiAttr),
  );
}

/**
 * Sends libbpf's messages to `log` (level 0 warning, 1 info, 2 debug), without the trailing newline.
 * libbpf hands a C `va_list`, which only vsnprintf can read (libbpf_print_fn_t in bpf/libbpf.h).
 * Returns a function that stops it.
 */
export function captureLog(libbpf: Libbpf, log: (level: number, message: string) => void): () => void {
  const buffer = Buffer.alloc(64 * 1024);
  const callback = koffi.register((level: number, format: unknown, args: unknown) => {
    const length = vsnprintf(buffer, buffer.length, format, args);
    log(level, buffer.toString('utf8', 0, Math.min(length, buffer.length - 1)).trimEnd());
    return length;
  }, PrintFn);
  libbpf.libbpf_set_print(callback);
  return () => {
    libbpf.libbpf_set_print(null);
    koffi.unregister(callback);
  };
}
