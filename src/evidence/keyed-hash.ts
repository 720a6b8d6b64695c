import { createHash, createHmac, randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import type { ColumnSpec } from '../capture/schema.js';
import { ident } from '../capture/sql-text.js';
import { EXIT, IngeroError } from '../errors.js';

/** Block of SHA-256, bytes (RFC 2104). */
const BLOCK = 64;
const KEY_BYTES = 32;
/** What a text that was hashed begins with. */
export const HASH_MARK = 'h:';
/** Digits of the hash that are kept, of 64. */
const DIGITS = 32;

/** A key for hashes; it is never written anywhere. */
export interface HashKey {
  bytes: Buffer;
  /** Says which key it was without saying the key. */
  id: string;
}

/** A random key for this once, or the bytes of a file. Throws `hash-key-unreadable` or `hash-key-weak`. */
export function hashKey(file: string | undefined): HashKey {
  const bytes = file === undefined ? randomBytes(KEY_BYTES) : readKeyFile(file);
  const id = createHmac('sha256', bytes).update('ingero redaction key').digest('hex').slice(0, 16);
  return { bytes, id };
}

function readKeyFile(file: string): Buffer {
  const refuse = (code: string, message: string, cause?: unknown): IngeroError =>
    new IngeroError(message, {
      code,
      exitCode: EXIT.usage,
      expected: `a file of at least ${KEY_BYTES} random bytes that only its owner can read`,
      next: `Make one: (umask 077; head -c ${KEY_BYTES} /dev/urandom > hash.key)`,
      cause,
    });
  try {
    if ((statSync(file).mode & 0o077) !== 0) throw refuse('key-exposed', `Others can read the key ${file}.`);
    const bytes = readFileSync(file);
    if (bytes.length < KEY_BYTES) throw refuse('bad-key', `The key ${file} has only ${bytes.length} bytes.`);
    return bytes;
  } catch (cause) {
    if (cause instanceof IngeroError) throw cause;
    throw refuse('key-unreadable', `The key ${file} cannot be read: ${(cause as Error).message}`, cause);
  }
}

/** HMAC-SHA-256 of a text in SQL, hex: DuckDB has only the plain hash, so that it is put together as RFC 2104 says. */
export function hmacSql({ bytes }: HashKey, text: string): string {
  const key = Buffer.alloc(BLOCK);
  (bytes.length > BLOCK ? createHash('sha256').update(bytes).digest() : bytes).copy(key);
  const pad = (byte: number): string =>
    `'${[...key].map((value) => `\\x${(value ^ byte).toString(16).padStart(2, '0')}`).join('')}'::BLOB`;
  return `sha256(${pad(0x5c)} || unhex(sha256(${pad(0x36)} || encode(${text}))))`;
}

/**
 * A value replaced by its keyed hash, in the type of its column: equal values stay equal, NULL stays NULL. Integers
 * lose what does not fit.
 */
export function hashedValue(key: HashKey, { name, type }: ColumnSpec): string {
  const column = ident(name);
  const digits = (text: string, count: number): string => `left(${hmacSql(key, text)}, ${count})`;
  if (type === 'VARCHAR') return `'${HASH_MARK}' || ${digits(column, DIGITS)}`;
  if (type === 'VARCHAR[]') {
    return `list_transform(${column}, lambda e: '${HASH_MARK}' || ${digits('e', DIGITS)})`;
  }
  const text = `${column}::VARCHAR`;
  if (type === 'UUID') return `${digits(text, 32)}::UUID`;
  const bytes: Readonly<Record<string, number>> = { UBIGINT: 16, BIGINT: 15, UINTEGER: 8, INTEGER: 7 };
  const count = bytes[type];
  if (count === undefined) throw new Error(`no hash for ${type}`);
  return `CASE WHEN ${column} IS NULL THEN NULL ELSE ('0x' || ${digits(text, count)})::${type} END`;
}
