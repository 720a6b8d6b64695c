/** Words the arena may hold before the table starts afresh (16 Mi words, 64 MiB). */
const MAX_ARENA_WORDS = 1 << 24;

const FIRST_SLOTS = 1 << 12;

/**
 * Numbers distinct sequences of 32-bit words: equal sequences get the same number. When its memory is full
 * it forgets and starts a new generation; a sequence seen again then gets a second number, which costs space
 * in the capture and nothing else.
 */
export class Interner {
  /** Scratch for the key: fill it, then call `intern(length)`. */
  readonly key: Uint32Array;
  readonly #maxArena: number;
  #next = 0;
  #count = 0;
  /** Open addressing: hash and arena offset of each entry; offset 0 means free. */
  #slots = new Int32Array(2 * FIRST_SLOTS);
  /** Entries: length, number, then the words. Offset 0 is unused. */
  #arena = new Uint32Array(1 << 14);
  #used = 1;

  constructor(maxKeyWords: number, maxArenaWords: number = MAX_ARENA_WORDS) {
    this.key = new Uint32Array(maxKeyWords);
    this.#maxArena = maxArenaWords;
  }

  /** Number of the key's first `length` words, or -1 - number when it is new. */
  intern(length: number): number {
    const key = this.key;
    let hash = length;
    for (let i = 0; i < length; i++) {
      hash = Math.imul(hash ^ (key[i] as number), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const slots = this.#slots;
    const mask = slots.length - 2;
    let slot = (hash << 1) & mask;
    for (;;) {
      const entry = slots[slot + 1] as number;
      if (entry === 0) break;
      if (slots[slot] === hash && this.#matches(entry, length)) return this.#arena[entry + 1] as number;
      slot = (slot + 2) & mask;
    }
    return -1 - this.#insert(slot, hash, length);
  }

  #matches(entry: number, length: number): boolean {
    const arena = this.#arena;
    const key = this.key;
    if (arena[entry] !== length) return false;
    for (let i = 0; i < length; i++) if (arena[entry + 2 + i] !== key[i]) return false;
    return true;
  }

  #insert(freeSlot: number, hash: number, length: number): number {
    let slot = freeSlot;
    const need = this.#used + 2 + length;
    if (need > this.#maxArena) {
      this.#slots = new Int32Array(2 * FIRST_SLOTS);
      this.#used = 1;
      this.#count = 0;
      slot = (hash << 1) & (this.#slots.length - 2);
    } else if (need > this.#arena.length) {
      const larger = new Uint32Array(Math.min(this.#maxArena, this.#arena.length * 2));
      larger.set(this.#arena);
      this.#arena = larger;
    }
    const entry = this.#used;
    const id = this.#next++;
    this.#arena[entry] = length;
    this.#arena[entry + 1] = id;
    this.#arena.set(this.key.subarray(0, length), entry + 2);
    this.#used += 2 + length;
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = entry;
    this.#count++;
    if (this.#count * 4 > this.#slots.length) this.#grow();
    return id;
  }

  #grow(): void {
    const old = this.#slots;
    const slots = new Int32Array(old.length * 2);
    const mask = slots.length - 2;
    for (let from = 0; from < old.length; from += 2) {
      if (old[from + 1] === 0) continue;
      let slot = ((old[from] as number) << 1) & mask;
      while (slots[slot + 1] !== 0) slot = (slot + 2) & mask;
      slots[slot] = old[from] as number;
      slots[slot + 1] = old[from + 1] as number;
    }
    this.#slots = slots;
  }
}
