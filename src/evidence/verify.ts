import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { digestFile } from '../trust/ecdsa.js';
import { checkSignature, OUTCOMES, type Outcome, type SignatureReport } from '../trust/signature.js';
import type { TrustStore } from '../trust/trust-store.js';
import { checkAgainstSeal, type SealReport } from './check-seal.js';

/** A file that a list of digests names. */
export interface ListedFile {
  name: string;
  /** The digest the list has; null for a line that has none. */
  sha256: string | null;
  state: 'same' | 'altered' | 'missing';
}

/** What was found out about one file. Field names are those of `--json`. */
export interface Verification {
  file: string;
  outcome: Outcome;
  /** What a good outcome vouches for. */
  covered: string;
  signature: SignatureReport;
  seal: SealReport | null;
  /** For a SHA256SUMS file: the files it lists. */
  listed: ListedFile[] | null;
}

/** Name of a list of digests as sha256sum writes it; its signature covers the files it lists. */
const SUMS = /^SHA256SUMS(\.txt)?$/;
/** A release has tens of files. */
const MAX_SUMS_BYTES = 1024 * 1024;

/**
 * Checks everything that vouches for a file: its signature, its seal and that one's signature, and, of a list of
 * digests, the files it lists. Throws `file-unreadable`.
 */
export async function verifyFile(file: string, store: TrustStore, spillIn = tmpdir()): Promise<Verification> {
  const signature = await checkSignature(file, store);
  const seal = await checkAgainstSeal(file, store, spillIn);
  const listed = SUMS.test(basename(file)) ? await checkListed(file) : null;
  const broken = (seal !== null && !seal.intact) || (listed?.some(({ state }) => state !== 'same') ?? false);
  const outcome = broken ? 'altered' : vouched([signature, ...(seal === null ? [] : [seal.signature])]);
  return { file, outcome, covered: covered(seal, listed), signature, seal, listed };
}

/** An altered signature counts whatever else there is; else one good signature is enough. */
function vouched(reports: readonly SignatureReport[]): Outcome {
  const outcomes: readonly Outcome[] = reports.map(({ outcome }) => outcome);
  if (outcomes.includes('altered')) return 'altered';
  return OUTCOMES.find((outcome) => outcome !== 'unsigned' && outcomes.includes(outcome)) ?? 'unsigned';
}

function covered(seal: SealReport | null, listed: readonly ListedFile[] | null): string {
  if (listed !== null) return `the list and the ${listed.length} files it names`;
  return seal === null ? 'every byte of the file' : 'every byte of the file, and each table by its digest';
}

async function checkListed(file: string): Promise<ListedFile[]> {
  const text = readFileSync(file, 'utf8').slice(0, MAX_SUMS_BYTES);
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const listed: ListedFile[] = [];
  for (const line of lines) {
    const [, expected, name] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
    if (expected === undefined || name === undefined)
      listed.push({ name: line, sha256: null, state: 'altered' });
    else listed.push({ name, sha256: expected, state: await stateOf(join(dirname(file), name), expected) });
  }
  return listed;
}

async function stateOf(path: string, expected: string): Promise<ListedFile['state']> {
  try {
    return (await digestFile(path)).sha256 === expected ? 'same' : 'altered';
  } catch {
    return 'missing';
  }
}
