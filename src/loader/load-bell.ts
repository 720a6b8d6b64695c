import { closeSync, writeSync } from 'node:fs';
import koffi from 'koffi';
import { RingReader, SMALLEST_RING_BYTES } from '../ring/ring-reader.js';

const libc = koffi.load(null);
koffi.struct('pollfd', { fd: 'int', events: 'short', revents: 'short' });
const poll = libc.func('int poll(_Inout_ pollfd *fds, unsigned long count, int timeout)');
const eventfd = libc.func('int eventfd(unsigned int value, int flags)') as unknown as (
  value: number,
  flags: number,
) => number;

const POLLIN = 1;
const EFD_CLOEXEC = 0o2000000;

/** Tells, within a fraction of a millisecond, which processes got new libraries or a new program. */
export class LoadBell {
  readonly #ring: RingReader;
  readonly #ringFd: number;
  readonly #stop: number;
  readonly #heed: (pids: readonly number[]) => void;
  #closed = false;

  /**
   * Listens until it is closed, on a thread of libuv's pool.
   * @param ringFd descriptor of the BPF map `loads`
   * @param heed called with the pids that rang, each once
   */
  constructor(ringFd: number, heed: (pids: readonly number[]) => void) {
    this.#ring = new RingReader(ringFd, SMALLEST_RING_BYTES);
    this.#ringFd = ringFd;
    this.#heed = heed;
    this.#stop = eventfd(0, EFD_CLOEXEC);
    this.#listen();
  }

  /** Stops listening; `heed` is not called any more. The descriptor of the ring is left open. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const one = Buffer.alloc(8);
    one.writeBigUInt64LE(1n);
    writeSync(this.#stop, one);
  }

  #listen(): void {
    const fds = [this.#ringFd, this.#stop].map((fd) => ({ fd, events: POLLIN, revents: 0 }));
    poll.async(fds, fds.length, -1, () => {
      if (this.#closed) {
        this.#ring.close();
        closeSync(this.#stop);
        return;
      }
      const pids = new Set<number>();
      this.#ring.drain((words, at) => pids.add(words[at] as number), SMALLEST_RING_BYTES);
      this.#listen();
      if (pids.size > 0) this.#heed([...pids]);
    });
  }
}
