import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { makeProblem } from './document.js';
import { type EnabledPacks, readEnabled } from './enabled.js';
import { badPack, MAX_PACK_BYTES, type ParsedPack, readPackFile } from './load.js';
import type { Pack } from './model.js';
import { type ConfigDirs, configDirs, currentHost, type PackPlace, packPlaces } from './places.js';
import { nearest } from './suggest.js';

/** A pack file in one of the places. It is read and checked when somebody needs it. */
export interface PackEntry {
  name: string;
  path: string;
  place: PackPlace;
  parsed(): ParsedPack;
}

/** A folder packs were looked for in. */
export interface PlaceReport extends PackPlace {
  /** Why its packs are not there; null when it was read or does not exist. */
  problem: string | null;
  exists: boolean;
}

/** All packs this user has, by name, and which of them are enabled. */
export class PackRegistry {
  private constructor(
    readonly dirs: ConfigDirs,
    readonly places: readonly PlaceReport[],
    /** The packs in force: the first of each name, in the order of their places. */
    readonly entries: readonly PackEntry[],
    /** Packs of a name that an earlier place has already, with the one that is used instead. */
    readonly shadowed: readonly { entry: PackEntry; by: PackEntry }[],
  ) {}

  /**
   * Looks into every place. A pack that is wrong is an entry like any other and refused when it is used.
   * Throws `pack-dir-unreadable` for a folder of `packDirs` that cannot be read.
   */
  static open(packDirs: readonly string[] = [], dirs: ConfigDirs = configDirs(currentHost())): PackRegistry {
    const found = packPlaces(packDirs, dirs).map(lookInto);
    const entries = new Map<string, PackEntry>();
    const shadowed: { entry: PackEntry; by: PackEntry }[] = [];
    for (const entry of found.flatMap((place) => place.entries)) {
      const by = entries.get(entry.name);
      if (by === undefined) entries.set(entry.name, entry);
      else shadowed.push({ entry, by });
    }
    return new PackRegistry(
      dirs,
      found.map((place) => place.report),
      [...entries.values()],
      shadowed,
    );
  }

  /** Which packs are enabled; names without a pack among them. Throws `bad-enabled-file`. */
  enabled(): EnabledPacks {
    return readEnabled(this.dirs);
  }

  /** The pack of a name. Throws `unknown-pack`, or `bad-pack` with every problem of its file. */
  pack(name: string): Pack {
    return checked(this.entry(name).parsed());
  }

  /** The pack file of a name. Throws `unknown-pack`. */
  entry(name: string): PackEntry {
    const entry = this.entries.find((candidate) => candidate.name === name);
    if (entry === undefined) throw this.unknown(name);
    return entry;
  }

  /** A pack by its name, else by the path of its file. */
  packOrFile(name: string): Pack {
    if (this.entries.some((entry) => entry.name === name)) return this.pack(name);
    if (!isFile(name)) throw this.unknown(name, undefined, ', or the path of a pack file');
    return checked(readPackFile(name));
  }

  /**
   * The packs to trace: those named, else those enabled. Throws `no-pack-enabled` when that is none, and for the
   * first pack that is unknown or wrong.
   */
  select(names: readonly string[] | undefined): Pack[] {
    if (names !== undefined) return uniqueNames([...new Set(names)].map((name) => this.packOrFile(name)));
    const enabled = this.enabled();
    if (enabled.names.length === 0) {
      throw new IngeroError(`No probe pack is enabled (${enabled.path}).`, {
        code: 'no-pack-enabled',
        exitCode: EXIT.usage,
        next: 'Enable one with `ingero probes enable NAME`, or name it with --pack.',
      });
    }
    return enabled.names.map((name) => {
      if (enabled.path !== null && !this.entries.some((entry) => entry.name === name)) {
        throw this.unknown(name, `${enabled.path} enables ${name}, and there is no such probe pack.`);
      }
      return this.pack(name);
    });
  }

