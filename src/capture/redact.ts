import { createHmac, randomBytes } from 'node:crypto';

/** The key of this run. It is in this memory and nowhere else. */
const KEY = randomBytes(32);
/** Hashes that are remembered; what is redacted tends to repeat. */
const MAX_REMEMBERED = 1 << 16;
const remembered = new Map<bigint | string, bigint>();

/**
 * What stands for a value that must not leave the host: 64 bits of HMAC-SHA-256 under a key that is random for each
 * run and never stored. Equal values have equal hashes; a number and a text never have.
 */
export function redactedHash(value: bigint | string): bigint {
  const known = remembered.get(value);
  if (known !== undefined) return known;
  const text = typeof value === 'bigint' ? `number ${value}` : `text ${value}`;
  const hash = createHmac('sha256', KEY).update(text).digest().readBigUInt64LE(0);
  if (remembered.size === MAX_REMEMBERED) remembered.clear();
  remembered.set(value, hash);
  return hash;
}
