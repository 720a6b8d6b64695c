import { type DebianLibrary, type Fetched, fetchPackage } from './debian-package.js';

const trixieMain = (name: string, file: RegExp): DebianLibrary => ({
  ...{ suite: 'trixie', component: 'main', package: name, file },
});

/** Every library tests take from Debian. A library that is not here is not fetched. */
export const DEBIAN_LIBRARIES = {
  cudart11: {
    suite: 'bookworm',
    component: 'non-free',
    package: 'libcudart11.0',
    file: /^libcudart\.so\.11\.8/,
  },
  cudart12: { suite: 'trixie', component: 'non-free', package: 'libcudart12', file: /^libcudart\.so\.12\.4/ },
  cuda535: { suite: 'bookworm', component: 'non-free', package: 'libcuda1', file: /^libcuda\.so\.535/ },
  cuda550: { suite: 'trixie', component: 'non-free', package: 'libcuda1', file: /^libcuda\.so\.550/ },
  nccl: { suite: 'trixie', component: 'contrib', package: 'libnccl2', file: /^libnccl\.so\.2\.22/ },
  torch: trixieMain('libtorch2.6', /^libc10\.so\.2\.6/),
  // What the two above need of a later Debian.
  libc: trixieMain('libc6', /^libc\.so\.6$/),
  stdcxx: trixieMain('libstdc++6', /^libstdc\+\+\.so\.6\.[0-9.]+$/),
  gcc: trixieMain('libgcc-s1', /^libgcc_s\.so\.1$/),
  numa: trixieMain('libnuma1', /^libnuma\.so\.1[0-9.]*$/),
  cpuinfo: trixieMain('libcpuinfo0', /^libcpuinfo\.so\.[0-9.]+$/),
} as const satisfies Record<string, DebianLibrary>;

export type LibraryName = keyof typeof DEBIAN_LIBRARIES;

/** All of them. */
export const LIBRARY_NAMES = Object.keys(DEBIAN_LIBRARIES) as LibraryName[];

/** The library, fetched where it is missing, and its title in the names of tests. */
export function fetchLibrary(name: LibraryName): { title: string; found: Fetched } {
  const library = DEBIAN_LIBRARIES[name];
  const title = `${library.package} of ${library.suite}`;
  const found = process.arch === 'x64' ? fetchPackage(library) : { reason: 'not an x86-64 host' };
  return 'path' in found ? { title, found } : { title: `${title} (skipped: ${found.reason})`, found };
}
