/** The thread that tries whether a seccomp filter sees uretprobe(); see return-probes.ts. It ends with its filter. */
import { parentPort } from 'node:worker_threads';
import { lastErrno, syscall } from './libc.js';
import type { ReturnsTrial } from './return-probes.js';
import { filterThread } from './seccomp.js';

/** arch/x86/entry/syscalls/syscall_64.tbl; no other architecture has it. */
const URETPROBE = 335;
const ENOSYS = 38;
/** No system call without arguments says this by itself. */
const ENOMSG = 42;

function errnoOf(number: number): number {
  return syscall(number) === -1 ? lastErrno().code : 0;
}

const exists = errnoOf(URETPROBE) !== ENOSYS;
filterThread([{ call: URETPROBE, errno: ENOMSG }]);
const filtered = errnoOf(URETPROBE) === ENOMSG;
parentPort?.postMessage({ exists, filtered } satisfies ReturnsTrial);
