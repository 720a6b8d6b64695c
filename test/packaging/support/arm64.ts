import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { available } from '../../packs/support/tools.js';
import { BUILDS_ARM64 } from './built-archs.js';
import type { BuiltPackages } from './built-packages.js';

/** e_machine of elf.h. */
const EM_AARCH64 = 183;
const PATIENCE_MS = 600_000;

/** Lists the files of a package; the names of architectures are made the same. */
const LISTS: Readonly<Record<string, (file: string) => string>> = {
  '.tar.gz': (file) => execFileSync('tar', ['-tzf', file], { encoding: 'utf8' }),
  '.npm.tgz': (file) => execFileSync('tar', ['-tzf', file], { encoding: 'utf8' }),
  '.deb': (file) =>
    execFileSync('sh', ['-c', 'dpkg-deb --fsys-tarfile "$1" | tar -t', 'sh', file], { encoding: 'utf8' }),
  '.rpm': (file) => execFileSync('rpm', ['--query', '--package', '--list', file], { encoding: 'utf8' }),
};
const ofAnyArch = (names: string): string[] =>
  names
    .replace(/x86_64|x64|amd64|arm64|aarch64/g, 'ARCH')
    .trim()
    .split('\n')
    .sort();

/** The packages for AArch64, built on x86-64: what is in them, since they do not run here. */
export function describeArm64(
  { folder, named }: BuiltPackages,
  build: (out: string, wrapper: readonly string[], more: readonly string[]) => { stderr: string },
): void {
  describe.skipIf(!BUILDS_ARM64)(`for AArch64${BUILDS_ARM64 ? '' : ' (skipped: no cross compiler)'}`, () => {
    // Made when the tests run, and removed with the other packages.
    const work = join(folder, '../arm64');
    const out = join(work, 'out');
    const unpacked = join(work, 'unpacked');
    const ending = (end: string): string =>
      join(out, readdirSync(out).find((name) => name.endsWith(end)) ?? `nothing that ends with ${end}`);
    beforeAll(() => {
      build(out, [], ['--arch', 'arm64']);
      mkdirSync(unpacked);
      execFileSync('tar', ['-xzf', ending('.tar.gz'), '-C', unpacked, '--strip-components=1']);
    }, PATIENCE_MS);

    test('there is a package of each format, signed as well', () => {
      const names = (where: string): string[] => ofAnyArch(readdirSync(where).join('\n'));
      expect(names(out)).toEqual(names(folder));
    });

    test.each(Object.keys(LISTS).filter((end) => end !== '.rpm' || available('rpmbuild', '--version')))(
      '%s has the files of the one for x86-64',
      (end) => {
        const list = LISTS[end] as (file: string) => string;
        const other = named(new RegExp(`${end.replaceAll('.', '\\.')}$`));
        expect(ofAnyArch(list(ending(end)))).toEqual(ofAnyArch(list(other)));
      },
    );

    test('all machine code is of AArch64, in the single executable as well', () => {
      const machine = (elf: Buffer): number => elf.readUInt16LE(18);
      const single = readFileSync(ending('.bin'));
      expect(machine(single)).toBe(EM_AARCH64);
      const elves = readdirSync(unpacked, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !entry.name.endsWith('.bpf.o'))
        .map((entry) => join(entry.parentPath, entry.name))
        .filter((path) => readFileSync(path).subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1')));
      expect(elves.map((path) => path.slice(path.lastIndexOf('/') + 1)).sort()).toEqual([
        ...['duckdb.node', 'koffi.node', 'koffi.node', 'libbpf.so', 'libduckdb.so', 'node'],
      ]);
      for (const path of elves) {
        const elf = readFileSync(path);
        expect([path, machine(elf)]).toEqual([path, EM_AARCH64]);
        // Node.js is the executable itself.
        if (!path.endsWith('/node')) expect([path, single.includes(elf)]).toEqual([path, true]);
      }
    });

    test('each says so to its package manager', () => {
      const field = execFileSync('dpkg-deb', ['--field', ending('.deb'), 'Architecture'], {
        encoding: 'utf8',
      });
      expect(field).toBe('arm64\n');
      const manifest = execFileSync('tar', ['-xzOf', ending('.npm.tgz'), 'package/package.json']);
      expect(JSON.parse(manifest.toString())).toMatchObject({ os: ['linux'], cpu: ['arm64'] });
      const rpm = spawnSync('rpm', ['--query', '--package', '--queryformat', '%{ARCH}', ending('.rpm')]);
      if (rpm.error === undefined) expect(rpm.stdout.toString()).toBe('aarch64');
    });
  });
}
