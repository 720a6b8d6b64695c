import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readTrustStore } from '../../src/trust/trust-store.js';
import { Installation } from '../../src/update/installation.js';
import { readMirror } from '../../src/update/mirror.js';
import { applyUpdate, planUpdate, type UpdatePlan } from '../../src/update/update.js';
import { available } from '../packs/support/tools.js';
import { buildCli, type Cli, type RunResult } from '../support/cli.js';
import { type KeyFiles, makeKeys } from '../support/keys.js';

/** `sha256sum` of files, as the packages have it. */
function sums(folder: string, names: readonly string[]): string {
  return names
    .map(
      (name) =>
        `${createHash('sha256')
          .update(readFileSync(join(folder, name)))
          .digest('hex')}  ${name}\n`,
    )
    .join('');
}

describe('ingero update', () => {
  let cli: Cli;
  let dir: string;
  let keys: KeyFiles;
  let root: string;
  let mirrors = 0;
  beforeAll(async () => {
    cli = await buildCli();
    dir = mkdtempSync(join(tmpdir(), 'ingero-update-'));
    chmodSync(dir, 0o755);
    keys = makeKeys(dir, 'releases');
  });
  beforeEach(() => {
    root = mkdtempSync(join(dir, 'root-'));
  });
  afterAll(() => {
    cli?.remove();
    rmSync(dir, { recursive: true, force: true });
  });

  /** A package as they are made: a program that says its version, some weight, digests of both. */
  function bundle(mirror: string, version: string, arch = process.arch as string, weight = 1000): void {
    const name = `ingero-${version}-linux-${arch}`;
    const folder = join(mirror, name);
    mkdirSync(join(folder, 'bin'), { recursive: true });
    writeFileSync(join(folder, 'bin/ingero'), `#!/bin/sh\necho ${version}\n`, { mode: 0o755 });
    writeFileSync(join(folder, 'weight'), randomBytes(weight));
    writeFileSync(join(folder, 'SHA256SUMS'), sums(folder, ['bin/ingero', 'weight']));
    execFileSync('tar', ['-C', mirror, '-czf', join(mirror, `${name}.tar.gz`), name]);
    rmSync(folder, { recursive: true });
  }

  /** Lists and signs what a folder of releases has. */
  async function sign(mirror: string, key = keys.key): Promise<void> {
    rmSync(join(mirror, 'SHA256SUMS.sig'), { force: true });
    const names = readdirSync(mirror).filter((name) => name.endsWith('.tar.gz'));
    writeFileSync(join(mirror, 'SHA256SUMS'), sums(mirror, names));
    expect((await cli.run(['sign', join(mirror, 'SHA256SUMS'), '--key', key])).code).toBe(0);
  }

  async function release(...versions: string[]): Promise<string> {
    const mirror = join(dir, `mirror-${mirrors++}`);
    mkdirSync(mirror);
    for (const version of versions) bundle(mirror, version);
    await sign(mirror);
    return mirror;
  }

  const update = (...args: string[]): Promise<RunResult> =>
    cli.run(['update', '--json', '--root', root, '--trust', keys.trust, ...args]);
  const error = ({ stdout }: RunResult): string =>
    (JSON.parse(stdout) as { error: { code: string } }).error.code;
  const inUse = (): string => execFileSync(join(root, 'current/bin/ingero'), { encoding: 'utf8' }).trim();

  test('installs the newest for this platform, again newer ones, and goes back', async () => {
    const mirror = await release('1.9.0', '1.10.0');
    bundle(mirror, '9.9.9', 'arm64' === process.arch ? 'x64' : 'arm64');
    await sign(mirror);
    const dry = await update('--from', mirror, '--dry-run');
    expect(JSON.parse(dry.stdout)).toMatchObject({
      from: null,
      to: `ingero-1.10.0-linux-${process.arch}`,
      changed: false,
    });
    expect(readdirSync(root)).toEqual([]);

    const first = await update('--from', mirror);
    expect(JSON.parse(first.stdout)).toMatchObject({ changed: true, signer: 'releases' });
    expect(inUse()).toBe('1.10.0');
    expect(JSON.parse((await update('--from', mirror)).stdout)).toMatchObject({ changed: false });

    expect((await update('--from', await release('2.0.0'))).code).toBe(0);
    expect(inUse()).toBe('2.0.0');
    expect((await update('--rollback')).code).toBe(0);
    expect(inUse()).toBe('1.10.0');
    expect((await update('--from', await release('2.0.0'))).code).toBe(0);
    expect(inUse()).toBe('2.0.0');
    const audit = readFileSync(join(root, 'updates.log'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(audit).toMatchObject([
      {
        action: 'update',
        from: null,
        signer: 'releases',
        sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
        uid: process.getuid?.(),
      },
      { action: 'update' },
      { action: 'rollback', sha256: null },
      { action: 'update' },
    ]);
    expect(readdirSync(join(root, 'versions')).sort()).toEqual(
      ['1.10.0', '2.0.0'].map((version) => `ingero-${version}-linux-${process.arch}`),
    );
  });

  test('a version that lies there is not believed: it is unpacked again; leftovers of another one go', async () => {
    expect((await update('--from', await release('1.0.0'))).code).toBe(0);
    const mirror = await release('1.1.0');
    expect((await update('--from', mirror)).code).toBe(0);
    expect((await update('--rollback')).code).toBe(0);
    const name = `ingero-1.1.0-linux-${process.arch}`;
    writeFileSync(join(root, 'versions', name, 'bin/ingero'), '#!/bin/sh\necho evil\n');
    mkdirSync(join(root, 'versions', `ingero-0.5.0-linux-${process.arch}.partial`));
    // A line that was cut off, on a full disk for example.
    appendFileSync(join(root, 'updates.log'), '{"at":"20');
    const mask = process.umask(0o077);
    try {
      expect((await update('--from', mirror)).code).toBe(0);
    } finally {
      process.umask(mask);
    }
    expect(inUse()).toBe('1.1.0');
    expect(readdirSync(join(root, 'versions')).sort()).toEqual([`ingero-1.0.0-linux-${process.arch}`, name]);
    // Other users run it too, whatever the umask of the one who installs.
    const modes = ['', 'bin', 'bin/ingero', 'weight'].map((path) =>
      (statSync(join(root, 'versions', name, path)).mode & 0o777).toString(8),
    );
    expect(modes).toEqual(['755', '755', '755', '644']);
    expect((await update('--rollback')).code).toBe(0);
    expect(inUse()).toBe('1.0.0');
  });

  test('one package by its path, and as text', async () => {
    const mirror = await release('1.0.0', '1.1.0');
    const one = join(mirror, `ingero-1.0.0-linux-${process.arch}.tar.gz`);
    const told = await cli.run(['update', '--root', root, '--trust', keys.trust, '--from', one]);
    expect(told.stdout).toBe(
      `${root}: 1.0.0 is in use; before it nothing, signed by releases.\nThe command is ${root}/current/bin/ingero.\n`,
    );
    expect(inUse()).toBe('1.0.0');
  });

  describe('refuses, and leaves what is in use as it was:', () => {
    let before: string;
    beforeEach(async () => {
      before = await release('1.0.0');
      expect((await update('--from', before)).code).toBe(0);
    });

    async function refusal(mirror: string, code: string, ...args: string[]): Promise<void> {
      const result = await update('--from', mirror, ...args);
      expect({ exit: result.code, code: error(result) }).toEqual({ exit: 15, code });
      expect(inUse()).toBe('1.0.0');
      expect(readdirSync(join(root, 'versions'))).toHaveLength(1);
    }

    test('an unsigned list', async () => {
      const mirror = await release('1.1.0');
      rmSync(join(mirror, 'SHA256SUMS.sig'));
      await refusal(mirror, 'update-unverified');
    });

    test('a list signed by somebody else', async () => {
      const mirror = await release('1.1.0');
      await sign(mirror, makeKeys(mkdtempSync(join(dir, 'eve-')), 'eve').key);
      await refusal(mirror, 'update-unverified');
    });

    test('a list, a package that was altered, cut short or is missing', async () => {
      for (const change of [
        (mirror: string, _: string) => appendFileSync(join(mirror, 'SHA256SUMS'), '\n'),
        (_: string, file: string) => appendFileSync(file, 'x'),
        (_: string, file: string) => truncateSync(file, 300),
        (_: string, file: string) => rmSync(file),
      ]) {
        const mirror = await release('1.1.0');
        change(mirror, join(mirror, `ingero-1.1.0-linux-${process.arch}.tar.gz`));
        await refusal(mirror, 'update-unverified');
      }
    });

    test('a package that is damaged, though its maker signed it', async () => {
      const mirror = join(dir, `mirror-${mirrors++}`);
      const name = `ingero-1.1.0-linux-${process.arch}`;
      mkdirSync(join(mirror, name), { recursive: true });
      writeFileSync(join(mirror, name, 'file'), 'one');
      writeFileSync(join(mirror, name, 'SHA256SUMS'), sums(join(mirror, name), ['file']));
      writeFileSync(join(mirror, name, 'file'), 'another');
      execFileSync('tar', ['-C', mirror, '-czf', join(mirror, `${name}.tar.gz`), name]);
      await sign(mirror);
      await refusal(mirror, 'update-damaged');
      execFileSync('tar', ['-C', join(mirror, name), '-czf', join(mirror, `${name}.tar.gz`), 'file']);
      await sign(mirror);
      await refusal(mirror, 'update-damaged');
    });

    /** Verifies and plans the update from a folder, and returns what carries it out. */
    const planned = async (mirror: string): Promise<() => Promise<void>> => {
      const installation = new Installation(root);
      const store = readTrustStore([keys.trust]);
      const plan = planUpdate(await readMirror(mirror, store), installation, {
        arch: process.arch,
        allowDowngrade: false,
        signers: null,
      });
      return () => applyUpdate(plan as UpdatePlan, installation, store);
    };

    test('a package that was exchanged after it was verified, however sound', async () => {
      const mirror = await release('1.1.0');
      const apply = await planned(mirror);
      bundle(mirror, '1.1.0');
      await expect(apply()).rejects.toMatchObject({
        code: 'update-damaged',
      });
      expect(inUse()).toBe('1.0.0');
      expect(readdirSync(join(root, 'versions'))).toHaveLength(1);
    });

    test('a package that is another one when it is read a second time', async () => {
      const mirror = await release('1.1.0');
      const name = `ingero-1.1.0-linux-${process.arch}.tar.gz`;
      const apply = await planned(mirror);
      const good = join(mirror, 'good');
      renameSync(join(mirror, name), good);
      bundle(mirror, '1.1.0');
      const evil = join(mirror, 'evil');
      renameSync(join(mirror, name), evil);
      execFileSync('mkfifo', [join(mirror, name)]);
      const medium = spawn(
        'sh',
        ['-c', 'cat "$0" > "$2"; sleep 0.3; exec cat "$1" > "$2"', evil, good, name],
        {
          cwd: mirror,
        },
      );
      try {
        await expect(apply()).rejects.toMatchObject({
          code: 'update-damaged',
        });
      } finally {
        medium.kill('SIGKILL');
      }
      expect(inUse()).toBe('1.0.0');
    });

    test('another update that is at it', async () => {
      const mirror = await release('1.1.0');
      const lock = join(root, 'updates.lock');
      expect(statSync(lock).mode & 0o777).toBe(0o600);
      const other = spawn('flock', ['-F', lock, 'sh', '-c', 'echo held; exec sleep 30']);
      try {
        await new Promise((held) => other.stdout.once('data', held));
        await refusal(mirror, 'update-busy');
        const back = await update('--rollback');
        expect({ exit: back.code, code: error(back) }).toEqual({ exit: 15, code: 'update-busy' });
      } finally {
        other.kill('SIGKILL');
      }
    });

    test('an audit file that cannot be written to', async () => {
      rmSync(join(root, 'updates.log'));
      mkdirSync(join(root, 'updates.log'));
      const result = await update('--from', await release('1.1.0'));
      expect({ exit: result.code, code: error(result) }).toEqual({ exit: 5, code: 'output-unwritable' });
      expect(inUse()).toBe('1.0.0');
    });

    test.skipIf(process.getuid?.() !== 0)('a rollback by a user who may not', async () => {
      expect((await update('--from', await release('1.1.0'))).code).toBe(0);
      chmodSync(root, 0o755);
      const result = await cli.run(['update', '--json', '--root', root, '--rollback'], {
        uid: 65534,
        env: { HOME: '/' },
      });
      expect({ exit: result.code, code: error(result) }).toEqual({ exit: 5, code: 'output-unwritable' });
      expect(inUse()).toBe('1.1.0');
    });

    test('a package that climbs out of its folder', async () => {
      const mirror = join(dir, `mirror-${mirrors++}`);
      mkdirSync(mirror);
      const name = `ingero-1.1.0-linux-${process.arch}.tar.gz`;
      writeFileSync(join(dir, 'escaped'), 'x');
      execFileSync('tar', ['-P', '-C', mirror, '-czf', join(mirror, name), '../escaped']);
      rmSync(join(dir, 'escaped'));
      await sign(mirror);
      const result = await update('--from', mirror);
      expect(result.code).not.toBe(0);
      expect(existsSync(join(root, 'versions', 'escaped')) || existsSync(join(root, 'escaped'))).toBe(false);
      expect(inUse()).toBe('1.0.0');
    });

    test('an older version, unless told to', async () => {
      const mirror = await release('0.9.0');
      await refusal(mirror, 'update-downgrade');
      expect((await update('--from', mirror, '--allow-downgrade')).code).toBe(0);
      expect(inUse()).toBe('0.9.0');
    });

    test('another platform, a package that is not listed, a folder without a list, a URL', async () => {
      const mirror = join(dir, `mirror-${mirrors++}`);
      mkdirSync(mirror);
      bundle(mirror, '1.1.0', process.arch === 'x64' ? 'arm64' : 'x64');
      await sign(mirror);
      await refusal(mirror, 'update-platform');
      const other = await release('1.1.0');
      cpSync(
        join(before, `ingero-1.0.0-linux-${process.arch}.tar.gz`),
        join(other, 'ingero-1.2.0-linux-x64.tar.gz'),
      );
      await refusal(join(other, 'ingero-1.2.0-linux-x64.tar.gz'), 'update-missing');
      await refusal(root, 'mirror-unreadable');
      await refusal('https://mirror.example/ingero', 'mirror-unreadable');
    });

    test('nothing to go back to', async () => {
      const result = await update('--rollback');
      expect({ exit: result.code, code: error(result) }).toEqual({ exit: 15, code: 'no-previous' });
    });

    test.skipIf(process.getuid?.() !== 0)('a full disk', async () => {
      const mirror = join(dir, `mirror-${mirrors++}`);
      mkdirSync(mirror);
      bundle(mirror, '1.1.0', process.arch, 8 << 20);
      await sign(mirror);
      const small = mkdtempSync(join(dir, 'small-'));
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', small]);
      try {
        root = small;
        expect((await update('--from', before)).code).toBe(0);
        const full = await update('--from', mirror);
        expect({ exit: full.code, code: error(full) }).toEqual({ exit: 5, code: 'output-unwritable' });
        expect(inUse()).toBe('1.0.0');
        expect(readdirSync(join(small, 'versions'))).toEqual([`ingero-1.0.0-linux-${process.arch}`]);
      } finally {
        execFileSync('umount', [small]);
      }
    });

    test.skipIf(!available('strace', '-V'))(
      'killed at any step, the old version goes on, and the next attempt succeeds',
      async () => {
        const mirror = await release('1.1.0');
        // Every change of what is installed is one of these calls; the last one puts the new version into use.
        for (const calls of ['/^rename', '/^symlink']) {
          let killed = 0;
          while (true) {
            const inject = `inject=${calls}:signal=KILL:when=${killed + 1}`;
            const { status } = spawnSync('strace', [
              ...['-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`, '-e', inject],
              ...[
                process.execPath,
                cli.bin,
                'update',
                '--root',
                root,
                '--trust',
                keys.trust,
                '--from',
                mirror,
              ],
            ]);
            if (status !== null) {
              expect(status).toBe(0);
              break;
            }
            killed++;
            expect(inUse()).toBe('1.0.0');
          }
          expect(killed).toBeGreaterThan(calls === '/^rename' ? 3 : 0);
          expect(inUse()).toBe('1.1.0');
          expect(readlinkSync(join(root, 'current'))).toBe(`versions/ingero-1.1.0-linux-${process.arch}`);
          expect(readdirSync(join(root, 'versions'))).toHaveLength(2);
          expect((await update('--rollback')).code).toBe(0);
        }
      },
    );
  });

  test.skipIf(process.getuid?.() !== 0)('a folder that cannot be written to', async () => {
    const mirror = await release('1.0.0');
    chmodSync(root, 0o755);
    const result = await cli.run(
      ['update', '--json', '--root', join(root, 'x'), '--trust', keys.trust, '--from', mirror],
      { uid: 65534, env: { HOME: '/' } },
    );
    expect({ exit: result.code, code: error(result) }).toEqual({ exit: 5, code: 'output-unwritable' });
    expect(existsSync(join(root, 'x'))).toBe(false);
  });

  test('mirror verify names what is there, what is wrong, and what nobody vouches for', async () => {
    const mirror = await release('1.0.0', '1.1.0');
    writeFileSync(join(mirror, 'extra.txt'), '');
    const good = await cli.run(['mirror', 'verify', mirror, '--trust', keys.trust]);
    expect(good.code).toBe(0);
    expect(good.stdout).toContain(`  package    1.1.0 linux-${process.arch}\n  unlisted   extra.txt\n`);
    appendFileSync(join(mirror, `ingero-1.0.0-linux-${process.arch}.tar.gz`), 'x');
    const bad = await cli.run(['mirror', 'verify', mirror, '--trust', keys.trust, '--json']);
    expect(bad.code).toBe(12);
    expect(JSON.parse(bad.stdout)).toMatchObject({
      unlisted: ['extra.txt'],
      verification: { outcome: 'altered' },
    });
  });
});
