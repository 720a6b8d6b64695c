import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, lstatSync, readdirSync, renameSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { extract } from 'tar';
import { EXIT, IngeroError } from '../errors.js';
import { verifyFile } from '../evidence/verify.js';
import { compareVersions } from '../packs/when.js';
import { syncToDisk } from '../sync-to-disk.js';
import type { TrustStore } from '../trust/trust-store.js';
import { type AuditLine, type Installation, versionOf } from './installation.js';
import { type Bundle, type Mirror, SUMS } from './mirror.js';

const READ_BYTES = 1 << 20;

/** What an update would do. */
export interface UpdatePlan {
  bundle: Bundle;
  /** Name of its folder, `ingero-VERSION-linux-ARCH`. */
  name: string;
  /** Version in use; null when there is none. */
  from: string | null;
  signer: string | null;
}

export interface UpdateRequest {
  arch: string;
  /** The package to install; undefined: the newest for this platform. */
  package?: string;
  /** Whether an older version may take the place of a newer one. */
  allowDowngrade: boolean;
  /** Signers the policy of the host allows; null: any that is trusted. */
  signers: readonly string[] | null;
}

/** Decides what is installed, or throws what is wrong with it. Returns null when it is in use already. Changes nothing. */
export function planUpdate(
  mirror: Mirror,
  installation: Installation,
  request: UpdateRequest,
): UpdatePlan | null {
  const { verification } = mirror;
  const { signer } = verification.signature;
  if (verification.outcome !== 'good') {
    const wrong = (verification.listed ?? []).filter(({ state }) => state !== 'same');
    const why =
      wrong.length > 0
        ? wrong.map(({ name, state }) => `${name} ${state}`).join(', ')
        : verification.signature.detail;
    throw refused('update-unverified', `${mirror.directory}/${SUMS} cannot be relied on: ${why}.`, {
      expected: 'a list signed by a key of the trust store, and every file it names as it was',
      next: 'Have the release carried in again, or put the key of its maker into /etc/ingero/trust.d.',
    });
  }
  if (request.signers !== null && !(signer !== null && request.signers.includes(signer))) {
    throw new IngeroError(`The policy of this host takes no update from ${signer ?? 'an unknown signer'}.`, {
      code: 'policy',
      exitCode: EXIT.policy,
      expected: `a release signed by ${request.signers.join(' or ')}`,
    });
  }
  const bundle = choose(mirror, request);
  const name = `ingero-${bundle.version}-linux-${bundle.arch}`;
  const from = installation.current;
  if (from === name) return null;
  if (
    from !== null &&
    !request.allowDowngrade &&
    (compareVersions(bundle.version, versionOf(from)) ?? 0) < 0
  ) {
    throw refused('update-downgrade', `${versionOf(from)} is in use and ${bundle.version} is older.`, {
      expected: 'a newer version: an older one may bring back what was mended since',
      next: 'Give --allow-downgrade, or --rollback for the version that was in use before.',
    });
  }
  return { bundle, name, from, signer };
}

function choose({ bundles, directory }: Mirror, request: UpdateRequest): Bundle {
  const wanted =
    request.package === undefined ? bundles : bundles.filter(({ path }) => path === request.package);
  if (request.package !== undefined && wanted.length === 0) {
    throw refused(
      'update-missing',
      `${request.package} is not a folder package that ${directory}/${SUMS} names.`,
      {
        expected: 'ingero-VERSION-linux-ARCH.tar.gz, listed with its digest',
        next: 'Other packages (.deb, .rpm, .npm.tgz, .bin) are installed as docs/packages.md says.',
      },
    );
  }
  const mine = wanted.filter(({ arch }) => arch === request.arch);
  const newest = mine.at(-1);
  if (newest === undefined) {
    throw refused('update-platform', `${directory} has nothing for linux-${request.arch}.`, {
      expected: `ingero-VERSION-linux-${request.arch}.tar.gz`,
      next:
        wanted.length === 0
          ? ''
          : `It has: ${wanted.map(({ version, arch }) => `${version} ${arch}`).join(', ')}.`,
    });
  }
  return newest;
}

/**
 * Installs beside the version in use, checks every file, and puts it into use in the last step. Whatever fails or
 * cuts it off before that leaves the old version as it was. Throws `update-damaged`, `update-busy`, `output-unwritable`.
 */
