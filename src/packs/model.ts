/**
 * The shapes a probe pack takes on its way to the kernel: YAML text -> `Pack` (validated) ->
 * `CompiledPack` (argument locations for one architecture). All of it is plain data.
 */

export type Arch = 'x64' | 'arm64';

/** Which library a pack traces. */
export interface LibrarySelector {
  /** Glob over file names and DT_SONAMEs, e.g. `libcudart.so.*`. */
  soname: string;
  /** Also trace programs and libraries it is linked into: files that define its functions. */
  static?: boolean;
  /**
   * Where `when` finds its version: among the ELF version definitions of the file, by a pattern with one `*`, e.g.
   * `GLIBC_*`. Default: in the file name.
   */
  version?: string;
}

/** Value names of an enum column: number -> name. */
export type EnumTable = Readonly<Record<number, string>>;

/** Sizes by the value of an enum, e.g. bytes per element by data type. */
export type SizeTable = Readonly<Record<number, number>>;

/**
 * One captured column. Exactly one of `arg`, `of`, `product` and `value` is given.
 * A path is written as in C: `size`, `extent.width`, `config->gridDim.x`, `*devPtr`.
 */
export interface CaptureSpec {
  column: string;
  arg?: string;
  /** What the function returned, a pointer or an integer. */
  of?: 'result';
  /** Column value is the product of these paths (true bytes of a 2-D or 3-D copy). */
  product?: readonly string[];
  /** The column value is this number in every row, e.g. the direction a function copies in. */
  value?: number;
  /** Multiplies the value: what one element takes. */
  times?: number;
  /** Multiplies the value by the size the pack's `sizes` give for this path; NULL when they give none. */
  scale?: { arg: string; sizes: string };
  /** The column is NULL when any of these paths is not zero (the product would not be bytes then). */
  unless?: readonly string[];
  /** When memory behind a pointer is read. `return` reads only after a successful call. Default: entry. */
  at?: 'entry' | 'return';
  /** Name of an enum declared by the pack; the column then holds names. */
  enum?: string;
  /** The value is the address of a C string; the column holds at most this many bytes of it. */
  string?: number;
  /** What must not leave the host: only a keyed hash of the value is stored, or nothing at all. */
  redact?: 'hash' | 'drop';
}

/** Functions by their demangled C++ names; `*` stands for any characters. */
export interface SymbolPattern {
  demangled: string;
  /** With more functions than this none is probed. Default 16. */
  at_most?: number;
}

/** Functions a pattern may stand for when it does not say. */
export const DEFAULT_AT_MOST = 16;

export interface ProbeSpec {
  /** C declaration of the function. */
  prototype: string;
  /** Operation name in the `op` column. Default: the function's name. */
  op?: string;
  /** Symbols to attach (all that exist). Default: the function's name. */
  symbols?: readonly (string | SymbolPattern)[];
  /** False: the probe is a skipped one everywhere. Default true. */
  enabled?: boolean;
  /** A required probe that finds no symbol makes `trace` refuse. Default false. */
  required?: boolean;
  /** `call` probes entry and return; `entry` only the entry (no duration, no return value). Default call. */
  mode?: 'call' | 'entry';
  /** All must hold for a library to be probed; otherwise the probe is a skipped one. */
  when?: readonly WhenSpec[];
  /** Return codes that are no errors; replaces the pack's. */
  ok?: readonly number[];
  /** `1/N`: of every N calls one is recorded, by chance; its row counts for N. */
  sample?: string;
  /** `always`: record the stack of calls that led here; `off`: not even when it is asked of all. Default: when it is. */
  stack?: 'off' | 'always';
  /** What a successful call does to the device that is current on its thread. */
  current_device?: CurrentDeviceSpec;
  /** All must hold for a call to be recorded; checked in the kernel. */
  where?: readonly ConditionSpec[];
  capture?: readonly CaptureSpec[];
}

