/**
 * Seccomp filters: which system calls the kernel refuses to this process, as classic BPF programs
 * (Documentation/userspace-api/seccomp_filter.rst, linux/filter.h, linux/seccomp.h).
 */
import { EXIT, IngeroError } from '../errors.js';
import { lastErrno, prctl, seccomp } from './libc.js';

/** One system call that is refused: always, or by its first argument. */
export interface Refusal {
  /** By its number where not every architecture has it. */
  call: SystemCall | number;
  /** errno the caller sees. */
  errno: number;
  /**
   * The low 32 bits of the first argument: refused `unless` they are this, or `when` they are one of these, or when they
   * have any of these `bits`.
   */
  unless?: number;
  when?: readonly number[];
  bits?: number;
}

type FilterArch = 'x64' | 'arm64';

/** Numbers from 424 on are the same on every architecture (Linux 5.1). */
const NEWER = {
  io_uring_setup: 425,
  open_tree: 428,
  move_mount: 429,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  fspick: 433,
  clone3: 435,
  pidfd_getfd: 438,
  mount_setattr: 442,
} as const;

/** System call numbers: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h. */
const NUMBERS = {
  x64: {
    socket: 41,
    socketpair: 53,
    clone: 56,
    execve: 59,
    ptrace: 101,
    setuid: 105,
    setgid: 106,
    setreuid: 113,
    setregid: 114,
    setgroups: 116,
    setresuid: 117,
    setresgid: 119,
    setfsuid: 122,
    setfsgid: 123,
    capset: 126,
    pivot_root: 155,
    chroot: 161,
    mount: 165,
    umount2: 166,
    swapon: 167,
    swapoff: 168,
    reboot: 169,
    init_module: 175,
    delete_module: 176,
    kexec_load: 246,
    unshare: 272,
    perf_event_open: 298,
    open_by_handle_at: 304,
    setns: 308,
    process_vm_readv: 310,
    process_vm_writev: 311,
    finit_module: 313,
    seccomp: 317,
    kexec_file_load: 320,
    bpf: 321,
    execveat: 322,
    ...NEWER,
  },
  arm64: {
    socket: 198,
    socketpair: 199,
    clone: 220,
    execve: 221,
    ptrace: 117,
    setuid: 146,
    setgid: 144,
    setreuid: 145,
    setregid: 143,
    setgroups: 159,
    setresuid: 147,
    setresgid: 149,
    setfsuid: 151,
    setfsgid: 152,
    capset: 91,
    pivot_root: 41,
    chroot: 51,
    mount: 40,
    umount2: 39,
    swapon: 224,
    swapoff: 225,
    reboot: 142,
    init_module: 105,
    delete_module: 106,
    kexec_load: 104,
    unshare: 97,
    perf_event_open: 241,
    open_by_handle_at: 265,
    setns: 268,
    process_vm_readv: 270,
    process_vm_writev: 271,
    finit_module: 273,
    seccomp: 277,
    kexec_file_load: 294,
    bpf: 280,
    execveat: 281,
    ...NEWER,
  },
} as const satisfies Record<FilterArch, Record<string, number>>;

export type SystemCall = keyof (typeof NUMBERS)['x64'];

/** AUDIT_ARCH_X86_64 and AUDIT_ARCH_AARCH64 (linux/audit.h). */
const AUDIT_ARCH = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;

const EPERM = 1;
/** Numbers from here on are the x32 calling convention of x86-64: the same calls under other numbers. */
const X32_BIT = 0x40000000;

/** Offsets in `struct seccomp_data`. */
const DATA = { number: 0, arch: 4, argument: 16 } as const;

/** BPF_LD|BPF_W|BPF_ABS; BPF_JMP|BPF_K with BPF_JEQ, BPF_JGE and BPF_JSET; BPF_RET|BPF_K. */
const OP = { load: 0x20, equal: 0x15, atLeast: 0x35, anyBit: 0x45, answer: 0x06 } as const;
const SECCOMP_RET_ALLOW = 0x7fff0000;
const SECCOMP_RET_ERRNO = 0x00050000;

