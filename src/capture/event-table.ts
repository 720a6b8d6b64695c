import type { DuckDBConnection } from '@duckdb/node-api';
import type { ColumnValue, EnumTable } from '../packs/model.js';
import { CALL, STATUS } from '../ring/record.js';
import { CHUNK_ROWS, ChunkAppender } from './chunk-appender.js';
import { ColumnBuffer, columnWidth } from './column-buffer.js';
import { type EventTablePlan, STORE } from './ddl.js';
import {
  fieldsOf,
  type ProbeDecoding,
  ProbeTotals,
  readColumn,
  readText,
  slotMask,
  textWords,
} from './event-decoder.js';
import { Interner } from './interner.js';
import type { ProcessIds } from './process-ids.js';
import { redactedHash } from './redact.js';
import { type CaptureSchema, type ColumnSpec, eventColumns, inRow, RUN_ID } from './schema.js';
import type { Stacks } from './stacks.js';
import { TextBuffer } from './text-buffer.js';

/** Names of `enum call_status` in the `status` column; a returned call is `ok` or `error`. */
const STATUS_NAMES: Readonly<Record<number, string>> = {
  [STATUS.inFlight]: 'in_flight',
  [STATUS.threadExited]: 'thread_exited',
  [STATUS.unwound]: 'unwound',
  [STATUS.entry]: 'entry',
};

/** A captured column of one probe, resolved to the buffer it fills. */
interface Target {
  value: ColumnValue;
  buffer: ColumnBuffer;
  /** In place of `buffer`, where the column holds texts. */
  texts: TextBuffer | null;
  /** Index of a value's name in the column's ENUM; null for numbers. */
  names: ReadonlyMap<bigint, number> | null;
  /** Slot index when the value is one whole unsigned 8-byte slot and nothing else; -1 otherwise. */
  plainSlot: number;
  slots: number;
}

/** A time from which less was recorded. */
interface Thinning {
  sinceLow: number;
  sinceHigh: number;
  oneIn: number;
  probeIds: ReadonlySet<number>;
}

/** Where its number stands in the tag of an argument set, which has five bits left for it. */
const THINNING_SHIFT = 27;
const MAX_THINNINGS = 31;
/** Of the rows appended one in so many is looked at for its thread. */
const THREAD_STRIDE = 8;

interface Decoder {
  id: number;
  op: number;
  layer: number;
  zeroIsOk: boolean;
  /** Return codes that mean success; empty: every return does. */
  ok: ReadonlySet<bigint>;
  returnBits: number;
  returnSigned: boolean;
  errors: ReadonlyMap<bigint, number>;
  inRow: readonly Target[];
  interned: readonly Target[];
  /** Places in the record of the words that decide the interned columns. */
  keyWords: Uint16Array;
  sampleWeight: number;
  stackSlot: number | null;
  totals: ProbeTotals;
}

/**
 * Turns call records into rows of one event table: what differs from call to call is appended as it is,
 * everything else once per distinct set of arguments (docs/decisions.md, "interned arguments").
 */
export class EventTable {
  readonly table: string;
  readonly #rowAppender: ChunkAppender;
  readonly #argsAppender: ChunkAppender;
  readonly #columns: ReadonlyMap<
    string,
    { spec: ColumnSpec; buffer: ColumnBuffer; names: readonly string[] }
  >;
  /** Of the columns that hold texts. */
  readonly #texts: ReadonlyMap<string, TextBuffer>;
  readonly #rowBuffers: readonly ColumnBuffer[];
  readonly #argsBuffers: readonly (ColumnBuffer | TextBuffer)[];
  readonly #argsId: ColumnBuffer;
  readonly #rowArgsId: ColumnBuffer;
  readonly #start: ColumnBuffer;
  readonly #duration: ColumnBuffer;
  readonly #tid: ColumnBuffer;
  readonly #callId: ColumnBuffer;
  readonly #parentId: ColumnBuffer;
  readonly #interner = new Interner();
  readonly #processes: ProcessIds;
  readonly #stacks: Stacks;
  readonly #decoders: Decoder[] = [];
  /** Added to kernel times to get wall-clock times, as two words. */
  readonly #offsetLow: number;
  readonly #offsetHigh: number;
  readonly #thinnings: Thinning[] = [];
  /** Threads of some of the rows appended lately. */
  readonly #callsOfThread = new Map<number, number>();
  #rows = 0;
  #args = 0;

