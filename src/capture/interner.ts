/** Words the arena may hold before the table starts afresh (16 Mi words, 64 MiB). */
const MAX_ARENA_WORDS = 1 << 24;

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
  #slots = new Int32Array(1 << 12);
  /** Entries: hash, length, id, then the words. Offset 0 is unused so that 0 means an empty slot. */
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
    hash >>>= 0;
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const entry = this.#slots[slot] as number;
      if (entry === 0) break;
      if (this.#matches(entry, hash, length)) return this.#arena[entry + 2] as number;
      slot = (slot + 1) & mask;
    }
    return -1 - this.#insert(slot, hash, length);
  }

  #matches(entry: number, hash: number, length: number): boolean {
    const arena = this.#arena;
    if (arena[entry] !== hash || arena[entry + 1] !== length) return false;
    for (let i = 0; i < length; i++) if (arena[entry + 3 + i] !== this.key[i]) return false;
    return true;
  }

  #insert(freeSlot: number, hash: number, length: number): number {
    let slot = freeSlot;
    if (this.#used + 3 + length > this.#maxArena) {
      this.#slots = new Int32Array(1 << 12);
      this.#used = 1;
      this.#count = 0;
      slot = hash & (this.#slots.length - 1);
    }
    if (this.#used + 3 + length > this.#arena.length) {
      const larger = new Uint32Array(Math.min(this.#maxArena, this.#arena.length * 2));
      larger.set(this.#arena);
      this.#arena = larger;
    }
    const entry = this.#used;
    const arena = this.#arena;
    const id = this.#next++;
    arena[entry] = hash;
    arena[entry + 1] = length;
    arena[entry + 2] = id;
    arena.set(this.key.subarray(0, length), entry + 3);
    this.#used += 3 + length;
    this.#slots[slot] = entry;
    this.#count++;
    if (this.#count * 2 > this.#slots.length) this.#grow();
    return id;
  }

  #grow(): void {
    const old = this.#slots;
    const slots = new Int32Array(old.length * 2);
    const mask = slots.length - 1;
    for (const entry of old) {
      if (entry === 0) continue;
      let slot = (this.#arena[entry] as number) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = entry;
    }
    this.#slots = slots;
  }
}
