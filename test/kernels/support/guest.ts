import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../../src/paths.js';
import { type DebianArch, downloadPackage } from '../../support/debian-package.js';
import { kernelImage } from './kernel-image.js';

export type Arch = 'x64' | 'arm64';

const DEBIAN: Readonly<Record<Arch, DebianArch>> = { x64: 'amd64', arm64: 'arm64' };
/** The machine to emulate, and its console. PAC by an algorithm of QEMU's own is several times faster. */
const MACHINES: Readonly<Record<Arch, { program: string; args: readonly string[]; console: string }>> = {
  x64: { program: 'qemu-system-x86_64', args: ['-machine', 'q35', '-cpu', 'max'], console: 'ttyS0' },
  arm64: {
    program: 'qemu-system-aarch64',
    args: ['-machine', 'virt', '-cpu', 'max,pauth-impdef=on'],
    console: 'ttyAMA0',
  },
};
const MEMORY_MB = 3072;
const LIMIT_MS = 800_000;

/** What a guest has beside ingero and the workload: packages of Debian 12, and which of their files. */
const PACKAGES: Readonly<Record<string, string>> = {
  libc6: './lib*',
  'libstdc++6': './usr/lib/*/libstdc++*',
  'libgcc-s1': './lib/*',
  'busybox-static': './bin/busybox',
  // Its setpriv hands over ambient capabilities; the one of busybox changes no user.
  'util-linux': './usr/bin/setpriv',
  'libcap-ng0': '*/libcap-ng.so*',
};

/** What a command of a guest left. */
export interface StepResult {
  status: number;
  stdout: string;
  stderr: string;
}

export interface GuestRun {
  steps: Readonly<Record<string, StepResult>>;
  /** Folder of the files steps wrote into their working directory. */
  folder: string;
}

/** A root file system with the folder package of ingero, the workload and a capture, for every kernel of an architecture. */
export class Guest {
  readonly #dir = mkdtempSync(join(tmpdir(), 'ingero-guest-'));
  readonly #base = join(this.#dir, 'base.cpio.gz');
  readonly #arch: Arch;

  constructor(arch: Arch) {
    this.#arch = arch;
    const root = join(this.#dir, 'root');
    cpSync(systemFiles(arch), root, { recursive: true, verbatimSymlinks: true });
    const packages = join(this.#dir, 'packages');
    const build = join(PACKAGE_ROOT, 'packaging/packages/build.mjs');
    execFileSync(process.execPath, [build, '--arch', arch, '--out', packages, 'tar'], { stdio: 'pipe' });
    const bundle = readdirSync(packages).find((name) => name.endsWith('.tar.gz')) as string;
    const ingero = join(root, 'opt/ingero');
    mkdirSync(ingero, { recursive: true });
    execFileSync('tar', ['-xzf', join(packages, bundle), '-C', ingero, '--strip-components=1']);
    execFileSync('sh', [join(PACKAGE_ROOT, 'test/workload/build.sh'), join(root, 'opt/workload')], {
      env: { ...process.env, ...(arch === process.arch ? {} : { CC: 'aarch64-linux-gnu-gcc' }) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    mkdirSync(join(root, 'etc'), { recursive: true });
    writeFileSync(
      join(root, 'etc/passwd'),
      'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n',
    );
    copyFileSync(join(PACKAGE_ROOT, 'test/fixtures/demo-v1.duckdb'), join(root, 'opt/recorded.duckdb'));
    copyFileSync(join(import.meta.dirname, 'init.sh'), join(root, 'init'));
    chmodSync(join(root, 'init'), 0o755);
    pack(root, this.#base);
  }

  /**
   * Boots the newest kernel of a Debian suite, the one for virtual machines unless another flavour is named, and runs shell
   * commands one after the other, by name.
   */
  boot(
    suite: string,
    commands: Readonly<Record<string, string>>,
    flavour = `cloud-${DEBIAN[this.#arch]}`,
  ): GuestRun {
    const work = mkdtempSync(join(this.#dir, 'boot-'));
    const steps = join(work, 'root/steps');
    mkdirSync(steps, { recursive: true });
    // Named so that the shell lists them in their order.
    const named = Object.keys(commands).map(
      (name, index) => [name, `${String(index).padStart(2, '0')}-${name}`] as const,
    );
    for (const [name, file] of named) writeFileSync(join(steps, file), `${commands[name]}\n`);
    pack(join(work, 'root'), join(work, 'steps.cpio.gz'));
    // The kernel unpacks archives that follow each other (Documentation/driver-api/early-userspace/buffer-format.rst).
    const initrd = join(work, 'initrd');
    writeFileSync(
      initrd,
      Buffer.concat([readFileSync(this.#base), readFileSync(join(work, 'steps.cpio.gz'))]),
    );
    const { program, args, console } = MACHINES[this.#arch];
    const { stdout, stderr } = spawnSync(
      program,
      [
        ...[...args, '-accel', 'tcg,thread=multi', '-m', String(MEMORY_MB), '-smp', '2'],
        ...['-nographic', '-no-reboot', '-net', 'none'],
        ...['-kernel', kernelImage(suite, flavour, DEBIAN[this.#arch]), '-initrd', initrd],
        // Preemptible wherever the kernel can be: what a program may meet anywhere. An oops ends the guest.
        ...['-append', `console=${console} quiet loglevel=1 preempt=full oops=panic panic=-1`],
      ],
      { encoding: 'utf8', timeout: LIMIT_MS, maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const archive = /@@results\r?\n([\s\S]*?)@@end/.exec(stdout)?.[1];
    if (archive === undefined) {
      throw new Error(
        `the guest with the kernel of ${suite} sent no results: ${stderr}${stdout.slice(-2000)}`,
      );
    }
    const folder = join(work, 'out');
    mkdirSync(folder);
    execFileSync('tar', ['-xz', '-C', folder], { input: Buffer.from(archive, 'base64') });
    const results = named.map(([name, file]) => {
      const left = (kind: string): string => readFileSync(join(folder, `${file}.${kind}`), 'utf8');
      return [
        name,
        { status: Number(left('status')), stdout: left('stdout'), stderr: left('stderr') },
      ] as const;
    });
    return { steps: Object.fromEntries(results), folder };
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Folder of the files of PACKAGES, fetched where they are missing. */
function systemFiles(arch: Arch): string {
  const folder = join(PACKAGE_ROOT, 'build/kernels', `system-${arch}`);
  if (existsSync(folder)) return folder;
  const partial = `${folder}.partial-${process.pid}`;
  try {
    for (const [name, files] of Object.entries(PACKAGES)) {
      const fetched = join(partial, 'fetched', name);
      mkdirSync(fetched, { recursive: true });
      mkdirSync(join(partial, 'root'), { recursive: true });
      const deb = downloadPackage(
        { suite: 'bookworm', component: 'main', package: name, arch: DEBIAN[arch] },
        fetched,
      );
      const unpack = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --wildcards "$3"';
      execFileSync('sh', ['-c', unpack, 'sh', deb, join(partial, 'root'), files], { stdio: 'pipe' });
    }
    renameSync(join(partial, 'root'), folder);
    return folder;
  } finally {
    rmSync(partial, { recursive: true, force: true });
  }
}

/** Packs a folder as the kernel reads it at boot: cpio, format "newc". Files belong to root. */
function pack(folder: string, file: string): void {
  const command = 'cd "$1" && find . | cpio -o -H newc --quiet --owner=0:0 | gzip -1 >"$2"';
  execFileSync('sh', ['-c', command, 'sh', folder, file], { stdio: 'pipe' });
}
