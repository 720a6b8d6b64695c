import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RingReader } from '../../src/ring/ring-reader.js';

const PAGE = 4096;
const BUSY = 0x80000000;
const DISCARD = 0x40000000;

/**
 * A file laid out as the kernel maps a ring: consumer page, producer page, the data twice. Records are written as
 * bpf_ringbuf_reserve and _submit do it (kernel/bpf/ringbuf.c).
 */
class FakeRing {
  readonly fd: number;
  produced = 0;

  constructor(
    path: string,
    readonly bytes: number,
  ) {
    this.fd = openSync(path, 'w+');
    writeSync(this.fd, Buffer.alloc(2 * PAGE + 2 * bytes));
  }

  /** Adds a record; its length has to be a multiple of 4 here. */
  add(payload: readonly number[], flags = 0): number {
    const at = this.produced;
    const record = Buffer.alloc(8 + Math.ceil((payload.length * 4) / 8) * 8);
    record.writeUInt32LE((payload.length * 4 + flags) >>> 0, 0);
    for (const [index, word] of payload.entries()) record.writeUInt32LE(word, 8 + index * 4);
    for (let i = 0; i < record.length; i++) this.#byte(at + i, record[i] as number);
    this.produced += record.length;
    this.#position();
    return at;
  }

  /** Ends the reservation at a position. */
  submit(at: number, payload: readonly number[]): void {
    const header = Buffer.alloc(4);
    header.writeUInt32LE(payload.length * 4);
    for (let i = 0; i < 4; i++) this.#byte(at + i, header[i] as number);
  }

  #byte(position: number, value: number): void {
    const at = 2 * PAGE + (position % this.bytes);
    for (const copy of [at, at + this.bytes]) writeSync(this.fd, Buffer.of(value), 0, 1, copy);
  }

  #position(): void {
    const position = Buffer.alloc(8);
    position.writeBigUInt64LE(BigInt(this.produced));
    writeSync(this.fd, position, 0, 8, PAGE);
  }
}

let dir: string;
let ring: FakeRing;
let reader: RingReader;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ingero-ring-'));
  ring = new FakeRing(join(dir, 'ring'), PAGE);
  reader = new RingReader(ring.fd, PAGE);
});
afterEach(() => {
  reader.close();
  closeSync(ring.fd);
  rmSync(dir, { recursive: true });
});

/** First words of the records that can be read. */
function drain(maxBytes = PAGE): { records: number[]; consumed: number } {
  const records: number[] = [];
  const consumed = reader.drain((words, at) => records.push(words[at] as number), maxBytes);
  return { records, consumed };
}

test('an empty ring gives nothing', () => {
  expect(drain()).toEqual({ records: [], consumed: 0 });
});

test('records come in order, whatever their length; discarded ones are passed over', () => {
  ring.add([1]);
  ring.add([2, 0, 0]);
  ring.add([3, 0], DISCARD);
  ring.add([4, 0, 0, 0]);
  expect(drain()).toEqual({ records: [1, 2, 4], consumed: 16 + 24 + 16 + 24 });
  expect(drain()).toEqual({ records: [], consumed: 0 });
  expect(reader.highWater).toBe(80);
});

test('a record that is still being written holds up those behind it', () => {
  ring.add([1]);
  const at = ring.add([2], BUSY);
  ring.add([3]);
  expect(drain().records).toEqual([1]);
  expect(drain()).toEqual({ records: [], consumed: 0 });
  ring.submit(at, [2]);
  expect(drain().records).toEqual([2, 3]);
});

test('a drain stops after the bytes it was given', () => {
  for (let i = 0; i < 10; i++) ring.add([i, 0]);
  expect(drain(32)).toEqual({ records: [0, 1], consumed: 32 });
  expect(drain().records).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
});

test('records are whole across the end of the ring, round after round', () => {
  const seen: number[] = [];
  for (let i = 0; i < 1000; i++) {
    // 56 bytes: the end of the ring comes at another place in a record each time.
    ring.add([i, ...Array.from({ length: 11 }, (_, word) => i * 100 + word)]);
    reader.drain((words, at) => {
      seen.push(words[at] as number);
      for (let word = 0; word < 11; word++)
        expect(words[at + 1 + word]).toBe((words[at] as number) * 100 + word);
    }, PAGE);
  }
  expect(seen).toEqual(Array.from({ length: 1000 }, (_, i) => i));
});

test('a descriptor that is no ring is refused', () => {
  expect(() => new RingReader(9999, PAGE)).toThrow(/mmap of a ring buffer/);
});
