import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../../src/paths.js';
import { type DebianArch, downloadPackage } from '../../support/debian-package.js';

/** From the first package to the one that holds the kernel: each names the next of its kind. */
const NEXT = /\blinux-(?:image|binary)-[^ ,|]+/;

/** Path of the newest kernel of a Debian suite, of a flavour such as `cloud-arm64`; fetched where it is missing. */
export function kernelImage(suite: string, flavour: string, arch: DebianArch): string {
  const folder = join(PACKAGE_ROOT, 'build', 'kernels');
  const image = join(folder, `${suite}-${flavour}`);
  if (existsSync(image)) return image;
  const partial = `${image}.partial-${process.pid}`;
  try {
    let name: string | undefined = `linux-image-${flavour}`;
    while (name !== undefined) {
      rmSync(partial, { recursive: true, force: true });
      mkdirSync(partial, { recursive: true });
      const deb = downloadPackage({ suite, component: 'main', package: name, arch }, partial);
      const unpack = `dpkg-deb --fsys-tarfile "$1" | tar -xO --wildcards '*/vmlinuz*' >"$2" 2>/dev/null`;
      const found = join(partial, 'vmlinuz');
      try {
        execFileSync('sh', ['-c', unpack, 'sh', deb, found], { stdio: 'pipe' });
        renameSync(found, image);
        return image;
      } catch {
        const depends = execFileSync('dpkg-deb', ['--field', deb, 'Depends'], { encoding: 'utf8' });
        name = NEXT.exec(depends)?.[0];
      }
    }
    throw new Error(`no kernel in linux-image-${flavour} of ${suite}`);
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}