/**
 * The program that answers each of `refusals` with its errno and allows the rest. Calls of a foreign architecture
 * (32-bit, x32), which would be the same ones under other numbers, are all refused with EPERM.
 */
export function buildFilter(arch: FilterArch, refusals: readonly Refusal[]): Buffer {
  const program: Buffer[] = [];
  const emit = (op: number, value: number, ifTrue = 0, ifFalse = 0): void => {
    const instruction = Buffer.alloc(8);
    instruction.writeUInt16LE(op, 0);
    instruction.writeUInt8(ifTrue, 2);
    instruction.writeUInt8(ifFalse, 3);
    instruction.writeUInt32LE(value, 4);
    program.push(instruction);
  };
  emit(OP.load, DATA.arch);
  emit(OP.equal, AUDIT_ARCH[arch], 1);
  emit(OP.answer, SECCOMP_RET_ERRNO | EPERM);
  emit(OP.load, DATA.number);
  emit(OP.atLeast, X32_BIT, 0, 1);
  emit(OP.answer, SECCOMP_RET_ERRNO | EPERM);
  for (const { call, errno, unless, when, bits } of refusals) {
    const refuse = SECCOMP_RET_ERRNO | errno;
    const number = typeof call === 'number' ? call : NUMBERS[arch][call];
    if (unless === undefined && when === undefined && bits === undefined) {
      emit(OP.equal, number, 0, 1);
      emit(OP.answer, refuse);
      continue;
    }
    // The number was loaded; after looking at the argument nothing else is asked of this call.
    const values = when ?? [unless ?? (bits as number)];
    emit(OP.equal, number, 0, 1 + values.length + 2);
    emit(OP.load, DATA.argument);
    const [onMatch, otherwise] =
      unless === undefined ? [refuse, SECCOMP_RET_ALLOW] : [SECCOMP_RET_ALLOW, refuse];
    const test = bits === undefined ? OP.equal : OP.anyBit;
    for (const [index, value] of values.entries()) emit(test, value, values.length - index, 0);
    emit(OP.answer, otherwise);
    emit(OP.answer, onMatch);
  }
  emit(OP.answer, SECCOMP_RET_ALLOW);
  return Buffer.concat(program);
}

const PR_SET_NO_NEW_PRIVS = 38;
const SECCOMP_SET_MODE_FILTER = 1;
const SECCOMP_FILTER_FLAG_TSYNC = 1;

let installed = 0;

/** Filters this process has put on all of its threads itself. */
export function ownFilters(): number {
  return installed;
}

/**
 * Installs a filter for every thread of this process and all it starts; it cannot be taken off again. Sets
 * no_new_privs, without which the kernel takes filters from root only. Throws `no-seal` when the kernel refuses.
 */
export function installFilter(refusals: readonly Refusal[]): void {
  filter(refusals, SECCOMP_FILTER_FLAG_TSYNC);
  installed++;
}

/** The same for the calling thread alone, which must end before the next filter for all. */
export function filterThread(refusals: readonly Refusal[]): void {
  filter(refusals, 0);
}

function filter(refusals: readonly Refusal[], flags: number): void {
  const { arch } = process;
  if (arch !== 'x64' && arch !== 'arm64') throw notSealed(`the architecture ${arch} is not known`);
  const program = buildFilter(arch, refusals);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0) throw notSealed(`no_new_privs: ${lastErrno().text}`);
  const answer = seccomp(NUMBERS[arch].seccomp, SECCOMP_SET_MODE_FILTER, flags, {
    length: program.length / 8,
    program,
  });
  if (answer === 0) return;
  // A positive answer is the id of a thread that has a filter of its own.
  throw notSealed(answer > 0 ? `thread ${answer} has another filter` : lastErrno().text);
}

function notSealed(reason: string): IngeroError {
  return new IngeroError(`This process could not be sealed off the network: ${reason}.`, {
    code: 'no-seal',
    exitCode: EXIT.notReady,
    expected: 'a kernel with seccomp filters (CONFIG_SECCOMP_FILTER), which every current distribution has',
    next: 'In a sandbox that keeps processes from filtering themselves, allow seccomp(2). ingero does not run unsealed.',
  });
}
