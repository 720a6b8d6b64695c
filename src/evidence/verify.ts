import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { digestFile } from '../trust/ecdsa.js';
import { checkSignature, OUTCOMES, type Outcome, type SignatureReport } from '../trust/signature.js';
import type { TrustStore } from '../trust/trust-store.js';
import { checkAgainstSeal, type SealReport } from './check-seal.js';
import { logPath } from './seal.js';

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
  const found = await checkSignature(file, store);
  const seal = await checkAgainstSeal(file, store, spillIn);
  const list = SUMS.test(basename(file)) ? await checkList(file) : null;
  const signature = withDoubt(found, doubt(file, found, seal, list));
  const listed = list?.files ?? null;
  const broken = (seal !== null && !seal.intact) || (listed?.some(({ state }) => state !== 'same') ?? false);
  const outcome = broken ? 'altered' : vouched([signature, ...(seal === null ? [] : [seal.signature])]);
  return { file, outcome, covered: covered(seal, listed), signature, seal, listed };
}

/** Why a signature does not cover what is read of the file; null when it does. */
function doubt(
  file: string,
  found: SignatureReport,
  seal: SealReport | null,
  list: List | null,
): string | null {
  if (list !== null && found.sha256 !== null && list.sha256 !== found.sha256) {
    return 'the list changed while it was read';
  }
  const log = logPath(file);
  // A seal covers the log as well.
  if (!existsSync(log) || (seal?.intact === true && seal.signature.outcome === 'good')) return null;
  return `${log} is part of what a reader gets, and the signature does not cover it`;
}

function withDoubt(report: SignatureReport, detail: string | null): SignatureReport {
  return detail === null || report.outcome === 'unsigned'
    ? report
    : { ...report, outcome: 'altered', detail };
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

/** A list of digests as it was read. */
interface List {
  sha256: string;
  files: ListedFile[];
}

async function checkList(file: string): Promise<List> {
  const { size } = statSync(file);
  if (size > MAX_SUMS_BYTES) {
    throw new IngeroError(`${file} has ${size} bytes, which is too much for a list of digests.`, {
      code: 'file-unreadable',
      exitCode: EXIT.usage,
      expected: `what sha256sum writes, at most ${MAX_SUMS_BYTES} bytes`,
      next: 'Check where it comes from.',
    });
  }
  const bytes = readFileSync(file);
  const files: ListedFile[] = [];
  for (const line of bytes.toString('utf8').split('\n')) {
    if (line.trim() === '') continue;
    const [, expected, name] = /^([0-9a-f]{64}) [ *](.+)$/.exec(line) ?? [];
    if (expected === undefined || name === undefined)
      files.push({ name: line, sha256: null, state: 'altered' });
    else files.push({ name, sha256: expected, state: await stateOf(dirname(file), name, expected) });
  }
  return { sha256: createHash('sha256').update(bytes).digest('hex'), files };
}

/** Nobody has vouched for the names yet: other folders, devices and pipes are not read. */
async function stateOf(folder: string, name: string, expected: string): Promise<ListedFile['state']> {
  if (isAbsolute(name) || name.split('/').includes('..')) return 'altered';
  const path = join(folder, name);
  try {
    if (!statSync(path).isFile()) return 'altered';
    return (await digestFile(path)).sha256 === expected ? 'same' : 'altered';
  } catch {
    return 'missing';
  }
}
