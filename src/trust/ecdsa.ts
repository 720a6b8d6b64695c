import {
  createHash,
  createPublicKey,
  createSign,
  createVerify,
  type KeyObject,
  type Sign,
  type Verify,
} from 'node:crypto';
import { createReadStream } from 'node:fs';

/** The one algorithm signatures are made with: ECDSA over P-256 with SHA-256 (FIPS 186-5), signature in DER. */
export const ALGORITHM = 'ecdsa-p256-sha256';

/** OpenSSL's name of P-256. */
const CURVE = 'prime256v1';
const CHUNK_BYTES = 1 << 20;

/** Whether a key, public or private, is an EC key on P-256. */
export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === CURVE;
}

/** What identifies a key: SHA-256 of its public half as DER (SubjectPublicKeyInfo), hex. */
export function keyId(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

/** SHA-256 of a file, hex, and its size. Throws what reading it throws. */
export async function digestFile(path: string): Promise<{ sha256: string; bytes: number }> {
  return feed(path, []);
}

/** Digest and signature of a file, read once. Throws what reading it throws. */
export async function signBytes(
  path: string,
  key: KeyObject,
): Promise<{ sha256: string; signature: Buffer }> {
  const sign = createSign('sha256');
  const { sha256 } = await feed(path, [sign]);
  return { sha256, signature: sign.sign(key) };
}

/** Digest of a file and whether `key` signed its bytes, read once. Throws what reading it throws. */
export async function checkBytes(
  path: string,
  key: KeyObject,
  signature: Buffer,
): Promise<{ sha256: string; valid: boolean }> {
  const verify = createVerify('sha256');
  const { sha256 } = await feed(path, [verify]);
  return { sha256, valid: verify.verify(key, signature) };
}

async function feed(
  path: string,
  others: readonly (Sign | Verify)[],
): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) {
    hash.update(chunk as Buffer);
    for (const other of others) other.update(chunk as Buffer);
    bytes += (chunk as Buffer).length;
  }
  return { sha256: hash.digest('hex'), bytes };
}
