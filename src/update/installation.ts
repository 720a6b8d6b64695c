/**
 * Versions of ingero side by side: `ROOT/versions/ingero-VERSION-linux-ARCH`, of which the link `ROOT/current` names the
 * one in use. Changing the link is one rename, so there is a whole version in use at any moment.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { syncToDisk } from '../sync-to-disk.js';
import { flock } from '../trust/libc.js';

/** Where `update` installs when it does not run from an installation of its own. */
export const DEFAULT_ROOT = '/opt/ingero';

const NAME = /^ingero-(\d+\.\d+\.\d+)-linux-(x64|arm64)$/;
/** flock(2). */
const LOCK_EX = 2;
const LOCK_NB = 4;
/** Endings of folders that are no version: one that is being unpacked, one whose place another has taken. */
const PARTIAL = '.partial';
const REPLACED = '.replaced';

/** The installation the running ingero is part of; null when it is another kind (a package, a clone). */
export function installationOf(packageRoot: string): Installation | null {
  const folder = realpathSync(packageRoot);
  const versions = dirname(folder);
  if (basename(versions) !== 'versions' || !NAME.test(basename(folder))) return null;
  return new Installation(dirname(versions));
}

/** A line of the audit file. */
export interface AuditLine {
  at: string;
  action: 'update' | 'rollback';
  from: string | null;
  to: string;
  /** Digest of the package; null for a rollback. */
  sha256: string | null;
  signer: string | null;
  uid: number;
}

export class Installation {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Name of the version in use; null when there is none. */
  get current(): string | null {
    try {
      return basename(readlinkSync(join(this.root, 'current')));
    } catch {
      return null;
    }
  }

  /** Names of the versions that are installed whole. */
  get versions(): string[] {
    const folder = join(this.root, 'versions');
    return existsSync(folder) ? readdirSync(folder).filter((name) => NAME.test(name)) : [];
  }

  pathOf(name: string): string {
    return join(this.root, 'versions', name);
  }

  /**
   * Keeps others from changing this installation until the function it returns is called or this process ends; null while
   * another one has it. Throws what making the lock file throws.
   */
  lock(): (() => void) | null {
    mkdirSync(this.root, { recursive: true, mode: 0o755 });
    // Who could open it could keep updates away.
    const file = openSync(join(this.root, 'updates.lock'), 'a', 0o600);
    if (flock(file, LOCK_EX | LOCK_NB) !== 0) {
      closeSync(file);
      return null;
    }
    return () => closeSync(file);
  }

  /** A folder to unpack into. What interrupted updates left is removed. */
  prepare(name: string): string {
    const folder = `${this.pathOf(name)}${PARTIAL}`;
    const versions = join(this.root, 'versions');
    for (const entry of existsSync(versions) ? readdirSync(versions) : []) {
      if (entry.endsWith(PARTIAL) || entry.endsWith(REPLACED)) {
        rmSync(join(versions, entry), { recursive: true, force: true });
      }
    }
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    return folder;
  }

  /** Removes what `prepare` made. */
  discard(name: string): void {
    rmSync(`${this.pathOf(name)}${PARTIAL}`, { recursive: true, force: true });
  }

  /** Makes what was unpacked a version. One of that name, which is not in use, gives way: nobody has looked at it since. */
  complete(name: string): void {
    const place = this.pathOf(name);
    const replaced = `${place}${REPLACED}`;
    if (existsSync(place)) renameSync(place, replaced);
    renameSync(`${place}${PARTIAL}`, place);
    syncToDisk(join(this.root, 'versions'));
    rmSync(replaced, { recursive: true, force: true });
  }

  /** Puts a version into use, in one step. */
  use(name: string): void {
    const link = join(this.root, 'current');
    const next = `${link}.next`;
    rmSync(next, { force: true });
    symlinkSync(join('versions', name), next);
    renameSync(next, link);
    syncToDisk(this.root);
  }

  /** Appends to `updates.log`, one JSON object a line, and waits until it is on disk. */
  audit(line: AuditLine): void {
    const path = this.#log;
    // A line that was cut off must not take this one along.
    const start = existsSync(path) && !/(^|\n)$/.test(readFileSync(path, 'utf8')) ? '\n' : '';
    const file = openSync(path, 'a', 0o644);
    try {
      writeSync(file, `${start}${JSON.stringify(line)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }

  get #log(): string {
    return join(this.root, 'updates.log');
  }

  /** The version that was in use before, by the audit file; null when there is none that is still installed. */
  get previous(): string | null {
    const path = this.#log;
    if (!existsSync(path)) return null;
    const lines = readFileSync(path, 'utf8').split('\n').flatMap(parseLine).reverse();
    const last = lines.find(({ to }) => to === this.current);
    return last?.from !== undefined && last.from !== null && this.versions.includes(last.from)
      ? last.from
      : null;
  }
}

/** A line that was cut off says nothing. */
function parseLine(text: string): AuditLine[] {
  try {
    return [JSON.parse(text) as AuditLine];
  } catch {
    return [];
  }
}

/** The version in a name such as `ingero-0.2.0-linux-x64`. */
export function versionOf(name: string): string {
  return NAME.exec(name)?.[1] ?? name;
}
