/** What a trace keeps of its privileges once the probes are attached: as little as its task allows. */
import { EXIT, IngeroError } from '../errors.js';
import { type Capability, capabilitySet } from './capabilities.js';
import { capset, lastErrno, prctl } from './libc.js';
import { sealTrace } from './seal.js';
import { becomeUser, type User } from './user.js';

/** `find`: what looking for later libraries in the processes of other users takes. `auto`: that, where it is needed. */
export type Keep = 'auto' | 'find' | 'none';

export interface PrivilegePlan {
  /** Null: the user it is already. */
  user: User | null;
  keep: readonly Capability[];
  /** Why these are kept, or what is given up without them. */
  reason: string;
}

export interface PrivilegeRequest {
  keep: Keep;
  user: User | null;
  /** Uid the trace starts as. */
  uid: number;
  /** Whether processes of other users are recorded as well. */
  othersToo: boolean;
  attachMethod: 'uprobe-multi' | 'perf-link';
  /** Capabilities held now (CapPrm). */
  held: bigint;
}

/** Reading /proc/PID/maps of any process, and files in private folders and containers (proc(5), capabilities(7)). */
const FINDING: readonly Capability[] = ['CAP_SYS_PTRACE', 'CAP_DAC_READ_SEARCH'];

/** Decides what is kept. Pure. */
export function planPrivileges(request: PrivilegeRequest): PrivilegePlan {
  const { user, held, keep, attachMethod } = request;
  const finalUid = user?.uid ?? request.uid;
  // Root's processes hold capabilities: without any of its own a process of root may not look into them (ptrace(2)).
  const isNeeded = request.othersToo || finalUid === 0;
  if (keep === 'none' || (keep === 'auto' && !isNeeded)) {
    return {
      user,
      keep: [],
      reason: isNeeded
        ? 'libraries that appear later in processes of other users are not looked for'
        : 'later libraries are looked for in processes of the same user, which takes none',
    };
  }
  // Multi-uprobe links need nothing once the programs are loaded; perf links need CAP_SYS_ADMIN each time, on some kernels
  // CAP_PERFMON.
  const wanted: Capability[] = [
    ...FINDING,
    ...(attachMethod === 'perf-link' ? (['CAP_PERFMON', 'CAP_SYS_ADMIN'] as const) : []),
  ];
  return {
    user,
    keep: wanted.filter((name) => (held & capabilitySet([name])) !== 0n),
    reason: 'libraries that appear later are looked for in every process',
  };
}

/** The plan in a few words, for a terminal and the capture. */
export function describePrivileges({ user, keep }: PrivilegePlan): string {
  const who = user === null ? 'same user' : `user ${user.name ?? user.uid}`;
  return `${who}, ${keep.length === 0 ? 'no privileges' : `only ${keep.join(' and ')}`}`;
}

const PR_SET_KEEPCAPS = 8;
const PR_CAP_AMBIENT = 47;
const PR_CAP_AMBIENT_CLEAR_ALL = 4;
const LINUX_CAPABILITY_VERSION_3 = 0x20080522;

/**
 * Gives up everything the plan does not keep, and seals the process against getting it back. Threads started from
 * now on have what this one keeps; those of Node.js itself lose all with the uid, and are held by the seal where the
 * uid stays. Throws `privileges-kept` when the kernel refuses.
 */
export function dropPrivileges(plan: PrivilegePlan): void {
  const set = capabilitySet(plan.keep);
  if (plan.user !== null) {
    if (set !== 0n) check(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 'keeping capabilities over the change of user');
    becomeUser(plan.user);
  }
  check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), 'clearing ambient capabilities');
  const header = Buffer.alloc(8);
  header.writeUInt32LE(LINUX_CAPABILITY_VERSION_3, 0);
  // Two halves of effective, permitted and inheritable; nothing is inherited.
  const data = Buffer.alloc(24);
  for (const [half, bits] of [
    [0, set & 0xffffffffn],
    [12, set >> 32n],
  ] as const) {
    data.writeUInt32LE(Number(bits), half);
    data.writeUInt32LE(Number(bits), half + 4);
  }
  check(capset(header, data), 'dropping capabilities');
  sealTrace();
}

function check(answer: number, what: string): void {
  if (answer === 0) return;
  throw new IngeroError(`Privileges could not be given up: ${what}: ${lastErrno().text}.`, {
    code: 'privileges-kept',
    exitCode: EXIT.notReady,
    expected: 'a kernel that lets a process drop its capabilities',
  });
}
