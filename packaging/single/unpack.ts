/**
 * A copy of the packed files in a folder nobody else could have changed: native libraries have to be files to be loaded.
 * The name of the copy has the digest of the list of its files, every file is compared with that list before the copy is
 * used, and a copy is there whole or not at all.
 */
import { createHash } from 'node:crypto';
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { EXIT, IngeroError } from '../../src/errors.js';
import { othersCanWrite } from '../../src/trust/file-safety.js';
import { type Caller, UNPACK_DIR, unpackPlaces } from './places.js';

/** What is packed in the executable. */
export interface Payload {
  /** Name of a copy: it has the digest of the list, so another build has another name. */
  name: string;
  files: readonly PackedFile[];
  /** The bytes of a file. */
  read(path: string): Uint8Array;
}

export interface PackedFile {
  /** Path in the copy. */
  path: string;
  /** Hexadecimal. */
  sha256: string;
}

/** Says that the files are as the list has them, and how they were then: `stateOf`. */
const VERIFIED = '.verified';
/** A folder that is being written. One that is older than an hour was left by a process that was killed. */
const PARTIAL = '.partial-';
const HOUR_MS = 3_600_000;
const STICKY = 0o1000;
const OTHERS_READ = 0o005;
const OTHERS_SEARCH = 0o001;

/** Why a place does not serve. */
class Unusable extends Error {}

/**
 * The path of a copy that is whole, made where there is none. Throws `no-unpack-place` with what is wrong with each
 * place.
 */
export function unpack(payload: Payload, caller: Caller): string {
  const wrong: string[] = [];
  for (const place of unpackPlaces(caller)) {
    try {
      return copyIn(place, payload, caller);
    } catch (error) {
      if (!(error instanceof Unusable) && (error as NodeJS.ErrnoException).code === undefined) throw error;
      wrong.push(`${place}: ${(error as Error).message}`);
    }
  }
  throw new IngeroError(`There is no folder to unpack into. ${wrong.join('; ')}.`, {
    code: 'no-unpack-place',
    exitCode: EXIT.notReady,
    expected: caller.capable
      ? 'a folder of root, with a copy root has unpacked: a process with capabilities loads nothing its user could change'
      : 'a folder of this user or root, which no one else can write to, on a file system that is not mounted noexec',
    next: caller.capable
      ? 'Run it once as root (ingero --version), or install the folder package.'
      : `Set ${UNPACK_DIR} to such a folder, or install the folder package, which unpacks nothing.`,
  });
}

function copyIn(place: string, payload: Payload, caller: Caller): string {
  // Root becomes another user in the middle of a trace, who goes on loading from here.
  const mode = caller.uid === 0 ? 0o755 : 0o700;
  const owner = caller.capable ? 0 : caller.uid;
  const folder = openPlace(place, caller.capable ? null : mode, owner);
  checkPath(folder, owner);
  if (caller.uid === 0) checkReadable(folder);
  const copy = join(folder, payload.name);
  if (!existsSync(copy)) {
    if (caller.capable) throw new Unusable('there is no copy of this version');
    writeCopy(copy, payload, mode);
  }
  const unsafe = othersCanWrite(lstatSync(copy), owner);
  if (unsafe !== null) throw new Unusable(`${payload.name}: ${unsafe}`);
  if (!isWhole(copy, payload)) {
    if (caller.capable) throw new Unusable(`${payload.name} is damaged`);
    // Out of the way first: another process may be at it.
    const damaged = mkdtempSync(join(folder, PARTIAL));
    renameSync(copy, join(damaged, payload.name));
    rmSync(damaged, { recursive: true, force: true });
    writeCopy(copy, payload, mode);
  }
  checkExecutable(copy, payload);
  return copy;
}

/** The real path of a place, which is made where it is missing, unless `mode` is null. */
function openPlace(place: string, mode: number | null, owner: number): string {
  let stat = lstatSync(place, { throwIfNoEntry: false });
  if (stat === undefined) {
    if (mode === null) throw new Unusable('there is no such folder');
    mkdirSync(dirname(place), { recursive: true, mode });
    makeFolder(place, mode);
    stat = lstatSync(place);
  }
  // A link in /tmp may be anybody's.
  if (stat.uid !== 0 && stat.uid !== owner)
    throw new Unusable(`it belongs to uid ${stat.uid}, neither root nor this user`);
  return realpathSync(place);
}

