import type { DuckDBConnection } from '@duckdb/node-api';
import type { ColumnValue, EnumTable } from '../packs/model.js';
import { CALL, STATUS } from '../ring/record.js';
import { CHUNK_ROWS, ChunkAppender } from './chunk-appender.js';
import { ColumnBuffer, columnWidth } from './column-buffer.js';
import { type EventTablePlan, STORE } from './ddl.js';
import { type ProbeDecoding, ProbeTotals, readColumn, slotMask } from './event-decoder.js';
import { Interner } from './interner.js';
import { type CaptureSchema, type ColumnSpec, eventColumns, inRow } from './schema.js';

/** Most key words: head, return value (2), 12 slots (24). */
const MAX_KEY_WORDS = 32;
/** Order of the `status` ENUM in the schema. */
const ROW_STATUS = { ok: 0, error: 1, in_flight: 2, thread_exited: 3, unwound: 4, entry: 5 } as const;
const STATUS_OF_RECORD: Readonly<Record<number, number>> = {
  [STATUS.inFlight]: ROW_STATUS.in_flight,
  [STATUS.threadExited]: ROW_STATUS.thread_exited,
  [STATUS.unwound]: ROW_STATUS.unwound,
  [STATUS.entry]: ROW_STATUS.entry,
};

/** A captured column of one probe, resolved to the buffer it fills. */
interface Target {
  value: ColumnValue;
  buffer: ColumnBuffer;
  /** Index of a value's name in the column's ENUM; null for numbers. */
  names: ReadonlyMap<bigint, number> | null;
  /** Slot index when the value is one whole unsigned 8-byte slot and nothing else; -1 otherwise. */
  plainSlot: number;
  slots: number;
}

interface Decoder {
  id: number;
  op: number;
  layer: number;
  checked: boolean;
  returnBits: number;
  returnSigned: boolean;
  errors: ReadonlyMap<bigint, number>;
  inRow: readonly Target[];
  interned: readonly Target[];
  /** Slots the interned columns depend on. */
  keySlots: Uint8Array;
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
  readonly #columns: ReadonlyMap<string, { spec: ColumnSpec; buffer: ColumnBuffer; names: readonly string[] }>;
  readonly #rowBuffers: readonly ColumnBuffer[];
  readonly #argsBuffers: readonly ColumnBuffer[];
  readonly #argsId: ColumnBuffer;
  readonly #rowArgsId: ColumnBuffer;
  readonly #start: ColumnBuffer;
  readonly #duration: ColumnBuffer;
  readonly #op: ColumnBuffer;
  readonly #status: ColumnBuffer;
  readonly #pid: ColumnBuffer;
  readonly #tid: ColumnBuffer;
  readonly #callId: ColumnBuffer;
  readonly #parentId: ColumnBuffer;
  readonly #error: ColumnBuffer;
  readonly #layer: ColumnBuffer;
  readonly #returnCode: ColumnBuffer;
  readonly #probeId: ColumnBuffer;
  readonly #interner = new Interner(MAX_KEY_WORDS);
  readonly #decoders: Decoder[] = [];
  /** Added to kernel times to get wall-clock times, as two words. */
  readonly #offsetLow: number;
  readonly #offsetHigh: number;
  #rows = 0;
  #args = 0;

