import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../src/paths.js';

export type DebianArch = 'amd64' | 'arm64';

export interface DebianPackage {
  suite: string;
  component: 'main' | 'contrib' | 'non-free';
  package: string;
  /** That of the host unless it is another. */
  arch?: DebianArch;
}

/** A library in a package of Debian's for this machine. */
export interface DebianLibrary extends Omit<DebianPackage, 'arch'> {
  /** Name of the library's file. */
  file: RegExp;
}

/** Where a library is, or why there is none. */
export type Fetched = { path: string } | { reason: string };

/** How long a server may be silent. */
const TIMEOUT_S = 10;

/** The library, in its package unpacked below build/; what is already there is not fetched again. */
export function fetchPackage(library: DebianLibrary): Fetched {
  const name = `${library.package}_${library.suite}`;
  const dir = join(PACKAGE_ROOT, 'build', 'debian', name);
  if (!existsSync(dir)) {
    const partial = `${dir}.partial-${process.pid}`;
    try {
      const deb = downloadPackage(library, partial);
      execFileSync('dpkg-deb', ['-x', deb, join(partial, 'root')], { stdio: 'pipe' });
      renameSync(join(partial, 'root'), dir);
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: Buffer | null };
      const said = (stderr?.toString().trim().split('\n').at(-1) ?? '') || message;
      return { reason: `${name} cannot be fetched: ${said}` };
    } finally {
      rmSync(partial, { recursive: true, force: true });
    }
  }
  const found = readdirSync(dir, { recursive: true, withFileTypes: true }).find(
    (entry) => entry.isFile() && library.file.test(entry.name),
  );
  return found === undefined
    ? { reason: `${name} has no file ${library.file}` }
    : { path: join(found.parentPath, found.name) };
}

/** The Debian mirror this machine uses, from its own apt sources (sources.list(5), both formats). */
function debianMirror(): string {
  const parts = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...(existsSync(parts) ? readdirSync(parts).map((name) => join(parts, name)) : []),
  ];
  const lines = files
    .filter((file) => existsSync(file))
    .flatMap((file) => readFileSync(file, 'utf8').split('\n'));
  for (const line of lines) {
    const uri = /^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s+(\S+\/debian)\/?(?:\s|$)/.exec(line)?.[1];
    if (uri !== undefined) return uri;
  }
  throw new Error('apt here has no Debian mirror');
}

/**
 * Downloads a package into a folder with apt, configured by options alone so that nothing of the system's configuration
 * changes, and returns its path.
 */
export function downloadPackage(
  { suite, component, package: name, arch }: DebianPackage,
  dir: string,
): string {
  for (const folder of ['lists/partial', 'cache/archives/partial']) {
    mkdirSync(join(dir, folder), { recursive: true });
  }
  const sources = join(dir, 'debian.sources');
  writeFileSync(
    sources,
    `Types: deb
URIs: ${debianMirror()}
Suites: ${suite}
Components: ${component}
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`,
  );
  const options = [
    ...['Dir::Etc::sourceparts=/dev/null', `Dir::Etc::sourcelist=${sources}`],
    ...[`Dir::State::lists=${dir}/lists`, `Dir::Cache=${dir}/cache`, 'APT::Sandbox::User=root'],
    ...['Acquire::Retries=1', `Acquire::http::Timeout=${TIMEOUT_S}`, 'APT::Update::Error-Mode=any'],
    ...(arch === undefined ? [] : [`APT::Architecture=${arch}`, `APT::Architectures=${arch}`]),
  ].flatMap((option) => ['-o', option]);
  const apt = (...args: string[]): void => {
    execFileSync('apt-get', ['-q', ...options, ...args], { cwd: dir, stdio: 'pipe' });
  };
  apt('update');
  apt('download', name);
  const deb = readdirSync(dir).find((file) => file.endsWith('.deb'));
  if (deb === undefined) throw new Error('apt left no package');
  return join(dir, deb);
}
