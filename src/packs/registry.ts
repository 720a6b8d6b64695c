import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { makeProblem } from './document.js';
import { type EnabledPacks, readEnabled } from './enabled.js';
import { withSuggestion } from './issue.js';
import { badPack, type ParsedPack, readPackFile } from './load.js';
import type { Pack } from './model.js';
import { OVERLAY_SUFFIX, type Overlay, readOverlay } from './overlay.js';
import { MAX_PACK_BYTES } from './pack-text.js';
import { type ConfigDirs, configDirs, currentHost, type PackPlace, packPlaces } from './places.js';
import { didYouMean, nearest } from './suggest.js';

/** A pack file in one of the places. It is read and checked when somebody needs it. */
export interface PackEntry {
  name: string;
  path: string;
  place: PackPlace;
  /** What changes it, in the order it is applied. */
  overlays: readonly Overlay[];
  /** The pack with its overlays applied. */
  parsed(): ParsedPack;
}

/** A pack that is right, and where everything in it is written. */
export interface LocatedPack {
  pack: Pack;
  origin: NonNullable<ParsedPack['origin']>;
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
    /** Overlays that are for no pack there is. */
    readonly orphans: readonly Overlay[],
    /** Packs of a name that an earlier place has already, with the one that is used instead. */
    readonly shadowed: readonly { entry: PackEntry; by: PackEntry }[],
  ) {}

  /**
   * Looks into every place. A pack that is wrong is an entry like any other and refused when it is used.
   * Throws `pack-dir-unreadable` for a folder of `packDirs` that cannot be read.
   */
  static open(packDirs: readonly string[] = [], dirs: ConfigDirs = configDirs(currentHost())): PackRegistry {
    const found = packPlaces(packDirs, dirs).map(lookInto);
    // The first place is the one that wins: what it says is applied last.
    const overlays = found.flatMap((place) => place.overlays.toReversed()).toReversed();
    const entries = new Map<string, PackEntry>();
    const shadowed: { entry: PackEntry; by: PackEntry }[] = [];
    for (const file of found.flatMap((place) => place.packs)) {
      const by = entries.get(file.name);
      const entry = entryOf(
        file,
        overlays.filter(({ target }) => target === file.name),
      );
      if (by === undefined) entries.set(file.name, entry);
      else shadowed.push({ entry, by });
    }
    return new PackRegistry(
      dirs,
      found.map((place) => place.report),
      [...entries.values()],
      overlays.filter(({ target }) => !entries.has(target)),
      shadowed,
    );
  }

  /** Which packs are enabled; names without a pack among them. Throws `bad-enabled-file`. */
  enabled(): EnabledPacks {
    return readEnabled(this.dirs);
  }

  /** The pack of a name. Throws `unknown-pack`, or `bad-pack` with every problem of its files. */
  pack(name: string): Pack {
    return checked(this.entry(name).parsed()).pack;
  }

  /** The pack file of a name. Throws `unknown-pack`. */
  entry(name: string): PackEntry {
    const entry = this.entries.find((candidate) => candidate.name === name);
    if (entry === undefined) throw this.unknown(name);
    return entry;
  }

  /** A pack by its name, else by the path of its file, which no overlay changes. */
  packOrFile(name: string): LocatedPack {
    const entry = this.entries.find((candidate) => candidate.name === name);
    if (entry !== undefined) return checked(entry.parsed());
    if (!isFile(name)) throw this.unknown(name, undefined, ', or the path of a pack file');
    return checked(readPackFile(name));
  }

  /** Checks an overlay file against the pack it is for, alone: others of that pack do not count. */
  checkOverlay(path: string): ParsedPack {
    const overlay = readOverlay(path);
    if (overlay.content === undefined) return { problems: [...overlay.problems] };
    const entry = this.entries.find(({ name }) => name === overlay.target);
    if (entry !== undefined) return readPackFile(entry.path, [overlay]);
    const issue = {
      rule: 'unknown-pack',
      message: `there is no pack ${overlay.target}`,
      at: ['overlays'],
    };
    const near = didYouMean(
      overlay.target,
      this.entries.map(({ name }) => name),
    );
    return { problems: [overlay.content.document.locate(withSuggestion(issue, near))] };
  }

  /**
   * The packs to trace: those named, else those enabled. Throws `no-pack-enabled` when that is none, and for the
   * first pack that is unknown or wrong.
   */
  select(names: readonly string[] | undefined): Pack[] {
    if (names !== undefined)
      return uniqueNames([...new Set(names)].map((name) => this.packOrFile(name).pack));
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

function checked({ pack, problems, origin }: ParsedPack): LocatedPack {
  if (pack === undefined || origin === undefined) throw badPack(problems);
  return { pack, origin };
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** A pack file before the overlays of all places are known. */
interface PackFile {
  name: string;
  path: string;
  place: PackPlace;
  /** Other files of the folder that have the name too. */
  twins: readonly string[];
}

interface PlaceContents {
  report: PlaceReport;
  packs: PackFile[];
  /** In the order they are applied. */
  overlays: Overlay[];
}

function lookInto(place: PackPlace): PlaceContents {
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
    const report = { ...place, exists: !absent, problem: absent ? null : message };
    return { report, packs: [], overlays: [] };
  }
  const paths = files
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => join(place.path, file));
  const packs = paths.filter((path) => !path.endsWith(OVERLAY_SUFFIX)).map((path) => packFile(path, place));
  return {
    report: { ...place, exists: true, problem: null },
    packs: markTwins(packs),
    overlays: paths.filter((path) => path.endsWith(OVERLAY_SUFFIX)).map(readOverlay),
  };
}

/** Of two packs of one name in one folder neither is meant to hide the other: the name stands for no pack then. */
function markTwins(packs: readonly PackFile[]): PackFile[] {
  return [...new Set(packs.map(({ name }) => name))].flatMap((name) => {
    const [first, ...others] = packs.filter((pack) => pack.name === name);
    return first === undefined ? [] : { ...first, twins: others.map(({ path }) => path) };
  });
}

function packFile(path: string, place: PackPlace): PackFile {
  return { name: peekName(path) ?? readPackFile(path).pack?.name ?? fileStem(path), path, place, twins: [] };
}

function entryOf({ twins, ...file }: PackFile, overlays: readonly Overlay[]): PackEntry {
  let parsed: ParsedPack | undefined;
  const parse = (): ParsedPack => {
    if (twins.length === 0) return readPackFile(file.path, overlays);
    const message = `pack ${file.name} is already defined in ${file.path}`;
    return { problems: twins.map((twin) => makeProblem('duplicate-pack', message, twin, 1, 1, '')) };
  };
  return {
    ...file,
    overlays,
    parsed: () => {
      parsed ??= parse();
      return parsed;
    },
  };
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