export async function applyUpdate(
  plan: UpdatePlan,
  installation: Installation,
  store: TrustStore,
): Promise<void> {
  const { name, bundle, from, signer } = plan;
  await change(installation, async () => {
    if (installation.current !== from) throw busy(installation.root);
    try {
      const folder = installation.prepare(name);
      await unpack(bundle, folder);
      hoist(folder, name);
      await checkContents(folder, store);
      for (const entry of ['.', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })]) {
        const path = join(folder, entry);
        if (!lstatSync(path).isSymbolicLink()) syncToDisk(path);
      }
      installation.complete(name);
      switchTo(installation, name, { action: 'update', from, sha256: bundle.sha256, signer });
    } finally {
      installation.discard(name);
    }
  });
}

/** Puts the version before back into use. Returns its name. Throws `no-previous`, `update-busy`, `output-unwritable`. */
export function rollBack(installation: Installation): Promise<string> {
  return change(installation, () => {
    const { current, previous } = installation;
    if (previous === null) {
      throw refused('no-previous', `${installation.root} has no version to go back to.`, {
        expected: 'an update by `ingero update`, and the version before it still installed',
      });
    }
    switchTo(installation, previous, { action: 'rollback', from: current, sha256: null, signer: null });
    return previous;
  });
}

/** Runs `step`, which changes an installation, while nobody else does. */
async function change<T>(installation: Installation, step: () => T | Promise<T>): Promise<T> {
  // Everybody on the host runs what is installed, whatever the umask of the one who installs it.
  const mask = process.umask(0o022);
  let unlock: (() => void) | null = null;
  try {
    unlock = installation.lock();
    if (unlock === null) throw busy(installation.root);
    return await step();
  } catch (error) {
    if (error instanceof IngeroError) throw error;
    throw unwritable(installation.root, error as Error);
  } finally {
    unlock?.();
    process.umask(mask);
  }
}

/** Writes the change down, then makes it: there is never a version in use that the audit file does not have. */
function switchTo(
  installation: Installation,
  to: string,
  line: Pick<AuditLine, 'action' | 'from' | 'sha256' | 'signer'>,
): void {
  installation.audit({ at: new Date().toISOString(), ...line, to, uid: process.getuid?.() ?? 0 });
  installation.use(to);
}

/** Unpacks a package. It is read once: the medium may have changed since, and what is unpacked has to be what was signed. */
async function unpack({ path, sha256 }: Bundle, folder: string): Promise<void> {
  const hash = createHash('sha256');
  const file = createReadStream(path, { highWaterMark: READ_BYTES });
  const into = extract({ cwd: folder, strict: true, preserveOwner: false });
  into.once('error', (error: Error) => file.destroy(error));
  const unpacked = once(into, 'close');
  // A failure is met where the file is read.
  unpacked.catch(() => {});
  for await (const chunk of file as AsyncIterable<Buffer>) {
    hash.update(chunk);
    if (!into.write(chunk)) await once(into, 'drain');
  }
  into.end();
  await unpacked;
  if (hash.digest('hex') !== sha256) {
    throw refused('update-damaged', `${path} is not the file that was verified.`, {});
  }
}

/** A package has one folder with its own name inside. */
function hoist(folder: string, name: string): void {
  const inside = readdirSync(folder);
  if (inside.length !== 1 || inside[0] !== name) {
    throw refused(
      'update-damaged',
      `The package has ${inside.join(', ') || 'nothing'} inside instead of ${name}.`,
      {},
    );
  }
  for (const entry of readdirSync(join(folder, name)))
    renameSync(join(folder, name, entry), join(folder, entry));
  rmdirSync(join(folder, name));
}

/** Every file against the list inside the package, which the list outside vouches for. */
async function checkContents(folder: string, store: TrustStore): Promise<void> {
  const { listed } = await verifyFile(join(folder, SUMS), store);
  const wrong = (listed ?? []).filter(({ state }) => state !== 'same');
  if (listed === null || listed.length === 0 || wrong.length > 0) {
    throw refused('update-damaged', `The package is damaged: ${wrong[0]?.name ?? `it has no ${SUMS}`}.`, {});
  }
}

function refused(code: string, message: string, more: { expected?: string; next?: string }): IngeroError {
  return new IngeroError(message, { code, exitCode: EXIT.update, ...more });
}

function busy(root: string): IngeroError {
  return refused('update-busy', `Another update is changing ${root}.`, {
    expected: 'one at a time',
    next: 'Try again when it is done.',
  });
}

function unwritable(root: string, cause: Error): IngeroError {
  return new IngeroError(`The version could not be put into use in ${root}: ${cause.message}`, {
    code: 'output-unwritable',
    exitCode: EXIT.output,
    expected: 'a folder this user may write to, with about 250 MB free',
    next: 'The version in use is as it was. Free space, or run as the owner of the installation.',
    cause,
  });
}
