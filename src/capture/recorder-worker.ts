/**
 * The recorder: reads the kernel's rings and writes the capture file, on a thread of its own so that neither
 * DuckDB's stalls (80-150 ms per row group) nor the terminal hold up the other.
 */
import { statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { NS_PER_TICK, type ProcessInfo, readProcess, unknownProcess } from '../discovery/processes.js';
import { LiveServer } from '../live/server.js';
import type { Counters } from '../loader/layout.js';
import { RECORD_CALL, RECORD_STACK, THREAD } from '../ring/record.js';
import { RingReader } from '../ring/ring-reader.js';
import { CaptureFile, isDiskFull } from './capture-file.js';
import { wallClockNs } from './clock.js';
import type { ProbeDecoding } from './event-decoder.js';
import { EventTable } from './event-table.js';
import { ProcessIds } from './process-ids.js';
import type {
  EndReason,
  FromRecorder,
  Observation,
  OpSummary,
  ProbeAccounting,
  RecorderResult,
  RecorderStart,
  ToRecorder,
} from './recorder-protocol.js';
import type { ProbeAccountingRow, ProcessesRow, ThreadsRow } from './rows.js';
import { SpaceReserve } from './space-reserve.js';
import { Stacks } from './stacks.js';

/** Rows are committed at least this often; a cut-off recorder loses no more than this. */
const FLUSH_INTERVAL_MS = 600;
/** Poll interval of the rings: at once while they are busy, slower and slower while they are idle. */
const MAX_POLL_MS = 150;
/** Bytes consumed from a ring before its space goes back to the kernel. */
const DRAIN_BYTES = 1 << 20;
/** A reader that copies the running capture may take this long, and longer the larger the file is. */
const COPY_MS = 10_000;
const COPY_BYTES_PER_MS = 50_000;
/** What completing a capture takes at most, in each of two steps. */
const MAX_RESERVE_BYTES = 16 << 20;
/** WAL size at which DuckDB checkpoints. */
const CHECKPOINT_BYTES = 16 << 20;

/** Size of each of two reserves. Space that others are to be left is theirs, however much it is. */
const reserveBytes = (minFreeBytes: number): number =>
  Math.min(MAX_RESERVE_BYTES, Math.floor(minFreeBytes / 4));

class Recorder {
  readonly #start: RecorderStart;
  readonly #readers: readonly RingReader[];
  readonly #tables = new Map<string, EventTable>();
  readonly #tableOfProbe: EventTable[] = [];
  readonly #decodings = new Map<number, ProbeDecoding>();
  readonly #processIds = new ProcessIds();
  readonly #stacks: Stacks;
  readonly #described = new Map<number, ProcessInfo>();
  readonly #newThreads: ThreadsRow[] = [];
  readonly #newProcesses: ProcessesRow[] = [];
  #file!: CaptureFile;
  #checkpointBytes = CHECKPOINT_BYTES;
  #live: LiveServer | null = null;
  /** Given back one after the other, as completing the file turns out to need it. */
  #reserves: SpaceReserve[] = [];
  #lastFlush = performance.now();
  #dirty = false;
  #pollMs = 1;
  /** Set when the tracer has asked for the end; the rings are then drained there. */
  #isFinishing = false;
  /** The one catalog write in progress; SQL statements on a connection run one after the other. */
  #pending: Promise<void> = Promise.resolve();
  #failed: { reason: EndReason; detail: string } | null = null;
  #isAtLimit = false;
  /** Since the last observation. */
  #flushMaxMs: number | null = null;
  /** Whether DuckDB failed, and not just the space ran short. */
  #isBroken = false;

  constructor(start: RecorderStart) {
    this.#start = start;
    this.#stacks = new Stacks(start.redactAddresses);
    this.#readers = start.rings.map((ring) => new RingReader(ring.fd, ring.bytes));
  }

  async open(): Promise<void> {
    this.#checkpointBytes = Math.min(CHECKPOINT_BYTES, Math.max(1 << 20, this.#start.minFreeBytes / 4));
    const { path, minFreeBytes } = this.#start;
    this.#reserves = [1, 2].map(() => SpaceReserve.beside(path, reserveBytes(minFreeBytes)));
    this.#file = await CaptureFile.open(this.#start.path, this.#start.schema, this.#checkpointBytes);
    await this.#file.create(this.#start.events);
    await this.#file.insert('capture', [this.#start.capture]);
    await this.#file.insert('packs', this.#start.packs);
    await this.#file.insert('schema_migrations', [
      {
        version: this.#start.schema.version,
        applied_at: this.#start.capture.started_at ?? null,
        ingero_version: this.#start.capture.ingero_version ?? null,
      },
    ]);
    for (const plan of this.#start.events) {
      this.#tables.set(
        plan.table,
        await EventTable.open(
          this.#file.appends,
          this.#start.schema,
          plan,
          this.#start.wallOffsetNs,
          this.#processIds,
          this.#stacks,
        ),
      );
    }
    for (const message of this.#start.known) this.handle(message);
    this.#live = await LiveServer.listen(this.#holdable, path);
    this.#schedule(0);
  }

  /** For readers that copy the file while it is written. What fails here fails for them, and the trace goes on. */
  readonly #holdable = {
    hold: (): Promise<bigint> =>
      new Promise((resolve, reject) => {
        const held = async (): Promise<bigint> => {
          await this.#file.holdCheckpoints();
          const asOf = wallClockNs();
          this.#flushAll();
          return asOf;
        };
        // What the flush queues (processes, threads) is to be in the file as well.
        void this.#write(() => held().then((asOf) => void this.#write(async () => resolve(asOf)), reject));
      }),
    release: (): void => {
      void this.#write(() => this.#file.allowCheckpoints(this.#checkpointBytes).catch(() => {}));
    },
    patienceMs: (): number => COPY_MS + statSync(this.#start.path).size / COPY_BYTES_PER_MS,
  };

  handle(message: ToRecorder): void {
    switch (message.type) {
      case 'decodings':
        for (const decoding of message.decodings) {
          const table = this.#tables.get(decoding.table) as EventTable;
          table.addProbe(decoding);
          this.#tableOfProbe[decoding.probeId] = table;
          this.#decodings.set(decoding.probeId, decoding);
        }
        break;
      case 'process':
        this.#described.set(message.info.pid, message.info);
        if (message.info.exe !== null) this.#stacks.know(message.info.exe);
        break;
      case 'probes':
        for (const { path } of message.libraries) this.#stacks.know(path as string);
        this.#write(async () => {
          await this.#file.insert('libraries', message.libraries);
          await this.#file.insert('probes', message.probes);
        });
        break;
      case 'capture':
        this.#write(() => this.#file.updateCapture(message.row));
        break;
      case 'anchor':
        this.#write(() => this.#file.insert('clock_anchors', [message.row]));
        break;
      case 'rows':
        this.#write(() => this.#file.insert(message.table, message.rows));
        break;
      case 'thin':
        for (const table of this.#tables.values())
          table.thin(message.sinceNs, message.oneIn, message.probeIds);
        break;
      case 'observe':
        // Not here: this may be called in the middle of reading a ring.
        setImmediate(() => this.#reportLoad());
        break;
      case 'summary':
        send({
          type: 'summary',
          ops: this.#summary(),
          rows: this.#rowsAppended(),
          ringHighWater: this.#highWater(),
        });
        break;
      case 'finish':
        void this.#finish(message.endReason, message.endDetail, message.counters);
        break;
    }
  }

  #schedule(ms: number): void {
    if (ms === 0) setImmediate(() => this.#tick());
    else setTimeout(() => this.#tick(), ms);
  }

  /** What is in the rings counts: the kernel has counted it as well. */
  #reportLoad(): void {
    if (this.#failed === null && !this.#isFinishing) {
      try {
        this.#drain();
      } catch (error) {
        this.#fail(error as Error);
      }
    }
    send({ type: 'observation', ...this.#observe() });
  }

  #tick(): void {
    if (this.#failed !== null || this.#isFinishing) return;
    try {
      const consumed = this.#drain();
      this.#pollMs =
        consumed > DRAIN_BYTES / 4
          ? 0
          : consumed > 0
            ? Math.max(1, this.#pollMs / 2)
            : Math.min(MAX_POLL_MS, this.#pollMs * 1.5 + 1);
      this.#flushIfDue();
      if (consumed > 0) this.#checkSpace();
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    this.#schedule(this.#pollMs);
  }

  #drain(): number {
    let consumed = 0;
    for (const reader of this.#readers) consumed += reader.drain(this.#visit, DRAIN_BYTES);
    if (consumed > 0) this.#dirty = true;
    return consumed;
  }

  readonly #visit = (words: Uint32Array, at: number): void => {
    const head = words[at] as number;
    const type = head & 0xff;
    if (type === RECORD_STACK) this.#stacks.meet(words, at);
    else if (type !== RECORD_CALL) this.#meetThread(words, at);
    else (this.#tableOfProbe[head >>> 16] ?? this.#learnProbe(head >>> 16)).append(words, at);
  };

  /** A record of a probe attached a moment ago: its description was posted before, and is still in the queue. */
  #learnProbe(probeId: number): EventTable {
    while (this.#tableOfProbe[probeId] === undefined) {
      const received = receiveMessageOnPort(parentPort as MessagePort);
      if (received === undefined) throw new Error(`record of probe ${probeId}, which was never described`);
      this.handle(received.message as ToRecorder);
    }
    return this.#tableOfProbe[probeId];
  }

  #meetThread(words: Uint32Array, at: number): void {
    const time = (word: number): bigint =>
      (BigInt(words[at + word + 1] as number) << 32n) | BigInt(words[at + word] as number);
    const pid = words[at + THREAD.pid] as number;
    const name = Buffer.from(words.buffer, words.byteOffset + (at + THREAD.comm) * 4, THREAD.commBytes);
    const end = name.indexOf(0);
    const firstSeen = time(THREAD.seen) + this.#start.wallOffsetNs;
    const threadName = name.toString('utf8', 0, end < 0 ? name.length : end);
    const process = this.#processIds.meet(pid, time(THREAD.processStart));
    this.#newThreads.push({
      tid: words[at + THREAD.tid] as number,
      pid,
      process_id: process.id,
      name: threadName,
      first_seen: firstSeen,
    });
    if (!process.isNew) return;
    const info = this.#describe(pid, time(THREAD.processBoot));
    // Of a process that has ended only the name its thread had is known.
    this.#newProcesses.push({
      ...processRow(info, firstSeen),
      ...(this.#start.dropCommandLines ? { command_line: null } : {}),
      process_id: process.id,
      comm: info.comm ?? threadName,
    });
  }

  /** What is known of the process with this pid that started then; by now the pid can belong to another. */
  #describe(pid: number, startBootNs: bigint): ProcessInfo {
    const isIt = (info: ProcessInfo | undefined): boolean =>
      info?.startTicks === null || info?.startTicks === startBootNs / NS_PER_TICK;
    const seenNow = readProcess(pid);
    const early = this.#described.get(pid);
    if (seenNow.commandLine !== null && isIt(seenNow)) return seenNow;
    if (early !== undefined && isIt(early)) return early;
    return isIt(seenNow) ? seenNow : unknownProcess(pid);
  }

  #flushIfDue(): void {
    const now = performance.now();
    if (now - this.#lastFlush < FLUSH_INTERVAL_MS) return;
    this.#lastFlush = now;
    if (this.#dirty) this.#flush();
    this.#checkSize();
  }

  /** At its limit the file is not failing: the tracer detaches, and what is in the rings by then is still written. */
  #checkSize(): void {
    const { path, maxBytes } = this.#start;
    if (maxBytes === null || this.#isAtLimit) return;
    const bytes = sizeOf(path) + sizeOf(`${path}.wal`);
    if (bytes < maxBytes) return;
    this.#isAtLimit = true;
    send({ type: 'stopped', reason: 'max-size', detail: `${bytes} bytes` });
  }

  /** Stops where others would be left less than they were promised. */
  #checkSpace(): void {
    const { bavail, bsize } = statfsSync(dirname(this.#start.path));
    const { minFreeBytes } = this.#start;
    // What is set aside counts as free.
    if (bavail * bsize + 2 * reserveBytes(minFreeBytes) < minFreeBytes) {
      throw new DiskFull(`less than ${Math.ceil(minFreeBytes / 2 ** 20)} MiB free beside the capture`);
    }
  }

  /** What the rings hold now becomes rows. Throws when recording has stopped. */
  #flushAll(): void {
    if (this.#failed !== null || this.#isFinishing) throw new Error('recording has stopped');
    try {
      const until = performance.now() + MAX_POLL_MS;
      while (this.#drain() >= DRAIN_BYTES && performance.now() < until);
      this.#flush();
    } catch (error) {
      this.#fail(error as Error);
      throw error;
    }
  }

  #flush(): void {
    const before = performance.now();
    for (const table of this.#tables.values()) table.flush();
    this.#flushMaxMs = Math.max(this.#flushMaxMs ?? 0, performance.now() - before);
    this.#dirty = false;
    const threads = this.#newThreads.splice(0);
    const processes = this.#newProcesses.splice(0);
    const { stacks, frames } = this.#stacks.take();
    if (threads.length + processes.length + stacks.length === 0) return;
    this.#write(async () => {
      await this.#file.insert('processes', processes);
      await this.#file.insert('threads', threads);
      await this.#file.insert('stacks', stacks);
      await this.#file.insert('frames', frames);
    });
  }

  #write(job: () => Promise<void>): Promise<void> {
    this.#pending = this.#pending.then(job).catch((error: Error) => this.#fail(error));
    return this.#pending;
  }

  /** Stops recording; the tracer detaches and then asks to finish. */
  #fail(error: Error): void {
    if (this.#failed !== null) return;
    this.#isBroken = !(error instanceof DiskFull);
    const full = !this.#isBroken || isDiskFull(error);
    this.#failed = { reason: full ? 'disk-full' : 'failed', detail: error.message };
    send({ type: 'stopped', ...this.#failed });
  }

  async #finish(
    endReason: EndReason,
    endDetail: string | null,
    counters: readonly (readonly [number, Counters])[],
  ): Promise<void> {
    this.#isFinishing = true;
    this.#live?.close();
    let failure: string | null = null;
    let accounting: ProbeAccounting[] = [];
    try {
      if (this.#failed === null) {
        while (this.#drain() > 0);
        this.#flush();
      }
    } catch (error) {
      this.#fail(error as Error);
    }
    // Nothing may be closed under a statement that still runs.
    await this.#pending;
    let end: { reason: EndReason; detail: string | null } = { reason: endReason, detail: endDetail };
    try {
      await this.#settle();
      end = this.#failed ?? end;
      const inFile = await this.#file.rowsPerProbe([...this.#tables.keys()]);
      const rows = counters.map(([probeId, counts]) => {
        const written = inFile.get(probeId) ?? 0;
        const read = this.#tableOfProbe[probeId]?.totals(probeId)?.rows ?? 0;
        return accountingRow(probeId, counts, written, this.#lostUnwritten(counts, read, written));
      });
      accounting = rows.map(toAccounting);
      await this.#file.insert('probe_accounting', rows);
      await this.#file.updateCapture({
        ended_at: wallClockNs(),
        end_reason: end.reason,
        end_detail: end.detail,
        accounting_balanced: accounting.every((row) => row.balanced),
      });
      await this.#file.close();
    } catch (error) {
      failure = (error as Error).message;
    }
    const result: RecorderResult = {
      rows: accounting.reduce((sum, row) => sum + Number(row.rows), 0),
      accounting,
      balanced: failure === null && accounting.every((row) => row.balanced),
      ringHighWater: this.#highWater(),
      failure,
      endReason: end.reason,
    };
    for (const reader of this.#readers) reader.close();
    send({ type: 'finished', result });
  }

  /**
   * Calls the kernel put into a ring that are not in the file: recording stopped early. While recording is
   * healthy nothing may be missing, so nothing is counted and a difference shows as an unbalanced account.
   */
  #lostUnwritten(counts: Counters, read: number, inFile: number): number {
    if (this.#failed === null) return 0;
    const submitted = Number(
      counts.hits -
        counts.filtered -
        counts.sampled -
        counts.lost_ring_full -
        counts.lost_too_deep -
        counts.lost_no_memory,
    );
    return Math.max(submitted, read) - inFile;
  }

  /** Brings the file into a state in which its catalog can be completed. */
  async #settle(): Promise<void> {
    this.#reserves.shift()?.release();
    try {
      if (!this.#isBroken) for (const table of this.#tables.values()) table.close();
    } catch (error) {
      this.#fail(error as Error);
      this.#isBroken = true;
    }
    if (this.#isBroken) await this.#reopen();
  }

  /** After a failed write DuckDB refuses everything until the file is opened afresh; what was committed is still there. */
  async #reopen(): Promise<void> {
    this.#reserves.shift()?.release();
    // Appenders hold the instance open. An invalidated one refuses what would write; opening it again is what matters.
    for (const close of [
      ...[...this.#tables.values()].map((table) => () => table.close()),
      () => this.#file.abandon(),
    ]) {
      try {
        close();
      } catch {
        // Said before, by the write that failed.
      }
    }
    this.#file = await CaptureFile.open(this.#start.path, this.#start.schema, CHECKPOINT_BYTES);
  }

  #summary(): OpSummary[] {
    const ops = new Map<string, OpSummary>();
    for (const [probeId, decoding] of this.#decodings) {
      const totals = this.#tableOfProbe[probeId]?.totals(probeId);
      if (totals === undefined || totals.rows === 0) continue;
      const known = ops.get(decoding.op);
      ops.set(decoding.op, {
        op: decoding.op,
        calls: totals.rows + (known?.calls ?? 0),
        errors: totals.errors + (known?.errors ?? 0),
        p50: known?.p50 ?? totals.latency.quantile(0.5),
        p99: Math.max(known?.p99 ?? 0, totals.latency.quantile(0.99) ?? 0) || null,
      });
    }
    return [...ops.values()];
  }

  #rowsAppended(): number {
    let rows = 0;
    for (const [probeId] of this.#decodings) rows += this.#tableOfProbe[probeId]?.totals(probeId)?.rows ?? 0;
    return rows;
  }

  #observe(): Observation {
    const calls = new Map<number, number>();
    for (const table of this.#tables.values()) table.takeCallsOfThreads(calls);
    const all = [...calls.values()].reduce((sum, count) => sum + count, 0);
    const ringHighWater = Math.max(
      0,
      ...this.#readers.map((reader) => reader.takeRecentHighWater() / reader.bytes),
    );
    const flushMaxNs = this.#flushMaxMs === null ? null : BigInt(Math.round(this.#flushMaxMs * 1e6));
    this.#flushMaxMs = null;
    return {
      busyThreads: calls.size,
      busiestShare: all === 0 ? 1 : Math.max(...calls.values()) / all,
      ringHighWater,
      flushMaxNs,
    };
  }

  #highWater(): number {
    return Math.max(0, ...this.#readers.map((reader) => reader.highWater / reader.bytes));
  }
}

class DiskFull extends Error {}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function processRow(info: ProcessInfo, firstSeen: bigint): Omit<ProcessesRow, 'process_id'> {
  return {
    pid: info.pid,
    first_seen: firstSeen,
    started_at: info.startedAtNs,
    ppid: info.ppid,
    uid: info.uid,
    comm: info.comm,
    exe: info.exe,
    command_line: info.commandLine,
    cgroup: info.cgroup,
    container_id: info.containerId,
    rank: info.rank,
    local_rank: info.localRank,
    world_size: info.worldSize,
    visible_devices: info.visibleDevices,
    seccomp: info.seccomp,
  };
}

function accountingRow(
  probeId: number,
  counts: Counters,
  rows: number,
  notWritten: number,
): ProbeAccountingRow {
  const lost = counts.lost_ring_full + counts.lost_too_deep + counts.lost_no_memory + BigInt(notWritten);
  return {
    probe_id: probeId,
    hits: counts.hits,
    rows: BigInt(rows),
    filtered: counts.filtered,
    sampled: counts.sampled,
    lost_ring_full: counts.lost_ring_full,
    lost_too_deep: counts.lost_too_deep,
    lost_no_memory: counts.lost_no_memory,
    lost_not_written: BigInt(notWritten),
    balanced: counts.hits === BigInt(rows) + counts.filtered + counts.sampled + lost,
    orphan_returns: counts.orphan_returns,
    read_faults: counts.read_faults,
    lost_stacks: counts.lost_stacks,
  };
}

function toAccounting(row: ProbeAccountingRow): ProbeAccounting {
  return {
    probeId: row.probe_id,
    hits: row.hits,
    rows: row.rows,
    filtered: row.filtered,
    sampled: row.sampled,
    lost: row.lost_ring_full + row.lost_too_deep + row.lost_no_memory + row.lost_not_written,
    balanced: row.balanced,
  };
}

function send(message: FromRecorder): void {
  parentPort?.postMessage(message);
}

const recorder = new Recorder(workerData as RecorderStart);
await recorder.open();
parentPort?.on('message', (message: ToRecorder) => recorder.handle(message));
send({ type: 'ready' });