/** Exactly one is given. `unknown`: which device is current cannot be told any more. */
export interface CurrentDeviceSpec {
  /** Path of the ordinal of the device that becomes current, or that the call reports as current. */
  arg?: string;
  /** As in a capture. */
  at?: 'entry' | 'return';
  unknown?: true;
}

/** `mask`: any bit of the value is set. */
export type Comparison = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'in' | 'mask';

/** What a condition can look at besides arguments. */
export type ConditionSubject = 'result' | 'duration' | 'pid' | 'uid' | 'cgroup' | 'comm';

/** One condition of a probe. Exactly one of `arg` and `of` is given. */
export interface ConditionSpec {
  /** Path of an integer. */
  arg?: string;
  /** When memory behind a pointer is read. Conditions on results hold for calls that failed. */
  at?: 'entry' | 'return';
  /** `duration` is in ns. Calls that do not return are always recorded. `cgroup` is the inode of its directory. */
  of?: ConditionSubject;
  is: Comparison;
  /** What to compare with, a text for `comm`; for `in`, `values` instead. */
  value?: number | string;
  values?: readonly (number | string)[];
}

/** One condition on a library file. Exactly one of `of` and `symbol` is given. */
export interface WhenSpec {
  of?: 'version';
  /** Name of a function. */
  symbol?: string;
  /** `present` and `absent` for a symbol, the others for the version. */
  is: 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge' | 'present' | 'absent';
  /** Dotted numbers. */
  value?: string;
}

/** A condition as the kernel checks it. */
export interface Condition {
  subject:
    | { field: Field; at: 'entry' | 'return' }
    | { result: { bits: 0 | 32 | 64; signed: boolean } }
    | Exclude<ConditionSubject, 'result'>;
  is: Comparison;
  /** Texts for `comm`, numbers for everything else. */
  values: readonly (number | string)[];
}

/** A number, or `0x...` or decimal digits for one of 64 bits, or a text. */
export type TestValue = number | string;

/** A call the pack's author makes up, and the row it has to become. */
export interface PackTest {
  /** For people; default: the operation. */
  name?: string;
  /** Operation that is called. */
  call: string;
  /** What is passed, by path; everything else is 0. */
  with?: Readonly<Record<string, TestValue>>;
  /** What the function writes before it returns, by path. */
  sets?: Readonly<Record<string, TestValue>>;
  /** Default 0. */
  returns?: TestValue;
  /** Version of the library it is called in, for conditions on it. Default 999. */
  version?: string;
  /** Columns of the row; others do not count. Exactly one of `row` and `recorded` is given. */
  row?: Readonly<Record<string, TestValue | null>>;
  /** `false`: the call must not be recorded. */
  recorded?: false;
}

/** A column of a table a pack defines for itself. */
export interface SiteColumn {
  name: string;
  /** A DuckDB integer type, or NAME for the names of an enum. */
  type: string;
  unit?: string;
  description: string;
}

export interface Pack {
  name: string;
  version: string;
  description: string;
  /** Which layer of the stack the calls belong to, e.g. `runtime`. */
  layer: string;
  libraries: readonly LibrarySelector[];
  /** Conditions of every probe, beside its own. */
  when?: readonly WhenSpec[];
  /** Event table: one documented in schema/, or the pack's own. */
  table: string;
  /** Columns of the table, when it is the pack's own. */
  columns?: readonly SiteColumn[];
  enums: Readonly<Record<string, EnumTable>>;
  sizes: Readonly<Record<string, SizeTable>>;
  /** C struct and typedef declarations the prototypes use, e.g. `struct dim3 { unsigned x, y, z; };`. */
  types: string;
  /** Name of the enum that names return codes. */
  result?: string;
  /** Return codes that are no errors. Default: 0. */
  ok?: readonly number[];
  probes: readonly ProbeSpec[];
  tests: readonly PackTest[];
  source: PackSource;
}