  private constructor(
    schema: CaptureSchema,
    plan: EventTablePlan,
    wallOffsetNs: bigint,
    processes: ProcessIds,
    stacks: Stacks,
    rows: ChunkAppender,
    args: ChunkAppender,
  ) {
    this.#processes = processes;
    this.#stacks = stacks;
    this.table = plan.table;
    this.#rowAppender = rows;
    this.#argsAppender = args;
    this.#offsetLow = Number(BigInt.asUintN(32, wallOffsetNs));
    this.#offsetHigh = Number(BigInt.asUintN(32, wallOffsetNs >> 32n));
    const specs = eventColumns(schema, plan.table);
    const isText = ({ type }: ColumnSpec): boolean => type === 'VARCHAR';
    this.#texts = new Map(specs.filter(isText).map(({ name }) => [name, new TextBuffer()]));
    const columns = specs.flatMap((spec) => {
      if (isText(spec)) return [];
      const names = spec.type === 'NAME' ? (spec.values ?? plan.names[spec.name] ?? []) : undefined;
      const width = columnWidth(spec.type, names);
      return [{ spec, buffer: new ColumnBuffer(width, spec.nullable === true), names: names ?? [] }];
    });
    this.#columns = new Map(columns.map((column) => [column.spec.name, column]));
    this.#argsId = new ColumnBuffer(4, false);
    this.#rowArgsId = new ColumnBuffer(4, false);
    this.#rowBuffers = [
      ...columns.filter(({ spec }) => inRow(spec)).map(({ buffer }) => buffer),
      this.#rowArgsId,
    ];
    this.#argsBuffers = [
      this.#argsId,
      ...specs
        .filter((spec) => !inRow(spec))
        .map(({ name }) => this.#texts.get(name) ?? this.#column(name).buffer),
    ];
    const buffer = (name: string): ColumnBuffer => this.#column(name).buffer;
    this.#start = buffer('start_time');
    this.#duration = buffer('duration_ns');
    this.#tid = buffer('tid');
    this.#callId = buffer('call_id');
    this.#parentId = buffer('parent_id');
  }

  /** Opens the appenders of a table that planDdl created. `wallOffsetNs`: wall clock minus monotonic clock. */
  static async open(
    connection: DuckDBConnection,
    schema: CaptureSchema,
    plan: EventTablePlan,
    wallOffsetNs: bigint,
    processes: ProcessIds,
    stacks: Stacks,
  ): Promise<EventTable> {
    const rows = await ChunkAppender.open(connection, plan.table, STORE);
    const args = await ChunkAppender.open(connection, `${plan.table}_args`, STORE);
    return new EventTable(schema, plan, wallOffsetNs, processes, stacks, rows, args);
  }

  /** Learns how to decode a probe's records. Throws when a column is not in the table. */
  addProbe(decoding: ProbeDecoding): void {
    const targets = decoding.columns
      .filter(({ redact }) => redact !== 'drop')
      .map((value) => this.#target(value, decoding));
    const isInRow = ({ value }: Target): boolean =>
      value.text === undefined && inRow(this.#column(value.column).spec);
    const interned = targets.filter((target) => !isInRow(target));
    this.#decoders[decoding.probeId] = {
      id: decoding.probeId,
      op: this.#column('op').names.indexOf(decoding.op),
      layer: this.#column('layer').names.indexOf(decoding.layer),
      zeroIsOk: decoding.ok.length === 0 || decoding.ok.includes(0),
      ok: new Set(decoding.ok.map(BigInt)),
      returnBits: decoding.returnBits,
      returnSigned: decoding.returnSigned,
      errors: nameIndex(decoding.results, this.#column('error').names),
      inRow: targets.filter(isInRow),
      interned,
      keyWords: keyWords(decoding, interned),
      sampleWeight: decoding.sampleWeight,
      stackSlot: decoding.stackSlot,
      totals: new ProbeTotals(),
    };
  }

  /** Totals of a probe of this table; undefined for others. */
  totals(probeId: number): ProbeTotals | undefined {
    return this.#decoders[probeId]?.totals;
  }

  /**
   * Appends the call record that starts at word `at`. Throws what DuckDB throws when the disk is full.
   * This is the hot path: it writes to the columns' arrays directly.
   */
  append(words: Uint32Array, at: number): void {
    const head = words[at] as number;
    const decoder = this.#decoders[head >>> 16] as Decoder;
    const status = (head >>> 8) & 0xff;
    const returned = status === STATUS.returned;
    const returnLow = words[at + CALL.returnValue] as number;
    const returnHigh = decoder.returnBits === 32 ? 0 : (words[at + CALL.returnValue + 1] as number);
    const row = this.#rows;
    const wide = row * 2;

    const startLow = words[at + CALL.start] as number;
    const low = (startLow + this.#offsetLow) >>> 0;
    const start = this.#start.values;
    start[wide] = low;
    start[wide + 1] = (words[at + CALL.start + 1] as number) + this.#offsetHigh + (low < startLow ? 1 : 0);
    const totals = decoder.totals;
    totals.rows++;
    if (returned) {
      const durationLow = words[at + CALL.duration] as number;
      const durationHigh = words[at + CALL.duration + 1] as number;
      const duration = this.#duration.values;
      duration[wide] = durationLow;
      duration[wide + 1] = durationHigh;
      this.#duration.markValid(row);
      totals.latency.add(durationLow, durationHigh);
      const isZero = (returnLow | returnHigh) === 0;
      if (!(isZero && decoder.zeroIsOk) && isError(decoder, returnLow, returnHigh)) totals.errors++;
    }
    this.#tid.values[row] = words[at + CALL.tid] as number;
    const callId = this.#callId.values;
    callId[wide] = words[at + CALL.callId] as number;
    callId[wide + 1] = words[at + CALL.callId + 1] as number;
    const parentLow = words[at + CALL.parentId] as number;
    const parentHigh = words[at + CALL.parentId + 1] as number;
    if ((parentLow | parentHigh) !== 0) {
      const parentId = this.#parentId.values;
      parentId[wide] = parentLow;
      parentId[wide + 1] = parentHigh;
      this.#parentId.markValid(row);
    }
    const targets = decoder.inRow;
    for (let i = 0; i < targets.length; i++) this.#fill(targets[i] as Target, row, words, at);

    const missing = (words[at + CALL.missing] as number) & 0xfff;
    const thinning =
      this.#thinnings.length === 0
        ? 0
        : this.#thinningOf(decoder.id, startLow, words[at + CALL.start + 1] as number);
    const tag = (decoder.id | (missing << 12) | (status << 24) | (thinning << THINNING_SHIFT)) >>> 0;
    // The pid among the words tells processes apart until one gets the pid of another.
    const process = this.#processes.isAnyReused ? this.#processId(words, at) : 0;
    let argsId = this.#interner.intern(tag, words, at, decoder.keyWords, process);
    if (argsId < 0) {
      argsId = -1 - argsId;
      this.#appendArgs(argsId, decoder, thinning, returnLow, returnHigh, words, at);
    }
    this.#rowArgsId.values[row] = argsId;

    this.#rows = row + 1;
    if (this.#rows === CHUNK_ROWS) this.#appendRows();
  }

  /** From `sinceNs` (monotonic) on, of the calls of these probes only one in `oneIn` was recorded. */
  thin(sinceNs: bigint, oneIn: number, probeIds: readonly number[]): void {
    if (this.#thinnings.length === MAX_THINNINGS) throw new Error('recording was thinned too often');
    this.#thinnings.push({
      sinceLow: Number(BigInt.asUintN(32, sinceNs)),
      sinceHigh: Number(sinceNs >> 32n),
      oneIn,
      probeIds: new Set(probeIds),
    });
  }

  /** Number of the thinning in force when a call began; 0: none. */
  #thinningOf(probeId: number, startLow: number, startHigh: number): number {
    for (let number = this.#thinnings.length; number > 0; number--) {
      const { sinceLow, sinceHigh, probeIds } = this.#thinnings[number - 1] as Thinning;
      const isLater = startHigh > sinceHigh || (startHigh === sinceHigh && startLow >= sinceLow);
      if (isLater) return probeIds.has(probeId) ? number : 0;
    }
    return 0;
  }

  /** Adds a part of the calls each thread has made since this was last asked; threads with few calls may be left out. */
  takeCallsOfThreads(into: Map<number, number>): void {
    this.#noteThreads();
    for (const [tid, calls] of this.#callsOfThread) into.set(tid, (into.get(tid) ?? 0) + calls);
    this.#callsOfThread.clear();
  }

  #noteThreads(): void {
    const tids = this.#tid.values;
    for (let row = 0; row < this.#rows; row += THREAD_STRIDE) {
      const tid = tids[row] as number;
      this.#callsOfThread.set(tid, (this.#callsOfThread.get(tid) ?? 0) + 1);
    }
  }

  /** Commits everything appended so far. Argument sets go first, so a row never points to a missing one. */
  flush(): void {
    this.#appendArgsChunk();
    this.#argsAppender.flush();
    this.#appendRows();
    this.#rowAppender.flush();
  }

  /** Commits and closes. Both appenders are closed even when committing fails: they hold the file open. */
  close(): void {
    try {
      this.flush();
    } finally {
      try {
        this.#argsAppender.close();
      } finally {
        this.#rowAppender.close();
      }
    }
  }

  #column(name: string): { spec: ColumnSpec; buffer: ColumnBuffer; names: readonly string[] } {
    const column = this.#columns.get(name);
    if (column === undefined) throw new Error(`table ${this.table} has no column ${name}`);
    return column;
  }

  #target(value: ColumnValue, decoding: ProbeDecoding): Target {
    if (value.text !== undefined) {
      const texts = this.#texts.get(value.column);
      if (texts === undefined) throw new Error(`table ${this.table} has no column ${value.column} for texts`);
      return { value, buffer: this.#argsId, texts, names: null, plainSlot: -1, slots: slotMask(value) };
    }
    const column = this.#column(value.column);
    const [field] = value.fields;
    const isPlain =
      value.fields.length === 1 &&
      value.unless === undefined &&
      value.times === undefined &&
      value.scale === undefined &&
      value.enum === undefined &&
      value.redact === undefined &&
      field?.size === 8;
    return {
      value,
      buffer: column.buffer,
      texts: null,
      names: value.enum === undefined ? null : nameIndex(decoding.enums[value.enum] ?? {}, column.names),
      plainSlot: isPlain ? (field as { slot: number }).slot : -1,
      slots: slotMask(value),
    };
  }

  #fill(target: Target, row: number, words: Uint32Array, at: number): void {
    if (target.plainSlot >= 0) {
      if (((words[at + CALL.missing] as number) & target.slots) !== 0) return;
      const slot = at + CALL.slots + target.plainSlot * 2;
      target.buffer.set64(row, words[slot] as number, words[slot + 1] as number);
      return;
    }
    if (target.texts !== null) {
      this.#fillText(target.texts, target.value, row, words, at);
      return;
    }
    const value = readColumn(target.value, words, at);
    if (value === null) return;
    if (target.value.redact === 'hash') set(target.buffer, row, redactedHash(value));
    else if (target.names === null) set(target.buffer, row, value);
    else {
      const index = target.names.get(value);
      if (index !== undefined) target.buffer.set(row, index);
    }
  }

  #fillText(
    texts: TextBuffer,
    { text, redact }: ColumnValue,
    row: number,
    words: Uint32Array,
    at: number,
  ): void {
    const value = readText(text as NonNullable<ColumnValue['text']>, words, at);
    if (value === null) return;
    texts.set(row, redact === 'hash' ? redactedHash(value).toString(16).padStart(16, '0') : value);
  }

  #processId(words: Uint32Array, at: number): number {
    const start =
      (BigInt(words[at + CALL.start + 1] as number) << 32n) | BigInt(words[at + CALL.start] as number);
    return this.#processes.idOf(words[at + CALL.pid] as number, start);
  }

  #appendArgs(
    argsId: number,
    decoder: Decoder,
    thinning: number,
    returnLow: number,
    returnHigh: number,
    words: Uint32Array,
    at: number,
  ): void {
    const row = this.#args;
    const recordStatus = ((words[at] as number) >>> 8) & 0xff;
    const returned = recordStatus === STATUS.returned;
    const failed = returned && isError(decoder, returnLow, returnHigh);
    this.#argsId.set(row, argsId);
    this.#setName('status', row, STATUS_NAMES[recordStatus] ?? (failed ? 'error' : 'ok'));
    this.#column('op').buffer.set(row, decoder.op);
    this.#column('layer').buffer.set(row, decoder.layer);
    const pid = words[at + CALL.pid] as number;
    this.#column('pid').buffer.set(row, pid);
    this.#column('process_id').buffer.set(row, this.#processId(words, at));
    this.#column('probe_id').buffer.set(row, decoder.id);
    const oneIn = thinning === 0 ? 1 : (this.#thinnings[thinning - 1] as Thinning).oneIn;
    this.#column('sample_weight').buffer.set(row, decoder.sampleWeight * oneIn);
    const state = words[at + CALL.missing] as number;
    const device = state >>> 24;
    // Calls that would have changed it may be among those left out.
    if (device !== 0 && thinning === 0) this.#column('current_device').buffer.set(row, device - 1);
    const { stackSlot } = decoder;
    if (stackSlot !== null && ((state >>> stackSlot) & 1) === 0) {
      const slot = at + CALL.slots + stackSlot * 2;
      const id = this.#stacks.idOf(words[slot] as number, words[slot + 1] as number);
      this.#column('stack_id').buffer.set(row, id);
    }
    this.#column('run_id').buffer.set(row, RUN_ID);
    if (returned && decoder.returnBits !== 0) {
      const code = returnCode(decoder, returnLow, returnHigh);
      set(this.#column('return_code').buffer, row, code);
      const error = failed ? decoder.errors.get(code) : undefined;
      if (error !== undefined) this.#column('error').buffer.set(row, error);
    }
    for (const target of decoder.interned) this.#fill(target, row, words, at);
    this.#args = row + 1;
    if (this.#args === CHUNK_ROWS) this.#appendArgsChunk();
  }

  #setName(column: string, row: number, name: string): void {
    const { buffer, names } = this.#column(column);
    buffer.set(row, names.indexOf(name));
  }

  #appendRows(): void {
    if (this.#rows === 0) return;
    this.#noteThreads();
    this.#rowAppender.append(this.#rows, this.#rowBuffers);
    this.#rows = 0;
    for (const buffer of this.#rowBuffers) buffer.clear();
  }

  #appendArgsChunk(): void {
    if (this.#args === 0) return;
    this.#argsAppender.append(this.#args, this.#argsBuffers);
    this.#args = 0;
    for (const buffer of this.#argsBuffers) buffer.clear();
  }
}

function set(buffer: ColumnBuffer, row: number, value: bigint): void {
  buffer.set64(row, Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
}

function returnCode({ returnBits, returnSigned }: Decoder, low: number, high: number): bigint {
  const raw = (BigInt(high) << 32n) | BigInt(low);
  return returnSigned ? BigInt.asIntN(returnBits, raw) : raw;
}

function isError(decoder: Decoder, low: number, high: number): boolean {
  return decoder.ok.size > 0 && !decoder.ok.has(returnCode(decoder, low, high));
}

/** ENUM index of each value of an enum table; values whose name the column does not have are left out. */
function nameIndex(table: EnumTable, names: readonly string[]): ReadonlyMap<bigint, number> {
  const index = new Map<bigint, number>();
  for (const [value, name] of Object.entries(table)) {
    const at = names.indexOf(name);
    if (at >= 0) index.set(BigInt(value), at);
  }
  return index;
}

/**
 * Words of a record that decide the interned columns: the process, the current device, the return value, the stack,
 * and what the fields and texts read.
 */
function keyWords(decoding: ProbeDecoding, interned: readonly Target[]): Uint16Array {
  const places = new Set<number>([CALL.pid, CALL.missing]);
  const whole = (slot: number): void => {
    places.add(CALL.slots + slot * 2).add(CALL.slots + slot * 2 + 1);
  };
  if (decoding.stackSlot !== null) whole(decoding.stackSlot);
  for (let word = 0; word < decoding.returnBits / 32; word++) places.add(CALL.returnValue + word);
  for (const { value } of interned) {
    if (value.text !== undefined) {
      const { first, count } = textWords(value.text);
      for (let word = first; word < first + count; word++) places.add(word);
      whole(value.text.slot);
    }
    for (const field of fieldsOf(value)) {
      const first = CALL.slots + field.slot * 2 + (field.offset >> 2);
      places.add(first);
      if ((field.offset & 3) + field.size > 4) places.add(first + 1);
    }
  }
  return Uint16Array.from(places);
}
