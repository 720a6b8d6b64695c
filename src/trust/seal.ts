/** What the kernel is told to refuse to ingero. docs/seal.md explains each line. */
import { closeSync } from 'node:fs';
import { socket } from './libc.js';
import { installFilter, type Refusal } from './seccomp.js';

const EPERM = 1;
const ENOSYS = 38;
const AF_UNIX = 1;
const AF_INET = 2;
const SOCK_DGRAM = 2;

/** No way to open a socket that leaves the host, and none to get one from elsewhere. */
const NO_NETWORK: readonly Refusal[] = [
  { call: 'socket', errno: EPERM, unless: AF_UNIX },
  { call: 'socketpair', errno: EPERM, unless: AF_UNIX },
  // A ring can open sockets past the filter (IORING_OP_SOCKET); without one Node.js uses its threads.
  { call: 'io_uring_setup', errno: ENOSYS },
  { call: 'pidfd_getfd', errno: EPERM },
];

/** Nothing found on the host is ever run. */
const NO_PROGRAMS: readonly Refusal[] = [
  { call: 'execve', errno: EPERM },
  { call: 'execveat', errno: EPERM },
];

/** Commands of bpf(2) that add code or maps (enum bpf_cmd): MAP_CREATE, PROG_LOAD, BTF_LOAD. */
const BPF_ADDS = [0, 5, 18];

/** Flags of clone(2) that make namespaces (linux/sched.h): CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET. */
const NEW_NAMESPACES = 0x7e020000;

/** What capabilities would be for. Threads of Node.js itself may hold some until the process ends. */
const NO_PRIVILEGED_CALLS: readonly Refusal[] = [
  { call: 'bpf', errno: EPERM, when: BPF_ADDS },
  { call: 'clone', errno: EPERM, bits: NEW_NAMESPACES },
  // Its flags are in memory, where no filter looks. The C library then starts threads with clone.
  { call: 'clone3', errno: ENOSYS },
  ...(
    [
      'ptrace',
      'process_vm_readv',
      'process_vm_writev',
      'open_by_handle_at',
      'mount',
      'umount2',
      'pivot_root',
      'open_tree',
      'move_mount',
      'fsopen',
      'fsconfig',
      'fsmount',
      'fspick',
      'mount_setattr',
      'chroot',
      'setns',
      'unshare',
      'init_module',
      'finit_module',
      'delete_module',
      'kexec_load',
      'kexec_file_load',
      'reboot',
      'swapon',
      'swapoff',
      'setuid',
      'setgid',
      'setreuid',
      'setregid',
      'setresuid',
      'setresgid',
      'setfsuid',
      'setfsgid',
      'setgroups',
      'capset',
    ] as const
  ).map((call) => ({ call, errno: EPERM })),
];

/**
 * Seals this process at its start: no network, and no program but itself. `programs`: it may run others (the C
 * compiler of `probes test`). Throws `no-seal`.
 */
export function sealProcess({ programs }: { programs: boolean }): void {
  installFilter(programs ? NO_NETWORK : [...NO_NETWORK, ...NO_PROGRAMS]);
}

/** Seals a trace once its probes are attached and its privileges dropped. Throws `no-seal`. */
export function sealTrace(): void {
  installFilter(NO_PRIVILEGED_CALLS);
}

/** Whether this process can open an internet socket, by trying. The socket is closed at once; nothing is sent. */
export function opensInternetSockets(): boolean {
  const descriptor = socket(AF_INET, SOCK_DGRAM, 0);
  if (descriptor < 0) return false;
  closeSync(descriptor);
  return true;
}