  private constructor(
    schema: CaptureSchema,
    plan: EventTablePlan,
    wallOffsetNs: bigint,
    rows: ChunkAppender,
    args: ChunkAppender,
  ) {
    this.table = plan.table;
    this.#rowAppender = rows;
    this.#argsAppender = args;
    this.#offsetLow = Number(BigInt.asUintN(32, wallOffsetNs));
    this.#offsetHigh = Number(BigInt.asUintN(32, wallOffsetNs >> 32n));
    const columns = eventColumns(schema, plan.table).map((spec) => {
      const names = spec.type === 'NAME' ? (spec.values ?? plan.names[spec.name] ?? []) : undefined;
      const width = columnWidth(spec.type, names);
      return { spec, buffer: new ColumnBuffer(width, spec.nullable === true), names: names ?? [] };
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
      ...columns.filter(({ spec }) => !inRow(spec)).map(({ buffer }) => buffer),
    ];
    const buffer = (name: string): ColumnBuffer => this.#column(name).buffer;
    this.#start = buffer('start_time');
    this.#duration = buffer('duration_ns');
    this.#op = buffer('op');
    this.#status = buffer('status');
    this.#pid = buffer('pid');
    this.#tid = buffer('tid');
    this.#callId = buffer('call_id');
    this.#parentId = buffer('parent_id');
    this.#error = buffer('error');
    this.#layer = buffer('layer');
    this.#returnCode = buffer('return_code');
    this.#probeId = buffer('probe_id');
  }

  /** Opens the appenders of a table that planDdl created. `wallOffsetNs`: wall clock minus monotonic clock. */
  static async open(
    connection: DuckDBConnection,
    schema: CaptureSchema,
    plan: EventTablePlan,
    wallOffsetNs: bigint,
  ): Promise<EventTable> {
    const rows = await ChunkAppender.open(connection, plan.table, STORE);
    const args = await ChunkAppender.open(connection, `${plan.table}_args`, STORE);
    return new EventTable(schema, plan, wallOffsetNs, rows, args);
  }

  /** Learns how to decode a probe's records. Throws when a column is not in the table. */
  addProbe(decoding: ProbeDecoding): void {
    const targets = decoding.columns.map((value) => this.#target(value, decoding));
    const interned = targets.filter(({ value }) => !inRow(this.#column(value.column).spec));
    const keyMask = interned.reduce((mask, target) => mask | target.slots, 0);
    this.#decoders[decoding.probeId] = {
      id: decoding.probeId,
      op: this.#column('op').names.indexOf(decoding.op),
      layer: this.#column('layer').names.indexOf(decoding.layer),
      checked: decoding.results !== null,
      returnBits: decoding.returnBits,
      returnSigned: decoding.returnSigned,
      errors: nameIndex(decoding.results ?? {}, this.#column('error').names),
      inRow: targets.filter(({ value }) => inRow(this.#column(value.column).spec)),
      interned,
      keySlots: Uint8Array.from(Array.from({ length: 16 }, (_, slot) => slot).filter((slot) => keyMask & (1 << slot))),
      totals: new ProbeTotals(),
    };
  }

  /** Totals of a probe of this table; undefined for others. */
  totals(probeId: number): ProbeTotals | undefined {
    return this.#decoders[probeId]?.totals;
  }

  /** Appends the call record that starts at word `at`. Throws what DuckDB throws when the disk is full. */
  append(words: Uint32Array, at: number): void {
    const head = words[at] as number;
    const decoder = this.#decoders[head >>> 16] as Decoder;
    const recordStatus = (head >>> 8) & 0xff;
    const returned = recordStatus === STATUS.returned;
    const returnLow = words[at + CALL.returnValue] as number;
    const returnHigh = decoder.returnBits === 32 ? 0 : (words[at + CALL.returnValue + 1] as number);
    const row = this.#rows;

    const start = words[at + CALL.start] as number;
    const low = (start + this.#offsetLow) >>> 0;
    this.#start.set64(row, low, (words[at + CALL.start + 1] as number) + this.#offsetHigh + (low < start ? 1 : 0));
    const totals = decoder.totals;
    totals.rows++;
    if (returned) {
      const durationLow = words[at + CALL.duration] as number;
      const durationHigh = words[at + CALL.duration + 1] as number;
      this.#duration.set64(row, durationLow, durationHigh);
      totals.latency.add(durationLow, durationHigh);
      const failed = decoder.checked && (returnLow | returnHigh) !== 0;
      if (failed) totals.errors++;
      this.#status.set(row, failed ? ROW_STATUS.error : ROW_STATUS.ok);
    } else {
      this.#status.set(row, STATUS_OF_RECORD[recordStatus] as number);
    }
    this.#op.set(row, decoder.op);
    this.#pid.set(row, words[at + CALL.pid] as number);
    this.#tid.set(row, words[at + CALL.tid] as number);
    this.#callId.set64(row, words[at + CALL.callId] as number, words[at + CALL.callId + 1] as number);
    const parentLow = words[at + CALL.parentId] as number;
    const parentHigh = words[at + CALL.parentId + 1] as number;
    if ((parentLow | parentHigh) !== 0) this.#parentId.set64(row, parentLow, parentHigh);
    for (const target of decoder.inRow) this.#fill(target, row, words, at);

    const key = this.#interner.key;
    const missing = (words[at + CALL.missing] as number) & 0xfff;
    key[0] = decoder.id | (missing << 12) | (returned ? 1 << 28 : 0);
    key[1] = returned ? returnLow : 0;
    key[2] = returned ? returnHigh : 0;
    let length = 3;
    const slots = decoder.keySlots;
    for (let i = 0; i < slots.length; i++) {
      const slot = at + CALL.slots + (slots[i] as number) * 2;
      key[length++] = words[slot] as number;
      key[length++] = words[slot + 1] as number;
    }
    let argsId = this.#interner.intern(length);
    if (argsId < 0) {
      argsId = -1 - argsId;
      this.#appendArgs(argsId, decoder, returned, returnLow, returnHigh, words, at);
    }
    this.#rowArgsId.set(row, argsId);

    this.#rows = row + 1;
    if (this.#rows === CHUNK_ROWS) this.#appendRows();
  }

  /** Commits everything appended so far. Argument sets go first, so a row never points to a missing one. */
  flush(): void {
    this.#appendArgsChunk();
    this.#argsAppender.flush();
    this.#appendRows();
    this.#rowAppender.flush();
  }

  close(): void {
    this.flush();
    this.#argsAppender.close();
    this.#rowAppender.close();
  }

  #column(name: string): { spec: ColumnSpec; buffer: ColumnBuffer; names: readonly string[] } {
    const column = this.#columns.get(name);
    if (column === undefined) throw new Error(`table ${this.table} has no column ${name}`);
    return column;
  }

  #target(value: ColumnValue, decoding: ProbeDecoding): Target {
    const column = this.#column(value.column);
    const [field] = value.fields;
    const isPlain =
      value.fields.length === 1 && value.unless === undefined && value.enum === undefined && field?.size === 8;
    return {
      value,
      buffer: column.buffer,
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
    const value = readColumn(target.value, words, at);
    if (value === null) return;
    if (target.names === null) set(target.buffer, row, value);
    else {
      const index = target.names.get(value);
      if (index !== undefined) target.buffer.set(row, index);
    }
  }

  #appendArgs(
    argsId: number,
    decoder: Decoder,
    returned: boolean,
    returnLow: number,
    returnHigh: number,
    words: Uint32Array,
    at: number,
  ): void {
    const row = this.#args;
    this.#argsId.set(row, argsId);
    this.#layer.set(row, decoder.layer);
    this.#probeId.set(row, decoder.id);
    if (returned && decoder.returnBits !== 0) {
      const raw = (BigInt(returnHigh) << 32n) | BigInt(returnLow);
      const code = decoder.returnSigned ? BigInt.asIntN(decoder.returnBits, raw) : raw;
      set(this.#returnCode, row, code);
      const error = code === 0n ? undefined : decoder.errors.get(code);
      if (error !== undefined) this.#error.set(row, error);
    }
    for (const target of decoder.interned) this.#fill(target, row, words, at);
    this.#args = row + 1;
    if (this.#args === CHUNK_ROWS) this.#appendArgsChunk();
  }

  #appendRows(): void {
    if (this.#rows === 0) return;
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

/** ENUM index of each value of an enum table; values whose name the column does not have are left out. */
function nameIndex(table: EnumTable, names: readonly string[]): ReadonlyMap<bigint, number> {
  const index = new Map<bigint, number>();
  for (const [value, name] of Object.entries(table)) {
    const at = names.indexOf(name);
    if (at >= 0) index.set(BigInt(value), at);
  }
  return index;
}