  /** The error for a name without a pack, with the name that may have been meant. */
  private unknown(name: string, message = `There is no probe pack ${name}.`, orElse = ''): IngeroError {
    const known = this.entries.map((entry) => entry.name);
    const near = nearest(name, known);
    return new IngeroError(message, {
      code: 'unknown-pack',
      exitCode: EXIT.badPack,
      expected: `one of ${known.join(', ')}${orElse}`,
      next: near === undefined ? 'List the packs with `ingero probes list`.' : `Did you mean ${near}?`,
    });
  }
}

/** Two packs of one name cannot be told apart in a capture. */
function uniqueNames(packs: readonly Pack[]): Pack[] {
  for (const [index, pack] of packs.entries()) {
    const first = packs.find((other) => other.name === pack.name);
    if (first === undefined || packs.indexOf(first) === index) continue;
    if (first.source.path === pack.source.path) continue;
    const message = `pack ${pack.name} is already named: ${first.source.path}`;
    throw badPack([makeProblem('duplicate-pack', message, pack.source.path, 1, 1, '')]);
  }
  return [...new Map(packs.map((pack) => [pack.name, pack])).values()];
}

function checked({ pack, problems }: ParsedPack): Pack {
  if (pack === undefined) throw badPack(problems);
  return pack;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function lookInto(place: PackPlace): { report: PlaceReport; entries: PackEntry[] } {
  let files: string[];
  try {
    files = readdirSync(place.path);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (place.kind === 'pack-dir') {
      throw new IngeroError(`The packs of ${place.path} cannot be read: ${message}`, {
        code: 'pack-dir-unreadable',
        exitCode: EXIT.usage,
        expected: 'a directory with .yaml files',
        cause: error,
      });
    }
    const absent = code === 'ENOENT' || code === 'ENOTDIR';
    return { report: { ...place, exists: !absent, problem: absent ? null : message }, entries: [] };
  }
  const entries = files
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => entryOf(join(place.path, file), place));
  return { report: { ...place, exists: true, problem: null }, entries: refuseTwins(entries) };
}

/** Of two packs of one name in one folder neither is meant to hide the other: the name stands for no pack then. */
function refuseTwins(entries: readonly PackEntry[]): PackEntry[] {
  return [...new Set(entries.map(({ name }) => name))].flatMap((name) => {
    const [first, ...twins] = entries.filter((entry) => entry.name === name);
    if (first === undefined || twins.length === 0) return first ?? [];
    const problems = twins.map(({ path }) =>
      makeProblem('duplicate-pack', `pack ${name} is already defined in ${first.path}`, path, 1, 1, ''),
    );
    return { ...first, parsed: () => ({ problems }) };
  });
}

function entryOf(path: string, place: PackPlace): PackEntry {
  let parsed: ParsedPack | undefined;
  const parse = (): ParsedPack => {
    parsed ??= readPackFile(path);
    return parsed;
  };
  return { name: peekName(path) ?? parse().pack?.name ?? fileStem(path), path, place, parsed: parse };
}

/** A file too broken to say its name is known by that of the file. */
function fileStem(path: string): string {
  return basename(path, '.yaml');
}

/**
 * The pack's name, from the line that gives it in all but the oddest files: a command that wants one pack need not
 * check them all. Null when that line is not there.
 */
function peekName(path: string): string | null {
  try {
    const stat = statSync(path);
    if (!stat.isFile() || stat.size > MAX_PACK_BYTES) return null;
    const lines = [...readFileSync(path, 'utf8').matchAll(/^name[ \t]*:[ \t]*(.*)$/gm)];
    if (lines.length !== 1) return null;
    return /^(["']?)([a-z0-9][a-z0-9-]*)\1[ \t]*(?:#.*)?\r?$/.exec(lines[0]?.[1] ?? '')?.[2] ?? null;
  } catch {
    return null;
  }
}