/** Where a pack comes from. Digests are SHA-256 in hex. */
export interface PackSource {
  path: string;
  /** The YAML that is in force: the file as read, or with its overlays applied. */
  text: string;
  /** Of `text`. */
  sha256: string;
  /** Of the file at `path`; differs from `sha256` when there are overlays. */
  fileSha256: string;
  /** What changed the pack, in the order it was applied. */
  overlays: readonly { path: string; sha256: string }[];
  /** Where a probe that is not enabled is said to be so (`file:line`), by its index. */
  disabled: Readonly<Record<number, string>>;
}

/**
 * One 8-byte value the kernel gathers per call: an argument location, and optionally one read of
 * user memory at `value + offset`.
 */
export interface Slot {
  /**
   * `register`: nth integer argument register. `stack`: nth eightbyte of the caller's stack arguments. `result`: what
   * the function returned. `trace`: hash of the stack of calls; always the last slot.
   */
  from:
    | { kind: 'register'; index: number }
    | { kind: 'stack'; index: number }
    | { kind: 'result' }
    | { kind: 'trace' };
  /** Read `size` bytes (1, 2, 4 or 8) at the pointer plus `offset`; absent: the raw argument word itself. */
  deref?: { at: 'entry' | 'return'; offset: number; size: 1 | 2 | 4 | 8 };
  /**
   * The value is the address of a text, or of what it is `offset` bytes into; the slot becomes its length. `place`
   * counts the texts of the call.
   */
  text?: { at: 'entry' | 'return'; place: number; offset: number; maxBytes: number };
}

/** Where in the gathered slots a number lies. */
export interface Field {
  slot: number;
  /** Byte offset inside the 8-byte slot. */
  offset: number;
  size: 1 | 2 | 4 | 8;
  signed: boolean;
}

/** How one column of the row is computed: the product of its fields, of `times` and of a size. */
export interface ColumnValue {
  column: string;
  /** None for a constant. */
  fields: readonly Field[];
  /** Constant factor; absent: 1. */
  times?: number;
  /** A factor looked up by a field; NULL when it is not there. */
  scale?: { field: Field; factors: SizeTable };
  /** NULL when any of these is not zero. */
  unless?: readonly Field[];
  enum?: string;
  /** The value is a text; there are no fields then. */
  text?: { slot: number; place: number; maxBytes: number };
  /** The value is an address or a handle. */
  address?: true;
  redact?: 'hash' | 'drop';
}

export interface CompiledProbe {
  pack: string;
  op: string;
  /** Function name and full declaration, for humans. */
  name: string;
  prototype: string;
  symbols: readonly string[];
  patterns: readonly SymbolPattern[];
  required: boolean;
  /** Why the function is not to be probed in any library. */
  disabled?: string;
  mode: 'call' | 'entry';
  slots: readonly Slot[];
  /** Conditions of the pack and of the probe. */
  when: readonly WhenSpec[];
  where: readonly Condition[];
  columns: readonly ColumnValue[];
  /** Width of the returned integer in bits; 0 when the function returns void. */
  returnBits: 0 | 32 | 64;
  returnSigned: boolean;
  /** Return codes that mean success; none: every return does. */
  ok: readonly number[];
  /** One of so many calls is recorded. */
  sample: number;
  stack?: ProbeSpec['stack'];
  /** What a success does to the device current on the thread. */
  currentDevice?: Field | 'unknown';
}

export interface CompiledPack {
  pack: Pack;
  arch: Arch;
  probes: readonly CompiledProbe[];
}

/** Most slots one probe can gather; the BPF object's MAX_SLOTS. */
export const MAX_SLOTS = 12;

/** Most conditions of one probe, and most values of `in`; the BPF object's MAX_CONDITIONS and MAX_VALUES. */
export const MAX_CONDITIONS = 4;
export const MAX_CONDITION_VALUES = 8;

/** Most strings of one probe, and most bytes of one; the BPF object's MAX_TEXTS and MAX_TEXT. */
export const MAX_TEXTS = 2;
export const MAX_TEXT_BYTES = 512;

/** One defect found in a pack file. All defects of a file are reported together. */
export interface PackProblem {
  rule: string;
  message: string;
  path: string;
  line: number;
  column: number;
  snippet: string;
  suggestion?: string;
}
