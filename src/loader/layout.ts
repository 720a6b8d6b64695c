/**
 * The maps and constants of `bpf/event.h`, as bytes. Little-endian, which is what both supported
 * architectures are.
 */
import {
  type Comparison,
  type CompiledProbe,
  type Condition,
  MAX_CONDITION_VALUES,
  MAX_CONDITIONS,
  MAX_SLOTS,
  type Slot,
} from '../packs/model.js';
import { isDecidedAtEntry } from '../packs/where.js';

export const MAX_PROBES = 4096;
export const MAX_RINGS = 4;
export const COMM_LENGTH = 16;
const SOURCE_STACK = 8;
const SOURCE = { result: 0x40, trace: 0x41 } as const;
const DEREF = { entry: 1, return: 2 } as const;
const TEXT_AT_RETURN = 0x80;
const FLAGS = { entryOnly: 1, trace: 2, traceOff: 4 } as const;
const AT_RETURN = { read: 1, check: 2, device: 4 } as const;
const DEVICE = { set: 1, unknown: 2 } as const;
const SUBJECT = { result: 0x80, duration: 0x81, pid: 0x82, uid: 0x83, cgroup: 0x84, comm: 0x85 } as const;
/** Bits of what a condition can look at besides slots and the result. */
const SUBJECT_BITS = { duration: 64, pid: 32, uid: 32, cgroup: 64, comm: 64 } as const;
/** `enum comparison`. */
const COMPARISONS: readonly Comparison[] = ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'in', 'mask'];
const SIZEOF_CONDITION = 8 + MAX_CONDITION_VALUES * 8;
const OK_AT = 24;
const SLOTS_AT = OK_AT + 4 * 8;
const CONDITIONS_AT = SLOTS_AT + MAX_SLOTS * 8;
const SIZEOF_PROBE = CONDITIONS_AT + MAX_CONDITIONS * SIZEOF_CONDITION;

/** Whether a slot is filled when the call has returned. */
function isAtReturn({ from, deref, text }: Slot): boolean {
  return from.kind === 'result' || deref?.at === 'return' || text?.at === 'return';
}

/** `struct probe` for one compiled probe. `withoutStack`: the stack it would record is left out for now. */
export function encodeProbe(
  probe: Pick<CompiledProbe, 'mode' | 'slots' | 'returnBits'> &
    Partial<Pick<CompiledProbe, 'where' | 'ok' | 'sample' | 'currentDevice'>>,
  withoutStack = false,
): Buffer {
  const { slots, where = [], ok = [], sample = 1, currentDevice } = probe;
  const atEntry = where.filter(isDecidedAtEntry);
  const atReturn = where.filter((condition) => !isDecidedAtEntry(condition));
  const texts = slots.flatMap(({ text }) => text ?? []);
  const stackWords = slots.map(({ from }) => (from.kind === 'stack' ? from.index + 1 : 0));
  const entrySlots = atEntry.map(({ subject }) =>
    typeof subject === 'object' && 'field' in subject ? subject.field.slot + 1 : 0,
  );
  const bytes = Buffer.alloc(SIZEOF_PROBE);
  const flags =
    (probe.mode === 'entry' ? FLAGS.entryOnly : 0) |
    (slots.at(-1)?.from.kind === 'trace' ? FLAGS.trace : 0) |
    (withoutStack ? FLAGS.traceOff : 0);
  bytes.writeUInt8(flags, 0);
  bytes.writeUInt8(slots.length, 1);
  bytes.writeUInt8(probe.returnBits, 2);
  bytes.writeUInt8(
    (slots.some(isAtReturn) ? AT_RETURN.read : 0) |
      (atReturn.length > 0 ? AT_RETURN.check : 0) |
      (currentDevice === undefined ? 0 : AT_RETURN.device),
    3,
  );
  bytes.writeUInt8(Math.max(0, ...stackWords), 4);
  bytes.writeUInt8(atEntry.length, 5);
  bytes.writeUInt8(where.length, 6);
  bytes.writeUInt8(Math.max(0, ...entrySlots), 7);
  bytes.writeUInt8(ok.length, 8);
  bytes.writeUInt8(texts.length, 9);
  if (currentDevice === 'unknown') bytes.writeUInt8(DEVICE.unknown, 10);
  else if (currentDevice !== undefined) {
    bytes.set([DEVICE.set, currentDevice.slot, currentDevice.offset * 8], 10);
  }
  for (const { place, maxBytes } of texts) bytes.writeUInt16LE(maxBytes, 14 + place * 2);
  bytes.writeUInt32LE(sample === 1 ? 0 : Math.floor(2 ** 32 / sample), 20);
  ok.forEach((code, index) => {
    bytes.writeBigUInt64LE(BigInt.asUintN(probe.returnBits, BigInt(code)), OK_AT + index * 8);
  });
  slots.forEach((slot, index) => {
    encodeSlot(slot).copy(bytes, SLOTS_AT + index * 8);
  });
  [...atEntry, ...atReturn].forEach((condition, index) => {
    encodeCondition(condition).copy(bytes, CONDITIONS_AT + index * SIZEOF_CONDITION);
  });
  return bytes;
}