/** One that another process has made meanwhile is looked at like any other. */
function makeFolder(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
    // What the umask took away.
    chmodSync(path, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Nobody else may be able to change the folder, nor put another in its place by renaming one above it. */
function checkPath(folder: string, owner: number): void {
  const unsafe = othersCanWrite(statSync(folder), owner);
  if (unsafe !== null) throw new Unusable(unsafe);
  for (let above = dirname(folder); ; above = dirname(above)) {
    const stat = statSync(above);
    // In a sticky folder (/tmp) only the owner of an entry renames it.
    const reason = othersCanWrite((stat.mode & STICKY) === 0 ? stat : withoutWrite(stat), owner);
    if (reason !== null) throw new Unusable(`of ${above}: ${reason}`);
    if (above === dirname(above)) return;
  }
}

const withoutWrite = <T extends { mode: number }>(stat: T): T =>
  Object.assign(stat, { mode: stat.mode & ~0o022 });

function checkReadable(folder: string): void {
  if ((statSync(folder).mode & OTHERS_READ) !== OTHERS_READ)
    throw new Unusable('others cannot read it, and a trace becomes another user');
  for (let above = dirname(folder); above !== dirname(above); above = dirname(above)) {
    if ((statSync(above).mode & OTHERS_SEARCH) === 0)
      throw new Unusable(`others cannot reach it through ${above}, and a trace becomes another user`);
  }
}

/** Libraries of a file system that is mounted noexec cannot be loaded. access(2) tells, for root as well. */
function checkExecutable(copy: string, { files }: Payload): void {
  const library = files.find(({ path }) => isNative(path));
  if (library !== undefined) executable(join(copy, library.path));
}

function executable(path: string): void {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new Unusable('it is mounted noexec, so libraries in it cannot be loaded');
  }
}

const isNative = (path: string): boolean => /\.(?:node|so)$/.test(path);

/** Writes a copy beside its place, compares it with the list, and puts it there in one step. */
function writeCopy(copy: string, payload: Payload, mode: number): void {
  const folder = dirname(copy);
  removeLeftovers(folder);
  const partial = mkdtempSync(join(folder, PARTIAL));
  try {
    const trial = join(partial, VERIFIED);
    writeFileSync(trial, '', { mode: 0o500 });
    executable(trial);
    rmSync(trial);
    const readable = mode & 0o555;
    for (const { path } of payload.files) {
      const file = join(partial, path);
      mkdirSync(dirname(file), { recursive: true, mode });
      writeFileSync(file, payload.read(path), { flag: 'wx' });
      chmodSync(file, isNative(path) ? readable : readable & 0o444);
    }
    for (const name of ['.', ...readdirSync(partial, { recursive: true, encoding: 'utf8' })]) {
      const path = join(partial, name);
      if (statSync(path).isDirectory()) chmodSync(path, mode);
    }
    if (!isWhole(partial, payload)) throw new Unusable('what was written is not what was packed');
    try {
      renameSync(partial, copy);
    } catch (error) {
      // Another process was faster; its copy is looked at like any other.
      if (!existsSync(copy)) throw error;
    }
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

function removeLeftovers(folder: string): void {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    if (!name.startsWith(PARTIAL)) continue;
    // Its process may have finished meanwhile.
    const made = lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY;
    if (Date.now() - made > HOUR_MS) rmSync(path, { recursive: true, force: true });
  }
}

/** Whether every file is as the list has it. Digests are made once in a boot, and again when a file has changed. */
function isWhole(copy: string, { files }: Payload): boolean {
  const boot = readText('/proc/sys/kernel/random/boot_id');
  const stamp = join(copy, VERIFIED);
  const state = boot === null ? null : boot + stateOf(copy, files);
  if (state !== null && state === readText(stamp)) return true;
  for (const { path, sha256 } of files) {
    const bytes = readBytes(join(copy, path));
    if (bytes === null || createHash('sha256').update(bytes).digest('hex') !== sha256) return false;
  }
  if (state !== null) writeStamp(stamp, state);
  return true;
}

/**
 * What the file system says of the files: it changes whenever one of them is written or replaced. The stamp has the boot
 * in front of it, since a power cut may lose what was written.
 */
function stateOf(copy: string, files: readonly PackedFile[]): string {
  return files
    .map(({ path }) => {
      const stat = lstatSync(join(copy, path), { bigint: true, throwIfNoEntry: false });
      return `${stat?.ino} ${stat?.size} ${stat?.mtimeNs} ${stat?.ctimeNs} ${path}\n`;
    })
    .join('');
}

function readBytes(path: string): Buffer | null {
  try {
    return readFileSync(path);
  } catch {
    return null;
  }
}

const readText = (path: string): string | null => readBytes(path)?.toString() ?? null;

function writeStamp(stamp: string, state: string): void {
  try {
    writeFileSync(stamp, state, { mode: 0o644 });
  } catch {
    // Of another user's copy, or on a full disk: the digests are made again the next time.
  }
}
