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
} from '../packs/model.js';

export const MAX_PROBES = 4096;
export const MAX_RINGS = 16;
export const COMM_LENGTH = 16;
const MAX_SLOTS = 12;
const SOURCE_STACK = 8;
const DEREF = { entry: 1, return: 2 } as const;
const PROBE_ENTRY_ONLY = 1;
const AT_RETURN = { read: 1, check: 2 } as const;
const SUBJECT = { result: 0x80, duration: 0x81 } as const;
/** `enum comparison`. */
const COMPARISONS: readonly Comparison[] = ['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'in', 'mask'];
const SIZEOF_CONDITION = 8 + MAX_CONDITION_VALUES * 8;
const CONDITIONS_AT = 8 + MAX_SLOTS * 8;
const SIZEOF_PROBE = CONDITIONS_AT + MAX_CONDITIONS * SIZEOF_CONDITION;

/** `struct probe` for one compiled probe. */
export function encodeProbe(
  probe: Pick<CompiledProbe, 'mode' | 'slots' | 'returnBits'> & Partial<Pick<CompiledProbe, 'where'>>,
): Buffer {
  const atEntry = (probe.where ?? []).filter(
    ({ subject }) => typeof subject === 'object' && 'field' in subject,
  );
  const atReturn = (probe.where ?? []).filter((condition) => !atEntry.includes(condition));
  const reads = probe.slots.some((slot) => slot.deref?.at === 'return');
  const stackWords = probe.slots.map((slot) => (slot.from.kind === 'stack' ? slot.from.index + 1 : 0));
  const bytes = Buffer.alloc(SIZEOF_PROBE);
  bytes.writeUInt8(probe.mode === 'entry' ? PROBE_ENTRY_ONLY : 0, 0);
  bytes.writeUInt8(probe.slots.length, 1);
  bytes.writeUInt8(probe.returnBits, 2);
  bytes.writeUInt8((reads ? AT_RETURN.read : 0) | (atReturn.length > 0 ? AT_RETURN.check : 0), 3);
  bytes.writeUInt8(Math.max(0, ...stackWords), 4);
  bytes.writeUInt8(atEntry.length, 5);
  bytes.writeUInt8(atEntry.length + atReturn.length, 6);
  probe.slots.forEach((slot, index) => {
    const at = 8 + index * 8;
    bytes.writeUInt8(slot.from.kind === 'stack' ? SOURCE_STACK + slot.from.index : slot.from.index, at);
    bytes.writeUInt8(slot.deref === undefined ? 0 : DEREF[slot.deref.at], at + 1);
    bytes.writeUInt8(slot.deref?.size ?? 8, at + 2);
    bytes.writeUInt32LE(slot.deref?.offset ?? 0, at + 4);
  });
  [...atEntry, ...atReturn].forEach((condition, index) => {
    encodeCondition(condition).copy(bytes, CONDITIONS_AT + index * SIZEOF_CONDITION);
  });
  return bytes;
}

/** `struct condition`. */
function encodeCondition({ subject, is, values }: Condition): Buffer {
  const bytes = Buffer.alloc(SIZEOF_CONDITION);
  const look =
    subject === 'duration'
      ? { of: SUBJECT.duration, shift: 0, bits: 64, signed: false }
      : 'result' in subject
        ? { of: SUBJECT.result, shift: 0, bits: subject.result.bits, signed: subject.result.signed }
        : {
            of: subject.field.slot,
            shift: subject.field.offset * 8,
            bits: subject.field.size * 8,
            signed: subject.field.signed,
          };
  bytes.writeUInt8(look.of, 0);
  bytes.writeUInt8(COMPARISONS.indexOf(is), 1);
  bytes.writeUInt8(look.shift, 2);
  bytes.writeUInt8(look.bits, 3);
  bytes.writeUInt8(look.signed ? 1 : 0, 4);
  bytes.writeUInt8(values.length, 5);
  values.forEach((value, index) => {
    bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), 8 + index * 8);
  });
  return bytes;
}

/** Names of `struct counters`, in order; each a u64. */
export const COUNTERS = [
  'hits',
  'filtered',
  'lost_ring_full',
  'lost_too_deep',
  'lost_no_memory',
  'orphan_returns',
  'read_faults',
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
