import koffi from 'koffi';

const libc = koffi.load(null);
const mmap = libc.func(
  'void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset)',
) as unknown as (
  addr: null,
  length: number,
  prot: number,
  flags: number,
  fd: number,
  offset: number,
) => bigint | null;
const munmap = libc.func('int munmap(void *addr, size_t length)') as unknown as (
  addr: bigint,
  length: number,
) => number;

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffffffffffffffffn;
const PAGE = Number(
  (libc.func('long sysconf(int name)') as unknown as (name: number) => number)(30 /* _SC_PAGESIZE */),
);
/** The largest page Linux has on x86-64 and AArch64: a ring is made of whole pages, on any host. */
export const SMALLEST_RING_BYTES = 65_536;
/** BPF_RINGBUF_BUSY_BIT, BPF_RINGBUF_DISCARD_BIT, BPF_RINGBUF_HDR_SZ (linux/bpf.h). */
const BUSY = 0x80000000;
const DISCARD = 0x40000000;
const HEADER_BYTES = 8;

/** Called per record: the words of the ring, and the index of the record's first word. */
export type RecordVisitor = (words: Uint32Array, at: number) => void;

/**
 * Reads one BPF ring buffer through a memory map, without a native call per record. Layout and protocol:
 * kernel/bpf/ringbuf.c - a consumer page, a producer page, then the data mapped twice in a row, so that
 * every record is contiguous.
 */
export class RingReader {
  readonly bytes: number;
  readonly #consumerAddress: bigint;
  readonly #producerAddress: bigint;
  readonly #consumer: BigUint64Array;
  readonly #producer: BigUint64Array;
  readonly #words: Uint32Array;
  readonly #headers: Int32Array;
  #position = 0;
  /** Largest backlog seen, in bytes. */
  highWater = 0;
  #recentHighWater = 0;

  /** Largest backlog since the last time this was asked, in bytes. */
  takeRecentHighWater(): number {
    const recent = this.#recentHighWater;
    this.#recentHighWater = 0;
    return recent;
  }

  /** Maps the ring behind a map descriptor. Throws when the kernel refuses the mapping. */
  constructor(fd: number, bytes: number) {
    this.bytes = bytes;
    this.#consumerAddress = map(fd, 0, PAGE, PROT_READ | PROT_WRITE);
    this.#producerAddress = map(fd, PAGE, PAGE + 2 * bytes, PROT_READ);
    this.#consumer = new BigUint64Array(koffi.view(this.#consumerAddress, 8));
    const shared = koffi.view(this.#producerAddress, PAGE + 2 * bytes);
    this.#producer = new BigUint64Array(shared, 0, 1);
    this.#words = new Uint32Array(shared, PAGE);
    this.#headers = new Int32Array(shared, PAGE);
    this.#position = Number(this.#consumer[0]);
  }

  /**
   * Visits the finished records, oldest first, until the ring is empty or `maxBytes` were consumed, then
   * hands the space back to the kernel. Returns the number of bytes consumed.
   */
  drain(visit: RecordVisitor, maxBytes: number): number {
    const words = this.#words;
    const headers = this.#headers;
    const mask = this.bytes - 1;
    const start = this.#position;
    let position = start;
    const end = Number(Atomics.load(this.#producer, 0));
    if (end - start > this.#recentHighWater) {
      this.#recentHighWater = end - start;
      if (end - start > this.highWater) this.highWater = end - start;
    }
    const stop = Math.min(end, start + maxBytes);
    while (position < stop) {
      const at = (position & mask) >>> 2;
      const header = Atomics.load(headers, at) >>> 0;
      if ((header & BUSY) !== 0) break;
      if ((header & DISCARD) === 0) visit(words, at + HEADER_BYTES / 4);
      const length = (header & ~(BUSY | DISCARD)) >>> 0;
      position += (length + HEADER_BYTES + 7) & ~7;
    }
    if (position !== start) {
      this.#position = position;
      Atomics.store(this.#consumer, 0, BigInt(position));
    }
    return position - start;
  }

  /** Unmaps the ring. The reader must not be used afterwards. */
  close(): void {
    munmap(this.#producerAddress, PAGE + 2 * this.bytes);
    munmap(this.#consumerAddress, PAGE);
  }
}

function map(fd: number, offset: number, length: number, prot: number): bigint {
  const address = mmap(null, length, prot, MAP_SHARED, fd, offset);
  if (address === null || address === MAP_FAILED) {
    throw new Error(`mmap of a ring buffer (${length} bytes) failed, errno ${koffi.errno()}`);
  }
  return address;
}
