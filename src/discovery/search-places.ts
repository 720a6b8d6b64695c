import { HOST_ARCH } from './host-arch.js';
import { parseLdCache } from './ld-cache.js';
import { listDirectory, readProc } from './procfs.js';
import { resolveInRoot } from './rooted-path.js';

/** Environment variables that decide where a program's libraries come from. */
export type Environment = ReadonlyMap<string, string>;

/** Directories of one root file system that may hold the libraries, and how each was come by. */
export interface SearchDirectory {
  /** Absolute, symlinks resolved, seen from inside the root. */
  path: string;
  foundBy: string;
}

const MULTIARCH = HOST_ARCH === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';

/** Directories the loader searches by default (glibc; Debian's and Red Hat's layouts). */
export const LOADER_DIRECTORIES: readonly string[] = [
  `/lib/${MULTIARCH}`,
  `/usr/lib/${MULTIARCH}`,
  '/lib64',
  '/usr/lib64',
  '/lib',
  '/usr/lib',
];

/** Where toolkits, drivers, containers and bundles put CUDA libraries. */
const STANDARD = [
  ...LOADER_DIRECTORIES,
  `/usr/lib/${MULTIARCH}/nvidia/current`,
  '/usr/lib/wsl/lib',
  '/usr/local/lib',
  '/usr/local/lib64',
  '/usr/local/cuda*/lib64',
  '/usr/local/cuda*/targets/*/lib',
  '/usr/local/cuda*/compat',
  '/usr/local/nvidia/lib',
  '/usr/local/nvidia/lib64',
  '/opt/*/lib',
  '/opt/*/lib64',
  '/opt/*/targets/*/lib',
  '/opt/*/envs/*/lib',
];

const PYTHON = [
  '/usr/lib/python3*/dist-packages',
  '/usr/lib/python3*/site-packages',
  '/usr/lib64/python3*/site-packages',
  '/usr/local/lib/python3*/dist-packages',
  '/usr/local/lib/python3*/site-packages',
  '/opt/*/lib/python3*/site-packages',
  '/opt/*/envs/*/lib/python3*/site-packages',
];

/** Below a site-packages directory: CUDA 12 and 13 wheels, PyTorch, and libraries bundled by auditwheel. */
const WHEEL_DIRECTORIES = ['nvidia/*/lib', 'torch/lib', '*.libs'];

/**
 * The directories to search under `root` ('' is this process's own root, else e.g. `/proc/42/root`), in the
 * order they are tried and each once. `prefixes` are installation prefixes of Python environments or programs.
 */
export function searchDirectories(
  root: string,
  environments: readonly Environment[],
  prefixes: readonly string[] = [],
): SearchDirectory[] {
  const environmentPrefixes = environments.flatMap((environment) =>
    ['VIRTUAL_ENV', 'CONDA_PREFIX'].flatMap((name) => environment.get(name) ?? []),
  );
  const homes = [...prefixes, ...environmentPrefixes, ...environments.flatMap(homePrefixes)].filter((path) =>
    path.startsWith('/'),
  );
  const wanted: { pattern: string; foundBy: string }[] = [
    ...environments.flatMap(libraryPath).map((pattern) => ({ pattern, foundBy: 'LD_LIBRARY_PATH' })),
    ...homes.flatMap((home) => [
      ...[`${home}/lib`, `${home}/lib64`].map((pattern) => ({ pattern, foundBy: 'environment' })),
      ...wheelPatterns(`${home}/lib/python3*/site-packages`),
      ...wheelPatterns(`${home}/lib64/python3*/site-packages`),
    ]),
    ...STANDARD.map((pattern) => ({ pattern, foundBy: 'directory' })),
    ...PYTHON.flatMap(wheelPatterns),
  ];
  const directories = new Map<string, SearchDirectory>();
  // Processes share most of their environment: a pattern is expanded once, under the first name it was found by.
  const patterns = new Map(wanted.reverse().map(({ pattern, foundBy }) => [pattern, foundBy]));
  for (const [pattern, foundBy] of [...patterns].reverse()) {
    for (const path of expand(root, pattern)) {
      if (!directories.has(path)) directories.set(path, { path, foundBy });
    }
  }
  return [...directories.values()];
}

/** Python installations below a home directory: pip --user, pyenv, and conda's usual folders. */
function homePrefixes(environment: Environment): string[] {
  const home = environment.get('HOME');
  const pyenv = environment.get('PYENV_ROOT') ?? (home === undefined ? undefined : `${home}/.pyenv`);
  const conda = ['miniconda3', 'anaconda3', 'miniforge3'].flatMap((name) => [name, `${name}/envs/*`]);
  return [
    ...(home === undefined ? [] : ['.local', ...conda].map((name) => `${home}/${name}`)),
    ...(pyenv === undefined ? [] : [`${pyenv}/versions/*`]),
  ];
}

/** Absolute directories of LD_LIBRARY_PATH (`:` or `;` between them). Relative ones depend on a directory we do not know. */
export function libraryPath(environment: Environment): string[] {
  return (environment.get('LD_LIBRARY_PATH') ?? '').split(/[:;]/).filter((path) => path.startsWith('/'));
}

/** Libraries in the loader's cache under `root`: soname -> path as written there. */
export function loaderCache(root: string): { soname: string; path: string }[] {
  const path = resolveInRoot(root, '/etc/ld.so.cache');
  const bytes = path === null ? null : readProc(`${root}${path}`);
  return bytes === null ? [] : parseLdCache(bytes);
}

function wheelPatterns(sitePackages: string): { pattern: string; foundBy: string }[] {
  return WHEEL_DIRECTORIES.map((directory) => ({
    pattern: `${sitePackages}/${directory}`,
    foundBy: 'site-packages',
  }));
}

/** Existing paths that match `pattern` (`*` within one component), resolved inside `root`. */
function expand(root: string, pattern: string): string[] {
  let bases = ['/'];
  for (const part of pattern.split('/').filter((name) => name !== '')) {
    bases = bases.flatMap((base) => children(root, base, part));
    if (bases.length === 0) return [];
  }
  return bases;
}

function children(root: string, base: string, part: string): string[] {
  const names = part.includes('*') ? listDirectory(`${root}${base}`).filter(partMatcher(part)) : [part];
  return names.flatMap((name) => resolveInRoot(root, `${base}/${name}`) ?? []);
}

function partMatcher(part: string): (name: string) => boolean {
  const [head = '', tail = ''] = part.split('*');
  return (name) => name.length >= head.length + tail.length && name.startsWith(head) && name.endsWith(tail);
}
