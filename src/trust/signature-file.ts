import { ALGORITHM } from './ecdsa.js';

/** What a detached signature file says. Only `signature` is proof; the rest tells the outcomes apart. */
export interface Signature {
  /** SHA-256 of the signer's public key (DER), hex. */
  keyId: string;
  /** SHA-256 the signed file had, hex. */
  sha256: string;
  /** The clock of the signing host, ISO 8601. Nothing vouches for it. */
  signedAt: string;
  /** ECDSA signature over the bytes of the file, DER. */
  signature: Buffer;
}

/** First line of a signature file. */
const MAGIC = 'ingero-signature 1';
/** A signature file has about 300 bytes; anything larger is another file. */
export const MAX_SIGNATURE_BYTES = 4096;

/** Path of the signature of a file. */
export const signaturePath = (path: string): string => `${path}.sig`;

/** The text of a signature file. docs/signatures.md describes it. */
export function formatSignature({ keyId, sha256, signedAt, signature }: Signature): string {
  return [
    MAGIC,
    `algorithm: ${ALGORITHM}`,
    `key: ${keyId}`,
    `sha256: ${sha256}`,
    `signed-at: ${signedAt}`,
    `signature: ${signature.toString('base64')}`,
    '',
  ].join('\n');
}

/** Reads the text of a signature file; what is wrong with it, as a sentence without subject, when it is none. */
export function parseSignature(text: string): Signature | string {
  if (text.length > MAX_SIGNATURE_BYTES) return `has more than ${MAX_SIGNATURE_BYTES} bytes`;
  const [magic, ...lines] = text.split(/\r?\n/);
  if (magic !== MAGIC) return `does not begin with "${MAGIC}"`;
  const fields = new Map<string, string>();
  for (const line of lines.filter((line) => line !== '')) {
    const [, name, value] = /^([a-z0-9-]+): (\S+)$/.exec(line) ?? [];
    if (name === undefined || value === undefined) return 'has a line that is not "name: value"';
    if (fields.has(name)) return `says ${name} twice`;
    fields.set(name, value);
  }
  const take = (name: string, shape: RegExp): string | null => {
    const value = fields.get(name);
    return value !== undefined && shape.test(value) ? value : null;
  };
  const algorithm = fields.get('algorithm');
  if (algorithm !== ALGORITHM) return `has algorithm ${algorithm ?? '(none)'}, not ${ALGORITHM}`;
  const keyId = take('key', /^[0-9a-f]{64}$/);
  if (keyId === null) return 'has no key (64 hexadecimal digits)';
  const sha256 = take('sha256', /^[0-9a-f]{64}$/);
  if (sha256 === null) return 'has no sha256 (64 hexadecimal digits)';
  const signedAt = take('signed-at', /^\d{4}-\d\d-\d\dT[0-9:.]+Z$/);
  if (signedAt === null) return 'has no signed-at (a time in UTC)';
  const signature = take('signature', /^[A-Za-z0-9+/]{80,120}={0,2}$/);
  if (signature === null) return 'has no signature (base64)';
  return { keyId, sha256, signedAt, signature: Buffer.from(signature, 'base64') };
}
