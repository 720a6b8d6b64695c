/** A folder releases are handed over in: packages, SHA256SUMS and its signature, as `npm run package` makes them. */
import { readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { type ListedFile, type Verification, verifyFile } from '../evidence/verify.js';
import { compareVersions } from '../packs/when.js';
import type { TrustStore } from '../trust/trust-store.js';

/** Name of the list of digests that a release is signed over. */
export const SUMS = 'SHA256SUMS';

/** A folder package of one version for one platform. */
export interface Bundle {
  path: string;
  version: string;
  arch: string;
  /** Digest the signed list has for it. */
  sha256: string;
}

export interface Mirror {
  directory: string;
  verification: Verification;
  /** Folder packages the list names, the newest version last. */
  bundles: Bundle[];
  /** Files of the folder that the list does not name: nobody vouches for them. */
  unlisted: string[];
}

/**
 * Looks at a folder of releases, or at the one a package is in, and checks everything in it. Throws
 * `mirror-unreadable` when there is no such folder or it has no list.
 */
export async function readMirror(from: string, store: TrustStore): Promise<Mirror> {
  const directory = folderOf(from);
  const sums = join(directory, SUMS);
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (cause) {
    throw unreadable(directory, (cause as Error).message, cause);
  }
  if (!names.includes(SUMS)) throw unreadable(directory, `it has no ${SUMS}`);
  const verification = await verifyFile(sums, store);
  const listed = verification.listed ?? [];
  const bundles = listed
    .flatMap((file) => bundleOf(directory, file))
    .sort((one, other) => compareVersions(one.version, other.version) ?? 0);
  const known = new Set([
    ...listed.map(({ name }) => name),
    SUMS,
    basename(verification.signature.signature ?? `${SUMS}.sig`),
  ]);
  return {
    directory,
    verification,
    bundles,
    unlisted: names.filter((name) => !known.has(name)),
  };
}

function folderOf(from: string): string {
  try {
    return statSync(from).isDirectory() ? from : dirname(from);
  } catch (cause) {
    throw unreadable(from, (cause as Error).message, cause);
  }
}

function bundleOf(directory: string, { name, sha256 }: ListedFile): Bundle[] {
  const [, version, arch] = /^ingero-(\d+\.\d+\.\d+)-linux-(x64|arm64)\.tar\.gz$/.exec(name) ?? [];
  if (version === undefined || arch === undefined || sha256 === null) return [];
  return [{ path: join(directory, name), version, arch, sha256 }];
}

function unreadable(path: string, reason: string, cause?: unknown): IngeroError {
  return new IngeroError(`${path} is no folder of releases: ${reason}.`, {
    code: 'mirror-unreadable',
    exitCode: EXIT.update,
    expected: `a folder with ${SUMS}, its signature, and the packages it names`,
    next: 'Give the folder that was carried in, or a package inside of it. A URL is never fetched.',
    ...(cause === undefined ? {} : { cause }),
  });
}
