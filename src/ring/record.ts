/**
 * Offsets of `bpf/event.h` records, in 32-bit words from the start of the record: the reader's hot path
 * works on a Uint32Array and never touches a BigInt.
 */
export const RECORD_CALL = 1;
export const RECORD_THREAD = 2;
export const RECORD_STACK = 3;

/** `struct call_record`. The 64-bit fields are low word first. */
export const CALL = {
  /** type (8 bits) | status << 8 | probe << 16 */
  head: 0,
  /** missing slots (16 bits) | slot count << 16 | (1 + current device, 0: not known) << 24 */
  missing: 1,
  pid: 2,
  tid: 3,
  start: 4,
  duration: 6,
  callId: 8,
  parentId: 10,
  returnValue: 12,
  slots: 14,
} as const;

/** `struct thread_record`. */
export const THREAD = {
  pid: 2,
  tid: 3,
  seen: 4,
  processStart: 6,
  processBoot: 8,
  comm: 10,
  commBytes: 16,
} as const;

/** `struct stack_record`; a frame is as `struct bpf_stack_build_id` of linux/bpf.h has it. */
export const STACK = {
  pid: 1,
  hash: 2,
  frameCount: 4,
  caller: 6,
  addresses: 8,
  frames: 8 + 48 * 2,
  frameWords: 8,
} as const;

/** BPF_BUILD_ID_SIZE of linux/bpf.h: what a frame has room for. */
export const BUILD_ID_BYTES = 20;

/** Most frames of a stack; the BPF object's MAX_FRAMES. */
export const MAX_FRAMES = 48;

/** `enum call_status`. */
export const STATUS = { returned: 0, inFlight: 1, threadExited: 2, unwound: 3, entry: 4 } as const;
