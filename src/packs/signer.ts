import { checkSignature, type Outcome, type SignatureReport, worstOutcome } from '../trust/signature.js';
import type { TrustStore } from '../trust/trust-store.js';
import type { Pack } from './model.js';

/**
 * Checks the signatures beside a pack's file and beside every overlay that changes it, for the bytes that were read. The
 * worst of them is that of the pack; where it is good, everybody who signed is named. Throws `file-unreadable`.
 */
export async function checkPackSignature(pack: Pack, store: TrustStore): Promise<SignatureReport> {
  const reports = await checkFiles(pack, store);
  const outcome = worstOutcome(reports.map((report) => report.outcome));
  const worst = reports.find((report) => report.outcome === outcome) as SignatureReport;
  return outcome === 'good' ? { ...worst, signer: signersOf(reports).join(', ') } : worst;
}

async function checkFiles({ source }: Pack, store: TrustStore): Promise<SignatureReport[]> {
  const files = [{ path: source.path, sha256: source.fileSha256 }, ...source.overlays];
  const reports: SignatureReport[] = [];
  for (const { path, sha256 } of files) {
    const report = await checkSignature(path, store);
    const same = report.sha256 === null || report.sha256 === sha256;
    reports.push(
      same ? report : { ...report, outcome: 'altered', detail: `${path} changed while it was read` },
    );
  }
  return reports;
}

const signersOf = (reports: readonly SignatureReport[]): string[] => [
  ...new Set(reports.flatMap(({ signer }) => signer ?? [])),
];

/** Who signed a pack: a name only when the signature is good. */
export function signerOf({ outcome, signer }: SignatureReport): string | null {
  return outcome === 'good' ? signer : null;
}

/** The signer as text for a listing; what is wrong in brackets. */
export function signerText(outcome: Outcome, signer: string | null): string {
  return outcome === 'unsigned' ? '-' : (signer ?? `(${outcome})`);
}

/** Everybody who signed a pack or what changes it, by pack name; only packs of which every signature is good. */
export type PackSigners = ReadonlyMap<string, readonly string[]>;

/** Who signed each of the packs. Throws `file-unreadable`. */
export async function packSigners(packs: readonly Pack[], store: TrustStore): Promise<PackSigners> {
  const signers = new Map<string, readonly string[]>();
  for (const pack of packs) {
    const reports = await checkFiles(pack, store);
    if (reports.every(({ outcome }) => outcome === 'good')) signers.set(pack.name, signersOf(reports));
  }
  return signers;
}
