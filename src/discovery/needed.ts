import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import { dirname, isAbsolute, resolve } from 'node:path';
import type { Arch } from '../packs/model.js';
import { ElfFile } from './elf.js';
import { ElfError } from './elf-error.js';
import { HOST_ARCH } from './host-arch.js';
import { resolveInRoot } from './rooted-path.js';
import { type Environment, LOADER_DIRECTORIES, libraryPath, loaderCache } from './search-places.js';

/** A program about to be started. */
export interface CommandLine {
  argv: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
}

/** A file the program's start will load. */
export interface NeededFile {
  /** Absolute path with symlinks resolved. */
  path: string;
  /** The DT_NEEDED or LD_PRELOAD entry; the program's own path for the program. */
  name: string;
}

export interface NeededFiles {
  /** Programs found in the command line: the command, its interpreters, and programs among its arguments. */
  programs: { path: string; invokedAs: string }[];
  files: NeededFile[];
  /** DT_NEEDED entries that no directory has. */
  unresolved: { name: string; by: string }[];
}

/** More objects than any real program loads; a bound against a tree made to be endless. */
const MAX_OBJECTS = 4096;
const MAX_SCRIPT_DEPTH = 4;
const MAX_SHEBANG = 256;

/**
 * Finds what the dynamic loader will load for a command, without running anything: the DT_NEEDED tree with
 * DT_RPATH, DT_RUNPATH, $ORIGIN, LD_LIBRARY_PATH, LD_PRELOAD, the loader's cache and default directories, in
 * ld.so(8)'s order. Scripts lead to their interpreters; arguments that are programs (`mpirun ./app`) are followed
 * too. Libraries opened later with dlopen are not in it.
 */
export function neededBy(command: CommandLine): NeededFiles {
  const environment = toEnvironment(command.env);
  const programs = programsOf(command, environment);
  const walk = new Walk(environment);
  for (const program of programs) walk.addProgram(program.path);
  return { programs, files: [...walk.files.values()], unresolved: walk.unresolved };
}

/** An environment object as a map, without the unset variables. */
export function toEnvironment(env: CommandLine['env']): Environment {
  return new Map(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const])),
  );
}

/** The path a word of a command line names as a program (a path, or a name in PATH), not resolved; or null. */
export function findProgram(word: string, cwd: string, environment: Environment): string | null {
  if (word === '') return null;
  if (word.includes('/')) return isProgram(resolve(cwd, word)) ? resolve(cwd, word) : null;
  for (const directory of (environment.get('PATH') ?? '/usr/local/bin:/usr/bin:/bin').split(':')) {
    const path = resolve(cwd, directory, word);
    if (isProgram(path)) return path;
  }
  return null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

function programsOf(command: CommandLine, environment: Environment): NeededFiles['programs'] {
  const programs = new Map<string, { path: string; invokedAs: string }>();
  const add = (word: string, depth: number): void => {
    const invokedAs = findProgram(word, command.cwd, environment);
    const path = invokedAs === null ? null : resolveInRoot('', invokedAs);
    if (invokedAs === null || path === null || programs.has(invokedAs)) return;
    programs.set(invokedAs, { path, invokedAs });
    if (depth < MAX_SCRIPT_DEPTH) for (const next of interpreterOf(path)) add(next, depth + 1);
  };
  for (const word of command.argv) add(word, 0);
  return [...programs.values()];
}

/** Words of a `#!` line that name programs: the interpreter, and what `env` is to start. */
function interpreterOf(path: string): string[] {
  const line = readStart(path);
  if (!line.startsWith('#!')) return [];
  const [interpreter, ...words] = line.slice(2).trim().split(/\s+/);
  if (interpreter === undefined || interpreter === '') return [];
  const started = words.find((word) => !word.startsWith('-') && !word.includes('='));
  return interpreter.endsWith('/env') && started !== undefined ? [interpreter, started] : [interpreter];
}

function readStart(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return '';
  }
  try {
    const bytes = Buffer.alloc(MAX_SHEBANG);
    const got = readSync(fd, bytes, 0, MAX_SHEBANG, 0);
    return bytes.toString('utf8', 0, got).split('\n')[0] ?? '';
  } catch {
    return '';
  } finally {
    closeSync(fd);
  }
}

