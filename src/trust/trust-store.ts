import { createPublicKey, type KeyObject } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { type ConfigDirs, configDirs, currentHost, HOST_CONFIG } from '../packs/places.js';
import { isP256, keyId } from './ecdsa.js';
import { effectiveUid, othersCanWrite } from './file-safety.js';

/** Name of the folder with trusted keys inside a configuration folder. */
export const TRUST_DIR = 'trust.d';
const ROOT = 0;
/** One public key with text before it. A certificate is none: nobody looks at its dates. */
const ONE_KEY =
  /^(?:(?!-----).*\r?\n)*-----BEGIN PUBLIC KEY-----\s[A-Za-z0-9+/=\s]+-----END PUBLIC KEY-----\s*$/;
/** A key file has about 200 bytes and a few lines of text. */
const MAX_KEY_BYTES = 16 * 1024;

/** A public key somebody here trusts. */
export interface TrustedKey {
  id: string;
  /** Who signs with it: the `signer:` line of the file, else its name. */
  signer: string;
  path: string;
  /** Signatures are not accepted from this moment on, ms since 1970; null: without end. */
  expiresAt: number | null;
  key: KeyObject;
}

/** A key file that is not used, and why. */
export interface RefusedKey {
  path: string;
  reason: string;
  /** Id of its key where it holds one. */
  id: string | null;
}

export interface TrustStore {
  /** Folders that were looked into and exist. */
  places: string[];
  keys: TrustedKey[];
  refused: RefusedKey[];
}

/**
 * Reads the trusted keys: the folders of `--trust`, then the user's and the host's `trust.d`. A key file, or a folder,
 * that others can write to is refused and listed. Throws `trust-unreadable` for a folder of `--trust` that cannot
 * be read.
 */
export function readTrustStore(
  trustDirs: readonly string[] = [],
  dirs: ConfigDirs = configDirs(currentHost()),
  uid: number = effectiveUid(),
): TrustStore {
  const store: TrustStore = { places: [], keys: [], refused: [] };
  const standing = [dirs.user, dirs.system].filter((dir) => dir !== null).map((dir) => join(dir, TRUST_DIR));
  for (const dir of [...new Set([...trustDirs, ...standing])]) {
    const files = listKeys(dir, trustDirs.includes(dir));
    if (files === null) continue;
    store.places.push(dir);
    const unsafe = othersCanWrite(statSync(dir), uid);
    for (const path of files) {
      const read = readKey(path, uid);
      if (unsafe !== null) store.refused.push({ path, id: read.id, reason: `of its folder: ${unsafe}` });
      else if ('reason' in read) store.refused.push(read);
      else if (!store.keys.some(({ id }) => id === read.id)) store.keys.push(read);
    }
  }
  return store;
}

/**
 * The keys this host trusts, whoever asks: those root has put into `trust.d` beside the policy. What a policy says of signers is
 * judged by these alone, since a caller could give a key of their own any name.
 */
export function readHostTrustStore(): TrustStore {
  return readTrustStore([], { user: null, system: HOST_CONFIG, own: null }, ROOT);
}

/** The `.pem` files of a folder; null when there is no such folder. */
function listKeys(dir: string, named: boolean): string[] | null {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith('.pem'))
      .sort()
      .map((name) => join(dir, name));
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (!named && (code === 'ENOENT' || code === 'ENOTDIR')) return null;
    throw new IngeroError(`The trusted keys of ${dir} cannot be read: ${message}`, {
      code: 'trust-unreadable',
      exitCode: EXIT.usage,
      expected: 'a folder with public keys in .pem files',
      next: 'Check the path; docs/signatures.md describes the folder.',
      cause,
    });
  }
}

function readKey(path: string, uid: number): TrustedKey | RefusedKey {
  const refuse = (reason: string, id: string | null = null): RefusedKey => ({ path, reason, id });
  let text: string;
  let key: KeyObject;
  try {
    const stat = statSync(path);
    if (!stat.isFile() || stat.size > MAX_KEY_BYTES) return refuse('it is no key file');
    const unsafe = othersCanWrite(stat, uid);
    text = readFileSync(path, 'utf8');
    if (/PRIVATE KEY/.test(text)) return refuse('it holds a private key; only the public half belongs here');
    if (!ONE_KEY.test(text)) return refuse('it is not one public key in PEM form, with nothing behind it');
    key = createPublicKey(text);
    if (unsafe !== null) return refuse(unsafe, keyId(key));
  } catch (error) {
    return refuse(`it has no public key in PEM form (${(error as Error).message})`);
  }
  if (!isP256(key)) return refuse('its key is not on the curve P-256');
  const facts = parseFacts(text);
  if (typeof facts === 'string') return refuse(facts, keyId(key));
  return {
    id: keyId(key),
    signer: facts.signer ?? basename(path, '.pem'),
    path,
    key,
    expiresAt: facts.expiresAt,
  };
}

/** The lines before the key, `signer: NAME` and `expires: YYYY-MM-DD`; what is wrong with them as text. */
function parseFacts(text: string): { signer: string | null; expiresAt: number | null } | string {
  const facts: { signer: string | null; expiresAt: number | null } = { signer: null, expiresAt: null };
  for (const line of text.slice(0, text.indexOf('-----BEGIN')).split(/\r?\n/)) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, name, value = ''] = /^([a-z-]+):\s*(.*?)\s*$/.exec(line) ?? [];
    if (name === 'signer' && value !== '') facts.signer = value;
    else if (name === 'expires') {
      const at = Date.parse(value);
      const isDate = /^\d{4}-\d\d-\d\d(T[0-9:]+Z)?$/.test(value) && !Number.isNaN(at);
      // February 30th would be taken for March 2nd.
      if (!isDate || new Date(at).toISOString().slice(0, 10) !== value.slice(0, 10)) {
        return `it expires at ${JSON.stringify(value)}, which is no date such as 2027-12-31`;
      }
      facts.expiresAt = at;
    } else return `it has the line ${JSON.stringify(line)}; only signer: and expires: are known`;
  }
  return facts;
}
