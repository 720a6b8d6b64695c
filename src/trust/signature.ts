import type { KeyObject } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { EXIT, IngeroError } from '../errors.js';
import { outputFailure } from '../query/sink.js';
import { checkBytes, digestFile, keyId, signBytes } from './ecdsa.js';
import {
  formatSignature,
  MAX_SIGNATURE_BYTES,
  parseSignature,
  type Signature,
  signaturePath,
} from './signature-file.js';
import type { TrustedKey, TrustStore } from './trust-store.js';

/** What came of checking a file's signature, best first. */
export const OUTCOMES = ['good', 'unsigned', 'expired', 'unknown-signer', 'altered'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** The result for one file. Field names are those of `--json`. */
export interface SignatureReport {
  outcome: Outcome;
  /** One sentence for people. */
  detail: string;
  /** SHA-256 of the file as it is; null when it was not read because there is no signature. */
  sha256: string | null;
  /** Path of the signature file; null when there is none. */
  signature: string | null;
  /** Id of the signer's key as the signature file names it. */
  key: string | null;
  /** Who the trust store says this is; null when it does not know the key. */
  signer: string | null;
  /** File of the trusted key. */
  key_file: string | null;
  /** What the signing host's clock said. */
  signed_at: string | null;
}

/** Exit code of an outcome. */
export const OUTCOME_EXIT: Readonly<Record<Outcome, number>> = {
  good: EXIT.ok,
  unsigned: EXIT.unsigned,
  expired: EXIT.expired,
  'unknown-signer': EXIT.unknownSigner,
  altered: EXIT.altered,
};

/** The worst of several outcomes; good when there is none. */
export function worstOutcome(outcomes: readonly Outcome[]): Outcome {
  return OUTCOMES[Math.max(0, ...outcomes.map((outcome) => OUTCOMES.indexOf(outcome)))] as Outcome;
}

/** The file to be signed or checked. Throws `file-unreadable` when it is no file that can be read. */
function checkReadable(path: string): void {
  try {
    if (!statSync(path).isFile()) throw new Error('it is not a regular file');
    closeSync(openSync(path, 'r'));
  } catch (cause) {
    throw new IngeroError(`${path} cannot be read: ${(cause as Error).message}`, {
      code: 'file-unreadable',
      exitCode: EXIT.usage,
      expected: 'a file this user may read',
      next: 'Check the path.',
      cause,
    });
  }
}

/**
 * Signs a file and writes the signature beside it, whole or not at all. Returns what was written.
 * Throws `file-unreadable`, `output-exists` when it is signed already and `replace` is false, `output-unwritable`.
 */
export async function signFile(path: string, key: KeyObject, replace: boolean): Promise<Signature> {
  checkReadable(path);
  const target = signaturePath(path);
  if (!replace && statSync(target, { throwIfNoEntry: false }) !== undefined) {
    throw outputFailure(target, Object.assign(new Error('exists'), { code: 'EEXIST' }));
  }
  const { sha256, signature } = await signBytes(path, key);
  const signed: Signature = { keyId: keyId(key), sha256, signature, signedAt: new Date().toISOString() };
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    const file = openSync(temporary, 'wx', 0o644);
    try {
      writeSync(file, formatSignature(signed));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, target);
  } catch (cause) {
    rmSync(temporary, { force: true });
    throw outputFailure(target, cause);
  }
  return signed;
}

/**
 * Checks the signature beside a file against the trusted keys. An outcome that is not good is a result, not an error.
 * Throws `file-unreadable`. `now` is ms since 1970.
 */
export async function checkSignature(
  path: string,
  store: TrustStore,
  now = Date.now(),
): Promise<SignatureReport> {
  checkReadable(path);
  const report = (
    outcome: Outcome,
    detail: string,
    more: Partial<SignatureReport> = {},
  ): SignatureReport => ({
    outcome,
    detail,
    sha256: null,
    signature: null,
    key: null,
    signer: null,
    key_file: null,
    signed_at: null,
    ...more,
  });
  const read = readSignature(path);
  if (read === null) return report('unsigned', `there is no ${signaturePath(path)}`);
  if (typeof read === 'string') {
    const { sha256 } = await digestFile(path);
    return report('altered', `${signaturePath(path)} ${read}`, { sha256, signature: signaturePath(path) });
  }
  const facts = { signature: signaturePath(path), key: read.keyId, signed_at: read.signedAt };
  const trusted = store.keys.find(({ id }) => id === read.keyId);
  if (trusted === undefined) {
    const { sha256 } = await digestFile(path);
    if (sha256 !== read.sha256)
      return report('altered', 'the file is not the one that was signed', { ...facts, sha256 });
    return report('unknown-signer', whyUnknown(read, store), { ...facts, sha256 });
  }
  const { sha256, valid } = await checkBytes(path, trusted.key, read.signature);
  const known = { ...facts, sha256, signer: trusted.signer, key_file: trusted.path };
  if (!valid) return report('altered', whyAltered(read, sha256, trusted), known);
  if (trusted.expiresAt !== null && now >= trusted.expiresAt) {
    const day = new Date(trusted.expiresAt).toISOString().slice(0, 10);
    return report('expired', `signed by ${trusted.signer}, whose key expired on ${day}`, known);
  }
  return report('good', `signed by ${trusted.signer}`, known);
}

function readSignature(path: string): Signature | string | null {
  const file = signaturePath(path);
  const stat = statSync(file, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  if (!stat.isFile()) return 'is not a regular file';
  if (stat.size > MAX_SIGNATURE_BYTES) return 'is too large for a signature';
  try {
    return parseSignature(readFileSync(file, 'utf8'));
  } catch (error) {
    return `cannot be read: ${(error as Error).message}`;
  }
}

function whyUnknown({ keyId }: Signature, { places, refused }: TrustStore): string {
  const short = keyId.slice(0, 16);
  const excluded = refused.find(({ id }) => id === keyId);
  if (excluded !== undefined)
    return `key ${short} is in ${excluded.path}, which is not used: ${excluded.reason}`;
  const where = places.length === 0 ? 'there is no trust store' : `it is not in ${places.join(', ')}`;
  return `key ${short} is not trusted here: ${where}`;
}

function whyAltered({ sha256: signed }: Signature, found: string, { signer }: TrustedKey): string {
  return signed === found
    ? `the signature is not one of ${signer} over this file`
    : `the file is not the one ${signer} signed`;
}
