/** Words the arena may hold before the table starts afresh (16 Mi words, 64 MiB). */
const MAX_ARENA_WORDS = 1 << 24;
const FIRST_SLOTS = 1 << 12;
const MULTIPLIER = 0x9e3779b1;

/**
 * Numbers distinct sequences of 32-bit words: equal sequences get the same number. When its memory is full
 * it forgets and starts a new generation; a sequence seen again then gets a second number, which costs space
 * in the capture and nothing else.
 *
 * A sequence is a tag and the words at given places of a record; they are never copied unless they are new.
 */
export class Interner {
  readonly #maxArena: number;
  #next = 0;
  #count = 0;
  /** Open addressing: hash and arena offset of each entry; offset 0 means free. */
  #slots = new Int32Array(2 * FIRST_SLOTS);
  /** Entries: number, tag, then the words. Offset 0 is unused. */
  #arena = new Uint32Array(1 << 14);
  #used = 1;

  constructor(maxArenaWords: number = MAX_ARENA_WORDS) {
    this.#maxArena = maxArenaWords;
  }

  /**
   * Number of the sequence `tag`, words[at + places[0]], words[at + places[1]] ...; -1 - number when it is new.
   * Equal tags must come with equal `places`.
   */
  intern(tag: number, words: Uint32Array, at: number, places: Uint8Array): number {
    const hash = hashOf(tag, words, at, places);
    const slots = this.#slots;
    const mask = slots.length - 2;
    let slot = (hash << 1) & mask;
    for (;;) {
      const entry = slots[slot + 1] as number;
      if (entry === 0) break;
      if (slots[slot] === hash && this.#matches(entry, tag, words, at, places)) {
        return this.#arena[entry] as number;
      }
      slot = (slot + 2) & mask;
    }
    return -1 - this.#insert(hash, tag, words, at, places);
  }

  #matches(entry: number, tag: number, words: Uint32Array, at: number, places: Uint8Array): boolean {
    const arena = this.#arena;
    if (arena[entry + 1] !== tag) return false;
    for (let i = 0; i < places.length; i++) {
      if (arena[entry + 2 + i] !== words[at + (places[i] as number)]) return false;
    }
    return true;
  }

  #insert(hash: number, tag: number, words: Uint32Array, at: number, places: Uint8Array): number {
    const need = this.#used + 2 + places.length;
    if (need > this.#maxArena) {
      this.#slots = new Int32Array(2 * FIRST_SLOTS);
      this.#used = 1;
      this.#count = 0;
    } else if (need > this.#arena.length) {
      const larger = new Uint32Array(Math.min(this.#maxArena, this.#arena.length * 2));
      larger.set(this.#arena);
      this.#arena = larger;
    }
    const entry = this.#used;
    const id = this.#next++;
    this.#arena[entry] = id;
    this.#arena[entry + 1] = tag;
    for (let i = 0; i < places.length; i++) {
      this.#arena[entry + 2 + i] = words[at + (places[i] as number)] as number;
    }
    this.#used += 2 + places.length;
    place(this.#slots, hash, entry);
    this.#count++;
    if (this.#count * 4 > this.#slots.length) this.#grow();
    return id;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2);
    for (let from = 0; from < old.length; from += 2) {
      if (old[from + 1] !== 0) place(this.#slots, old[from] as number, old[from + 1] as number);
    }
  }
}

/** Puts an entry into the first free slot of its probe sequence. */
function place(slots: Int32Array, hash: number, entry: number): void {
  const mask = slots.length - 2;
  let slot = (hash << 1) & mask;
  while (slots[slot + 1] !== 0) slot = (slot + 2) & mask;
  slots[slot] = hash;
  slots[slot + 1] = entry;
}

/** Two multiply-rotate lanes (as in FxHash), so that one multiplication need not wait for the last. */
function hashOf(tag: number, words: Uint32Array, at: number, places: Uint8Array): number {
  let a = tag | 0;
  let b = places.length;
  const even = places.length & ~1;
  for (let i = 0; i < even; i += 2) {
    a = Math.imul(((a << 5) | (a >>> 27)) ^ (words[at + (places[i] as number)] as number), MULTIPLIER);
    b = Math.imul(((b << 5) | (b >>> 27)) ^ (words[at + (places[i + 1] as number)] as number), MULTIPLIER);
  }
  if (even < places.length) {
    a = Math.imul(((a << 5) | (a >>> 27)) ^ (words[at + (places[even] as number)] as number), MULTIPLIER);
  }
  a ^= Math.imul(b ^ (b >>> 15), MULTIPLIER);
  a = Math.imul(a ^ (a >>> 16), MULTIPLIER);
  return a ^ (a >>> 15);
}
