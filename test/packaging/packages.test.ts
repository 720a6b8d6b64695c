import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { available } from '../packs/support/tools.js';
import { makeKeys } from '../support/keys.js';
import { describeArm64 } from './support/arm64.js';
import { describeSignedRelease } from './support/signed-release.js';
import { describeSingle } from './support/single.js';
import { setTraps } from './support/traps.js';

const FIXTURE = join(PACKAGE_ROOT, 'test/fixtures/demo-v1.duckdb');
const BUILD = join(PACKAGE_ROOT, 'packaging/packages/build.mjs');
const CANNOT_FETCH =
  /Could not resolve|Temporary failure|Unable to fetch|Failed to fetch|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ENOTCACHED|No \S+-gcc/;
const { version } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
  version: string;
};
const RPM = available('rpmbuild', '--version');
/** Mode, owner and path of each file of an RPM package. */
const FILES = '[%{FILEMODES:octal} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\\n]';
const FORMATS = ['tar', 'deb', 'npm', 'single', ...(RPM ? ['rpm'] : [])];
/** Packing and unpacking 200 MB takes its time on a busy machine. */
const PATIENCE_MS = 300_000;
const ROOT_USER = process.getuid?.() === 0;

const work = mkdtempSync(join(tmpdir(), 'ingero-packages-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));
const first = join(work, 'first');

const keys = makeKeys(work, 'release');

/** Builds and signs all packages; `wrapper` is put in front of the command, `more` are further arguments. */
function build(
  out: string,
  wrapper: readonly string[] = [],
  more: readonly string[] = [],
): { status: number | null; stderr: string } {
  const words = ['--out', out, '--key', keys.key, ...more, ...FORMATS];
  const [program, ...args] = [...wrapper, process.execPath, BUILD, ...words] as [string, ...string[]];
  const env = { ...process.env, SOURCE_DATE_EPOCH: '1700000000' };
  return spawnSync(program, args, { encoding: 'utf8', env });
}

const built = build(first);
const unfetched = built.status !== 0 && CANNOT_FETCH.test(built.stderr);

describe.skipIf(unfetched)(
  `packages${unfetched ? ' (skipped: what they are made of cannot be fetched)' : ''}`,
  () => {
    const named = (pattern: RegExp): string => {
      const name = readdirSync(first).find((entry) => pattern.test(entry));
      if (name === undefined) throw new Error(`no ${pattern} in ${readdirSync(first).join(', ')}`);
      return join(first, name);
    };
    /** The directory bundle, unpacked once. */
    const bundle = (): string => {
      const folder = join(work, 'bundle', `ingero-${version}-linux-${process.arch}`);
      if (!existsSync(folder)) {
        mkdirSync(join(work, 'bundle'));
        execFileSync('tar', ['-xzf', named(/\.tar\.gz$/), '-C', join(work, 'bundle')]);
      }
      return folder;
    };

    test('are built, with their digests', { timeout: PATIENCE_MS }, () => {
      expect(built).toMatchObject({ status: 0, stderr: '' });
      expect(readdirSync(first)).toHaveLength(FORMATS.length + 2);
      execFileSync('sha256sum', ['--check', '--quiet', '--strict', 'SHA256SUMS'], { cwd: first });
      execFileSync('sha256sum', ['--check', '--quiet', '--strict', 'SHA256SUMS'], { cwd: bundle() });
    });

    test('two builds give the same bytes, and the second needs no network', { timeout: PATIENCE_MS }, () => {
      const again = join(work, 'again');
      expect(build(again, ROOT_USER ? ['unshare', '-n'] : [])).toMatchObject({ status: 0, stderr: '' });
      expect(readFileSync(join(again, 'SHA256SUMS'), 'utf8')).toBe(
        readFileSync(join(first, 'SHA256SUMS'), 'utf8'),
      );
      rmSync(again, { recursive: true });
    });

    test('libbpf has the same bytes when it is built again from its sources', {
      timeout: PATIENCE_MS,
    }, () => {
      // Packages take the one that was built before.
      const again = join(work, 'libbpf.so');
      const script = ['sh', join(PACKAGE_ROOT, 'packaging/packages/libbpf.sh'), again, process.arch];
      const [program, ...args] = (ROOT_USER ? ['unshare', '-n', ...script] : script) as [string, ...string[]];
      execFileSync(program, args, { stdio: 'pipe' });
      expect(readFileSync(again).equals(readFileSync(join(bundle(), 'native/libbpf.so')))).toBe(true);
    });

    test('the folder runs on its own Node.js, whatever the caller has set', () => {
      const traps = setTraps(work);
      const run = (...args: string[]) => {
        const env = { PATH: '/usr/bin:/bin', ...traps.env, INGERO_NODE: '/bin/false' };
        const ran = spawnSync(join(bundle(), 'bin/ingero'), args, { encoding: 'utf8', env });
        expect(ran).toMatchObject({ status: 0, stderr: '' });
        expect(traps.sprung()).toEqual([]);
        return ran.stdout;
      };
      expect(run('--version')).toBe(`ingero/${version} linux-${process.arch} node-v24.21.0\n`);
      if (!ROOT_USER) return;
      // With a launcher and the thread of the recorder.
      const traced = run('trace', '--out', join(work, 'env.duckdb'), '--', 'env');
      expect(traced).toContain(`NODE_COMPILE_CACHE=${traps.env.NODE_COMPILE_CACHE}\n`);
    });

    test('the bills of materials name what is inside', () => {
      const folder = bundle();
      const cyclonedx = JSON.parse(readFileSync(join(folder, 'sbom.cyclonedx.json'), 'utf8')) as {
        components: { name: string; version: string; purl: string; licenses: unknown[]; hashes: unknown[] }[];
      };
      const spdx = JSON.parse(readFileSync(join(folder, 'sbom.spdx.json'), 'utf8')) as {
        packages: { name: string; versionInfo: string; SPDXID: string; checksums?: unknown[] }[];
      };
      const names = cyclonedx.components.map(({ name }) => name);
      for (const name of [
        'node',
        'libbpf',
        'libelf',
        'zlib',
        `ingero.${process.arch}.bpf.o`,
        'koffi',
        '@oclif/core',
      ])
        expect(names).toContain(name);
      for (const { licenses, hashes, version: made } of cyclonedx.components) {
        expect([licenses.length, hashes.length, made.length > 0]).toEqual([1, 1, true]);
      }
      expect(spdx.packages.slice(1).map(({ name }) => name)).toEqual(names);
      expect(new Set(spdx.packages.map(({ SPDXID }) => SPDXID)).size).toBe(spdx.packages.length);
      // Every folder of a package in the bundle is a component.
      for (const scope of readdirSync(join(folder, 'node_modules'))) {
        const inside = scope.startsWith('@') ? readdirSync(join(folder, 'node_modules', scope)) : [''];
        for (const name of inside) expect(names).toContain(name === '' ? scope : `${scope}/${name}`);
      }
      expect(readdirSync(join(folder, 'licenses')).sort()).toEqual([
        ...[
          'bpf-objects.txt',
          'libbpf.txt',
          'libelf-GPL-2.0.txt',
          'libelf-LGPL-3.0.txt',
          'node.txt',
          'zlib.txt',
        ],
      ]);
      const provenance = JSON.parse(readFileSync(join(folder, 'PROVENANCE.json'), 'utf8')) as {
        subject: { name: string; digest: { sha256: string } }[];
      };
      expect(provenance.subject.map(({ name }) => name)).toContain('native/libbpf.so');
    });

    test('machine code is as it was published, and libbpf needs glibc 2.28 at most', () => {
      const folder = bundle();
      const native = `node_modules/@duckdb/node-bindings-linux-${process.arch}/libduckdb.so`;
      expect(readFileSync(join(folder, native)).equals(readFileSync(join(PACKAGE_ROOT, native)))).toBe(true);
      const libbpf = readFileSync(join(folder, 'native/libbpf.so'), 'latin1');
      const wanted = [...libbpf.matchAll(/GLIBC_2\.(\d+)/g)].map(([, minor]) => Number(minor));
      expect(Math.max(...wanted)).toBeLessThanOrEqual(28);
      expect(libbpf).not.toMatch(/libelf\.so|libz\.so/);
    });

    test('take the room docs/packages.md says, and hold what it lists', () => {
      const page = readFileSync(join(PACKAGE_ROOT, 'docs/packages.md'), 'utf8');
      const documented = Number(/(\d+) MB on disk/.exec(page)?.[1]);
      const mb = Number(execFileSync('du', ['-sb', bundle()], { encoding: 'utf8' }).split('\t')[0]) / 1e6;
      expect(Math.abs(mb - documented) / documented).toBeLessThan(0.1);
      const listed = [...page.matchAll(/^\| `([^`]+)`/gm)].map(([, path]) =>
        (path as string).replace(/\/$/, ''),
      );
      expect(listed.sort()).toEqual(readdirSync(bundle()).sort());
    });

    test.skipIf(!ROOT_USER)('npm install --global works without a network', { timeout: PATIENCE_MS }, () => {
      const prefix = join(work, 'npm');
      const cache = join(work, 'npm-cache');
      const [file, options] = [
        named(/\.npm\.tgz$/),
        ['--offline', '--ignore-scripts', '--no-audit', '--no-fund'],
      ];
      const npm = ['npm', 'install', '--global', '--prefix', prefix, '--cache', cache, ...options, file];
      execFileSync('unshare', ['-n', ...npm], { stdio: 'pipe' });
      const asked = spawnSync(
        join(prefix, 'bin/ingero'),
        ['query', FIXTURE, 'SELECT 42 AS answer', '--format', 'csv'],
        {
          encoding: 'utf8',
        },
      );
      expect(asked).toMatchObject({ status: 0, stdout: expect.stringMatching(/^answer\r?\n42\r?\n$/) });
    });

    const packages = { version, folder: first, keys, named, bundle };
    describeSingle(packages);
    describeSignedRelease(packages);
    describeArm64(packages, build);

    describe.skipIf(!ROOT_USER)('in a clean root', () => {
      const root = join(work, 'root');
      const mounts = ['proc', 'sys', 'dev'];
      const inside = (...command: string[]) =>
        spawnSync('chroot', [root, 'env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', ...command], {
          encoding: 'utf8',
        });
      const ours = (): string[] =>
        [
          ...['usr/bin', 'usr/lib', 'usr/share/doc', 'usr/lib/systemd/system', 'usr/lib/sysusers.d'],
          ...['usr/share/man/man8', 'usr/share/bash-completion/completions', 'etc', 'var/cache'],
        ].flatMap((folder) =>
          existsSync(join(root, folder))
            ? readdirSync(join(root, folder)).filter((name) => /ingero/.test(name))
            : [],
        );
      beforeAll(() => {
        execFileSync('sh', [join(PACKAGE_ROOT, 'packaging/packages/clean-root.sh'), root]);
        for (const name of mounts) {
          execFileSync('mount', ['--rbind', `/${name}`, join(root, name)]);
          execFileSync('mount', ['--make-rslave', join(root, name)]);
        }
        execFileSync('sh', [join(PACKAGE_ROOT, 'test/workload/build.sh'), join(work, 'workload')]);
        cpSync(join(work, 'workload'), join(root, 'opt/workload'), { recursive: true });
      });
      afterAll(() => {
        for (const name of mounts) spawnSync('umount', ['-R', join(root, name)]);
      });

      /** Whether what was installed checks the host, traces and answers. `files`: those of `ours`. */
      const expectToWork = (files: readonly string[]): void => {
        expect(ours()).toEqual(files);
        expect(statSync(join(root, 'usr/lib/ingero/lib/ingero.js')).uid).toBe(0);
        const check = inside('ingero', 'check', '--json');
        expect(check).toMatchObject({ status: 0, stderr: '' });
        expect(check.stdout).toContain('/usr/lib/ingero/native/libbpf.so');
        rmSync(join(root, 'tmp/run.duckdb'), { force: true });
        const command = ['/opt/workload/gpu-scenarios', 'steady', '5'];
        expect(inside('ingero', 'trace', '--out', '/tmp/run.duckdb', '--', ...command)).toMatchObject({
          status: 0,
          stderr: '',
        });
        const lost = inside('ingero', 'run-query', 'what-was-lost', '/tmp/run.duckdb', '--format', 'json');
        expect(lost.stderr).toBe('');
        expect((JSON.parse(lost.stdout) as unknown[])[0]).toMatchObject({ verdict: 'complete' });
      };
      const UNITS = ['ingero-trace.service', 'ingero.conf', 'ingero.8', 'ingero'];

      test('the Debian package is installed, checks, traces, answers, and leaves nothing when it is removed', {
        timeout: PATIENCE_MS,
      }, () => {
        cpSync(named(/\.deb$/), join(root, 'tmp/ingero.deb'));
        expect(inside('dpkg', '-i', '/tmp/ingero.deb')).toMatchObject({ status: 0 });
        expectToWork(['ingero', 'ingero', 'ingero', ...UNITS]);
        expect(inside('dpkg', '-r', 'ingero')).toMatchObject({ status: 0 });
        expect(ours()).toEqual([]);
      });

      describe.skipIf(!RPM)('the RPM package', () => {
        const rpm = (...args: string[]) => spawnSync('rpm', args, { encoding: 'utf8' });
        const installed = ['--root', root, '--dbpath', '/var/lib/rpm'];

        test('is installed, checks, traces, answers, and leaves nothing when it is removed', {
          timeout: PATIENCE_MS,
        }, () => {
          // The libraries of this root are Debian's: rpm does not know of them.
          expect(rpm(...installed, '--install', '--nodeps', named(/\.rpm$/)).status).toBe(0);
          expectToWork(['ingero', 'ingero', ...UNITS]);
          // Digest, mode and owner of every file, as the package has them.
          expect(rpm(...installed, '--verify', '--nodeps', 'ingero')).toMatchObject({
            status: 0,
            stdout: '',
          });
          expect(rpm(...installed, '--erase', 'ingero').status).toBe(0);
          expect(ours()).toEqual([]);
        });

        test('runs no script, belongs to root, and nobody else may write to its files', () => {
          const file = named(/\.rpm$/);
          expect(rpm('--query', '--package', '--scripts', '--triggers', file).stdout).toBe('');
          const { stdout } = rpm('--query', '--package', '--queryformat', FILES, file);
          const files = stdout.trim().split('\n');
          expect(files.length).toBeGreaterThan(100);
          const plain = /^(?:40755|100644|100755|120777) root root \/usr\//;
          expect(files.filter((line) => !plain.test(line))).toEqual([]);
          const programs = files.filter((line) => line.startsWith('100755'));
          expect(programs.map((line) => line.slice('100755 root root /usr/lib/ingero/'.length))).toEqual([
            ...['bin/ingero', 'runtime/node', 'service/trace-round'],
          ]);
        });

        test('requires the libraries its files need, by the names RPM gives them', () => {
          const { stdout } = rpm('--query', '--package', '--requires', named(/\.rpm$/));
          const required = stdout
            .trim()
            .split('\n')
            .filter((name) => !name.startsWith('rpmlib('))
            .sort();
          expect(required).toEqual([
            ...['libc.so.6(GLIBC_2.28)(64bit)', 'libgcc_s.so.1()(64bit)'],
            'libstdc++.so.6(CXXABI_1.3.11)(64bit)',
          ]);
          const libraries = execFileSync('ldd', [join(bundle(), 'runtime/node')], { encoding: 'utf8' });
          const provided = spawnSync('/usr/lib/rpm/find-provides', {
            input: [...libraries.matchAll(/=> (\S+)/g)]
              .map(([, path]) => realpathSync(path as string))
              .join('\n'),
            encoding: 'utf8',
          });
          expect(provided.stdout.trim().split('\n')).toEqual(expect.arrayContaining(required));
        });
      });
    });
  },
);