/** `struct slot`. */
function encodeSlot({ from, deref, text }: Slot): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(
    from.kind === 'stack'
      ? SOURCE_STACK + from.index
      : from.kind === 'register'
        ? from.index
        : SOURCE[from.kind],
    0,
  );
  bytes.writeUInt8(deref === undefined ? 0 : DEREF[deref.at], 1);
  bytes.writeUInt8(deref?.size ?? 8, 2);
  if (text !== undefined) {
    bytes.writeUInt8((1 + text.place) | (text.at === 'return' ? TEXT_AT_RETURN : 0), 3);
  }
  bytes.writeUInt32LE(deref?.offset ?? text?.offset ?? 0, 4);
  return bytes;
}

/** `struct condition`. */
function encodeCondition(condition: Condition): Buffer {
  const { subject, is } = condition;
  const bytes = Buffer.alloc(SIZEOF_CONDITION);
  const look =
    typeof subject === 'string'
      ? { of: SUBJECT[subject], shift: 0, bits: SUBJECT_BITS[subject], signed: false }
      : 'result' in subject
        ? { of: SUBJECT.result, shift: 0, bits: subject.result.bits, signed: subject.result.signed }
        : {
            of: subject.field.slot,
            shift: subject.field.offset * 8,
            bits: subject.field.size * 8,
            signed: subject.field.signed,
          };
  const values = condition.values.flatMap((value) =>
    typeof value === 'string' ? commandWords(value) : [BigInt(value)],
  );
  bytes.writeUInt8(look.of, 0);
  bytes.writeUInt8(COMPARISONS.indexOf(is), 1);
  bytes.writeUInt8(look.shift, 2);
  bytes.writeUInt8(look.bits, 3);
  bytes.writeUInt8(look.signed ? 1 : 0, 4);
  bytes.writeUInt8(values.length, 5);
  values.forEach((value, index) => {
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value), 8 + index * 8);
  });
  return bytes;
}

/** A command name as the kernel keeps it, 16 bytes with the closing NUL, as two numbers. */
function commandWords(name: string): bigint[] {
  const bytes = Buffer.alloc(COMM_LENGTH);
  Buffer.from(name).copy(bytes, 0, 0, COMM_LENGTH - 1);
  return [bytes.readBigUInt64LE(0), bytes.readBigUInt64LE(8)];
}

/** Names of `struct counters`, in order; each a u64. */
export const COUNTERS = [
  'hits',
  'filtered',
  'sampled',
  'lost_ring_full',
  'lost_too_deep',
  'lost_no_memory',
  'orphan_returns',
  'read_faults',
  'lost_stacks',
] as const;

/** Kernel counts of one probe. */
export type Counters = Record<(typeof COUNTERS)[number], bigint>;

/** Sums the per-CPU values of one `counters` entry. */
export function sumCounters(bytes: Buffer, cpus: number): Counters {
  const sums = Object.fromEntries(COUNTERS.map((name) => [name, 0n])) as Counters;
  for (let cpu = 0; cpu < cpus; cpu++) {
    COUNTERS.forEach((name, index) => {
      sums[name] += bytes.readBigUInt64LE((cpu * COUNTERS.length + index) * 8);
    });
  }
  return sums;
}

/** Bytes one CPU's `struct counters` takes. */
export const SIZEOF_COUNTERS = COUNTERS.length * 8;

/** `struct settings` of bpf/event.h. */
export interface BpfSettings {
  /** Monotonic time call ids count from, ns. */
  epochNs: bigint;
  /** Number of rings - 1; the number is a power of two. */
  ringMask: number;
  /** Bits of a call id that hold the CPU. */
  cpuBits: number;
  /** Record only the processes in the `processes` map. */
  filterByProcess: boolean;
  /** A process forked by one in the map joins it. */
  followChildren: boolean;
  /** Processes that exec into this command name join the map; empty: none. */
  comm: string;
}

/** The bytes of the object's .rodata, which holds nothing but `struct settings`. */
export function encodeSettings(settings: BpfSettings): Buffer {
  const bytes = Buffer.alloc(40);
  bytes.writeBigUInt64LE(settings.epochNs, 0);
  bytes.writeUInt32LE(settings.ringMask, 8);
  bytes.writeUInt32LE(settings.cpuBits, 12);
  bytes.writeUInt8(settings.filterByProcess ? 1 : 0, 16);
  bytes.writeUInt8(settings.followChildren ? 1 : 0, 17);
  Buffer.from(settings.comm).copy(bytes, 18, 0, COMM_LENGTH - 1);
  return bytes;
}
