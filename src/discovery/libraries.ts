import { statSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { type IgnoredLibrary, LibraryCollector } from './candidates.js';
import { type MappedFile, mappedFiles } from './maps.js';
import type { LibraryFile } from './model.js';
import { type CommandLine, neededBy, toEnvironment } from './needed.js';
import { commandLineOf, environmentOf, listPids } from './processes.js';
import { listDirectory, readProcLink } from './procfs.js';
import { resolveInRoot } from './rooted-path.js';
import { type Environment, loaderCache, searchDirectories } from './search-places.js';
import { sonameMatcher } from './soname-glob.js';

/** What to look for and where. With neither `pids` nor `command`, every process is looked at. */
export interface LibrarySearch {
  /** Globs over file names and DT_SONAMEs, e.g. `libcudart.so.*`. */
  sonames: readonly string[];
  pids?: readonly number[];
  /** A program about to be started; nothing is run. */
  command?: CommandLine;
  /** Functions that betray a statically linked copy: files that define one of them are found too. */
  embeddedSymbols?: readonly string[];
  /** Also look for copies in files that were stripped; reads the code of every program. Default false. */
  scanStripped?: boolean;
}

export interface LibrarySearchResult {
  files: LibraryFile[];
  /** Places that were looked at, in words, to explain an empty result. */
  searched: string[];
  /** Files that look right and are not used, with the reason. */
  ignored: IgnoredLibrary[];
  /** What was looked at, for `rescanProcesses` to go on from. */
  known: Set<string>;
}

/** Containers looked into at most; more than this on one host are copies of few images. */
const MAX_ROOTS = 64;

/**
 * Finds every copy of the libraries: in the maps of the processes (deleted files and other mount namespaces
 * included), in the load tree of `command`, in the loader's cache, standard directories, Python environments and
 * LD_LIBRARY_PATH of each root file system concerned. Each inode is reported once. Reads files and /proc only.
 * Never throws for what it finds; unreadable places are named in `searched`.
 */
export function findLibraries(search: LibrarySearch): LibrarySearchResult {
  const known = new Set<string>();
  const collector = collectorFor(search, known);
  const searched: string[] = [];
  const everything = search.pids === undefined && search.command === undefined;
  const pids = search.pids ?? (everything ? listPids() : []);
  const roots = searchMaps(collector, pids, searched);
  if (search.command !== undefined) searchCommand(collector, search.command, rootOf(roots, ''), searched);
  if (everything) rootOf(roots, '').environments.push(toEnvironment(process.env));
  for (const root of [...roots.values()].slice(0, MAX_ROOTS)) searchRoot(collector, root, searched);
  if (roots.size > MAX_ROOTS)
    searched.push(`${roots.size - MAX_ROOTS} more root file systems were not searched`);
  return { files: collector.files, searched, ignored: collector.ignored, known };
}

function collectorFor(search: LibrarySearch, known: Set<string>): LibraryCollector {
  const { embeddedSymbols = [], scanStripped = false } = search;
  return new LibraryCollector(sonameMatcher(search.sonames), known, {
    symbols: new Set(embeddedSymbols),
    scanStripped,
  });
}

/**
 * Libraries that came into the processes since the last call, looked up in their maps only. `known` is what
 * `findLibraries` returned (or the `fileKey`s of files already used); every file looked at is added to it, so the
 * next call opens nothing twice. With a few pids it costs about as much as reading their maps and may run several times a second.
 */
export function rescanProcesses(
  search: Omit<LibrarySearch, 'command'>,
  known: Set<string>,
): Pick<LibrarySearchResult, 'files' | 'ignored'> {
  const collector = collectorFor(search, known);
  for (const pid of search.pids ?? listPids()) {
    const files = (mappedFiles(pid) ?? []).filter((file) => {
      const key = `${file.device}:${file.inode}:${file.path}`;
      return known.has(key) ? false : known.add(key);
    });
    if (files.length > 0) offerMappings(collector, pid, files);
  }
  return { files: collector.files, ignored: collector.ignored };
}

/** A root file system processes live in, and what tells where they load libraries from. */
interface Root {
  /** Prefix to reach it from here: '' or `/proc/PID/root`. */
  path: string;
  environments: Environment[];
  prefixes: Set<string>;
}

function rootOf(roots: Map<string, Root>, path: string, namespace = ''): Root {
  const known = roots.get(namespace);
  if (known !== undefined) return known;
  const root: Root = { path, environments: [], prefixes: new Set() };
  roots.set(namespace, root);
  return root;
}

/** Offers what the processes map, and returns the root file systems they live in. */
function searchMaps(
  collector: LibraryCollector,
  pids: readonly number[],
  searched: string[],
): Map<string, Root> {
  const roots = new Map<string, Root>();
  let read = 0;
  for (const pid of pids) {
    const files = mappedFiles(pid);
    if (files === null) continue;
    read++;
    if (files.length === 0) continue;
    offerMappings(collector, pid, files);
    const view = viewOf(pid);
    const root = rootOf(roots, view.root, view.namespace);
    const environment = environmentOf(pid);
    if (environment !== null) root.environments.push(environment);
    const exe = readProcLink(`/proc/${pid}/exe`);
    for (const program of [exe, commandLineOf(pid)?.[0]]) {
      if (program?.startsWith('/')) root.prefixes.add(dirname(dirname(program)));
    }
  }
  if (pids.length > 0) searched.push(`the memory maps of ${read} of ${pids.length} processes`);
  return roots;
}

/** How to reach the files of a process: its own paths work here only in our mount namespace and root. */
function viewOf(pid: number): { root: string; namespace: string } {
  const namespace = readProcLink(`/proc/${pid}/ns/mnt`);
  const root = readProcLink(`/proc/${pid}/root`);
  const ours = namespace === null || namespace === readProcLink('/proc/self/ns/mnt');
  if (ours && (root === null || root === '/')) return { root: '', namespace: '' };
  return { root: `/proc/${pid}/root`, namespace: `${namespace}:${root}` };
}

function offerMappings(collector: LibraryCollector, pid: number, files: readonly MappedFile[]): void {
  const { root } = viewOf(pid);
  for (const file of files) {
    if (!file.executable && !collector.wantsName(basename(file.path))) continue;
    const openPath = openPathOf(pid, root, file);
    if (openPath !== null) collector.offer({ path: file.path, openPath, foundBy: `maps:${pid}` });
  }
}

/**
 * A path that opens the very file the process mapped, proven by its inode. The plain path is preferred (it outlives
 * the process), then the process's root, then /proc/PID/map_files, which reaches deleted files but needs
 * CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN.
 */
function openPathOf(pid: number, root: string, file: MappedFile): string | null {
  const inside = `/proc/${pid}/root${withinRoot(pid, file.path)}`;
  if (!file.deleted) {
    const seen = root === '' ? statOf(file.path) : statOf(inside);
    if (seen?.ino === file.inode) {
      const plain = root === '' ? seen : statOf(file.path);
      return plain?.ino === seen.ino && plain.dev === seen.dev ? file.path : inside;
    }
    if (root === '' && statOf(inside)?.ino === file.inode) return inside;
  }
  const mapped = `/proc/${pid}/map_files/${file.range}`;
  return statOf(mapped)?.ino === file.inode ? mapped : null;
}

/** A path of the maps as its process knows it: in a chroot the kernel shows us the way to it as well. */
function withinRoot(pid: number, path: string): string {
  const root = readProcLink(`/proc/${pid}/root`);
  return root !== null && root !== '/' && path.startsWith(`${root}/`) ? path.slice(root.length) : path;
}

function statOf(path: string): { ino: number; dev: number } | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function searchCommand(
  collector: LibraryCollector,
  command: CommandLine,
  root: Root,
  searched: string[],
): void {
  const { programs, files, unresolved } = neededBy(command);
  for (const file of files) {
    collector.offer({
      path: file.path,
      openPath: file.path,
      foundBy: 'needed',
      names: [basename(file.name)],
    });
  }
  root.environments.push(toEnvironment(command.env));
  for (const program of programs) {
    for (const path of [program.invokedAs, program.path]) root.prefixes.add(dirname(dirname(path)));
  }
  // Where `uv run` and editors put a project's environment; tried, not required.
  root.prefixes.add(`${command.cwd}/.venv`).add(`${command.cwd}/venv`);
  const names = programs.map((program) => program.path).join(', ');
  searched.push(
    names === '' ? `no program named ${command.argv[0]}` : `the ${files.length} files ${names} load at start`,
  );
  for (const { name, by } of unresolved) {
    if (collector.wantsName(basename(name))) searched.push(`${name}, needed by ${by}: not found`);
  }
}

function searchRoot(collector: LibraryCollector, root: Root, searched: string[]): void {
  const label = root.path === '' ? '' : `${root.path}: `;
  const cache = loaderCache(root.path);
  for (const { soname, path } of cache) {
    if (collector.wantsName(soname)) offerInRoot(collector, root.path, path, 'ld.so.cache');
  }
  searched.push(`${label}/etc/ld.so.cache (${cache.length} libraries)`);
  const directories = searchDirectories(root.path, root.environments, [...root.prefixes]);
  for (const directory of directories) {
    for (const name of listDirectory(`${root.path}${directory.path}`)) {
      if (collector.wantsName(name))
        offerInRoot(collector, root.path, `${directory.path}/${name}`, directory.foundBy);
    }
  }
  searched.push(`${label}${directories.map((directory) => directory.path).join(', ')}`);
}

function offerInRoot(collector: LibraryCollector, root: string, path: string, foundBy: string): void {
  const real = resolveInRoot(root, path);
  if (real !== null)
    collector.offer({ path: real, openPath: `${root}${real}`, foundBy, names: [basename(path)] });
}
