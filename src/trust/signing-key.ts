import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { EXIT, IngeroError } from '../errors.js';
import { isP256 } from './ecdsa.js';
import { effectiveUid } from './file-safety.js';

const GROUP_OR_OTHERS = 0o077;
const GENERATE = 'openssl ecparam -name prime256v1 -genkey -noout -out signing.pem; chmod 600 signing.pem';

function refuse(code: string, message: string, next: string, cause?: unknown): IngeroError {
  return new IngeroError(message, {
    code,
    exitCode: EXIT.usage,
    expected: 'the PEM file of a private ECDSA key on P-256 that only its owner can read',
    next,
    cause,
  });
}

/** Reads a private key. Throws `key-unreadable`, `key-exposed` or `bad-key`, each saying what to do. */
export function readSigningKey(path: string): KeyObject {
  const pem = readPrivate(path);
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    if (pem.includes('ENCRYPTED')) {
      throw refuse(
        'bad-key',
        `The key in ${path} is encrypted.`,
        'Decrypt it for this one use: openssl ec -in KEY -out FILE, with FILE on a memory file system.',
        cause,
      );
    }
    throw refuse('bad-key', `${path} has no private key in PEM form.`, `Make one: ${GENERATE}`, cause);
  } finally {
    pem.fill(0);
  }
  if (!isP256(key)) {
    throw refuse('bad-key', `The key in ${path} is not on the curve P-256.`, `Make one: ${GENERATE}`);
  }
  return key;
}

function readPrivate(path: string): Buffer {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new Error('not a regular file');
    if ((stat.mode & GROUP_OR_OTHERS) !== 0) {
      throw refuse(
        'key-exposed',
        `Others than its owner can read the key ${path} (mode ${(stat.mode & 0o7777).toString(8)}).`,
        `chmod 600 ${path}, and think about who may have read it.`,
      );
    }
    if (stat.uid !== effectiveUid() && stat.uid !== 0) {
      throw refuse(
        'key-exposed',
        `The key ${path} belongs to uid ${stat.uid}, who can replace it.`,
        'Use a key of your own or of root.',
      );
    }
    return readFileSync(path);
  } catch (cause) {
    if (cause instanceof IngeroError) throw cause;
    throw refuse(
      'key-unreadable',
      `The key ${path} cannot be read: ${(cause as Error).message}`,
      `Check the path, or make one: ${GENERATE}`,
      cause,
    );
  }
}