/** An object in the load tree: DT_RPATH of everything above it applies to what it needs. */
interface LoadedObject {
  path: string;
  /** Directory $ORIGIN stands for. */
  origin: string;
  inheritedRpath: readonly string[];
}

class Walk {
  readonly files = new Map<string, NeededFile>();
  readonly unresolved: NeededFiles['unresolved'] = [];
  private readonly cache = new Map<string, string>();
  private readonly libraryPath: readonly string[];

  constructor(private readonly environment: Environment) {
    this.libraryPath = libraryPath(environment);
    // Only the first entry of a soname counts; the loader takes the best hardware variant first.
    for (const { soname, path } of loaderCache('')) if (!this.cache.has(soname)) this.cache.set(soname, path);
  }

  addProgram(path: string): void {
    const preloaded = (this.environment.get('LD_PRELOAD') ?? '')
      .split(/[\s:]+/)
      .filter((name) => name !== '');
    this.load({ path, origin: dirname(path), inheritedRpath: [] }, path, preloaded);
  }

  private load(first: LoadedObject, name: string, extra: readonly string[]): void {
    const queue: { object: LoadedObject; name: string; extra: readonly string[] }[] = [
      { object: first, name, extra },
    ];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { object } = next;
      if (this.files.has(object.path) || this.files.size >= MAX_OBJECTS) continue;
      const elf = openElf(object.path);
      if (elf === null) continue;
      this.files.set(object.path, { path: object.path, name: next.name });
      try {
        queue.push(...this.dependencies(elf, object, next.extra));
      } catch (error) {
        // A damaged library keeps its own program from starting; the others are still worth finding.
        if (!(error instanceof ElfError)) throw error;
      } finally {
        elf.close();
      }
    }
  }

  private dependencies(elf: ElfFile, object: LoadedObject, extra: readonly string[]) {
    const expandAll = (paths: readonly string[]) =>
      paths.flatMap((path) => expandTokens(path, object.origin));
    const runpath = expandAll(elf.runpath);
    const rpath = runpath.length > 0 ? [] : [...expandAll(elf.rpath), ...object.inheritedRpath];
    const directories = [...rpath, ...this.libraryPath, ...runpath];
    return [...extra, ...elf.needed].flatMap((name) => {
      const found = this.resolve(name, directories, object.origin, elf.machine);
      if (found === null) {
        this.unresolved.push({ name, by: object.path });
        return [];
      }
      const inheritedRpath = [...new Set([...expandAll(elf.rpath), ...object.inheritedRpath])];
      return [{ object: { ...found, inheritedRpath }, name, extra: [] }];
    });
  }

  private resolve(name: string, directories: readonly string[], origin: string, machine: Arch) {
    const places = name.includes('/')
      ? expandTokens(name, origin)
      : [
          ...directories.map((directory) => `${directory}/${name}`),
          ...(this.cache.has(name) ? [this.cache.get(name) ?? ''] : []),
          ...LOADER_DIRECTORIES.map((directory) => `${directory}/${name}`),
        ];
    for (const place of places) {
      const path = isAbsolute(place) ? resolveInRoot('', place) : null;
      // Like the loader, pass over a library of another architecture and go on searching.
      if (path !== null && machineOf(path) === machine) return { path, origin: dirname(place) };
    }
    return null;
  }
}

/** $ORIGIN, $LIB and $PLATFORM of ld.so(8); $LIB differs between distributions, so both forms are tried. */
function expandTokens(path: string, origin: string): string[] {
  const platform = HOST_ARCH === 'arm64' ? 'aarch64' : 'x86_64';
  const placed = path
    .replaceAll(/\$ORIGIN|\$\{ORIGIN\}/g, () => origin)
    .replaceAll(/\$PLATFORM|\$\{PLATFORM\}/g, platform);
  if (!/\$LIB|\$\{LIB\}/.test(placed)) return [placed];
  return ['lib64', `lib/${platform}-linux-gnu`].map((lib) => placed.replaceAll(/\$LIB|\$\{LIB\}/g, lib));
}

function openElf(path: string): ElfFile | null {
  try {
    return ElfFile.open(path);
  } catch {
    return null;
  }
}

function machineOf(path: string): Arch | null {
  const elf = openElf(path);
  elf?.close();
  return elf?.machine ?? null;
}
