import { randomBytes } from 'node:crypto';

/** Entries before the table starts afresh (with its free half: 32 MiB). */
const MAX_ENTRIES = 1 << 20;
const FIRST_ENTRIES = 1 << 12;
/** Words of an entry: two hashes, the tag, the number + 1 (0: free). */
const ENTRY = 4;

/**
 * Numbers distinct sequences of 32-bit words: equal sequences get the same number. When the table is full it
 * forgets and starts a new generation; a sequence seen again then gets a second number, which costs space in the
 * capture and nothing else.
 *
 * A sequence is a tag and the words at given places of a record. It is known by its tag and 64 bits of hash, seeded
 * per table: two different sequences of one tag are taken for each other with a probability of about 2^-64, less than
 * 1 in 30 million for a whole table of a million (docs/decisions.md, "interned arguments").
 */
export class Interner {
  readonly #maxEntries: number;
  readonly #seedA: number;
  readonly #seedB: number;
  #next = 0;
  #count = 0;
  /** Open addressing, at most half full. */
  #table = new Int32Array(ENTRY * 2 * FIRST_ENTRIES);

  constructor(maxEntries: number = MAX_ENTRIES) {
    this.#maxEntries = maxEntries;
    const seed = randomBytes(8);
    this.#seedA = seed.readInt32LE(0);
    this.#seedB = seed.readInt32LE(4);
  }

  /**
   * Number of the sequence `tag`, words[at + places[0]], words[at + places[1]] ...; -1 - number when it is new.
   * Equal tags must come with equal `places`. `salt` is one word more that tells sequences apart.
   */
  intern(tag: number, words: Uint32Array, at: number, places: Uint16Array, salt: number): number {
    // Two multiply-rotate hashes (as in FxHash) of all words, each finished by an avalanche.
    let a = Math.imul(salt, 0x165667b1) ^ this.#seedA;
    let b = salt ^ this.#seedB;
    for (let i = 0; i < places.length; i++) {
      const word = words[at + (places[i] as number)] as number;
      a = Math.imul(((a << 5) | (a >>> 27)) ^ word, 0x9e3779b1);
      b = Math.imul(((b << 9) | (b >>> 23)) ^ word, 0x85ebca6b);
    }
    a = Math.imul(a ^ (a >>> 16), 0xc2b2ae35);
    a ^= a >>> 15;
    b = Math.imul(b ^ (b >>> 16), 0x27d4eb2f);
    b ^= b >>> 15;
    const table = this.#table;
    const mask = table.length - 1;
    const signed = tag | 0;
    let slot = Math.imul(a ^ signed, ENTRY) & mask;
    for (;;) {
      const number = table[slot + 3] as number;
      if (number === 0) return -1 - this.#insert(a, b, signed);
      if (table[slot] === a && table[slot + 1] === b && table[slot + 2] === signed) return number - 1;
      slot = (slot + ENTRY) & mask;
    }
  }

  #insert(a: number, b: number, tag: number): number {
    if (this.#count === this.#maxEntries) {
      this.#table = new Int32Array(ENTRY * 2 * FIRST_ENTRIES);
      this.#count = 0;
    } else if (this.#count * ENTRY * 2 >= this.#table.length) {
      const old = this.#table;
      this.#table = new Int32Array(old.length * 2);
      for (let from = 0; from < old.length; from += ENTRY) {
        if (old[from + 3] !== 0) place(this.#table, old.subarray(from, from + ENTRY));
      }
    }
    const number = this.#next++;
    place(this.#table, Int32Array.of(a, b, tag, number + 1));
    this.#count++;
    return number;
  }
}

/** Puts an entry into the first free slot of its probe sequence. */
function place(table: Int32Array, entry: Int32Array): void {
  const mask = table.length - 1;
  let slot = Math.imul((entry[0] as number) ^ (entry[2] as number), ENTRY) & mask;
  while (table[slot + 3] !== 0) slot = (slot + ENTRY) & mask;
  table.set(entry, slot);
}
