import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { BuiltPackages } from './built-packages.js';

const PATIENCE_MS = 300_000;

/** What `npm run package -- --key` signs. */
export function describeSignedRelease({ version, folder, keys, named, bundle }: BuiltPackages): void {
  describe('the signed release', () => {
    const work = mkdtempSync(join(tmpdir(), 'ingero-signed-'));
    chmodSync(work, 0o755);
    afterAll(() => rmSync(work, { recursive: true, force: true }));
    const run = (...args: string[]) =>
      spawnSync(join(bundle(), 'bin/ingero'), [...args, '--trust', keys.trust, '--json'], {
        encoding: 'utf8',
      });
    const packages = readdirSync(folder).filter((name) => !name.startsWith('SHA256SUMS'));

    test('verify names the signer, and finds every package as it was', () => {
      const { status, stdout } = run('verify', join(folder, 'SHA256SUMS'));
      expect(status).toBe(0);
      const { outcome, files } = JSON.parse(stdout) as {
        outcome: string;
        files: { signature: { signer: string }; listed: { name: string; state: string }[] }[];
      };
      expect([outcome, files[0]?.signature.signer]).toEqual(['good', 'release']);
      expect(files[0]?.listed.map(({ name, state }) => [name, state])).toEqual(
        packages.map((name) => [name, 'same']),
      );
    });

    test('plain openssl and sha256sum say the same', () => {
      const script = `sed -n 's/^signature: //p' SHA256SUMS.sig | openssl base64 -d -A > "$2/sums.der" &&
        openssl dgst -sha256 -verify "$1" -signature "$2/sums.der" SHA256SUMS && sha256sum --check --quiet --strict SHA256SUMS`;
      const checked = spawnSync('sh', ['-c', script, 'sh', keys.publicKey, work], {
        cwd: folder,
        encoding: 'utf8',
      });
      expect(checked).toMatchObject({ status: 0, stdout: 'Verified OK\n', stderr: '' });
    });

    test('mirror verify takes the folder, and not one that lacks a package', () => {
      const whole = run('mirror', 'verify', folder);
      expect(whole.status).toBe(0);
      expect(JSON.parse(whole.stdout)).toMatchObject({
        verification: { outcome: 'good' },
        bundles: [{ version, arch: process.arch }],
        unlisted: [],
      });
      const text = spawnSync(named(/\.bin$/), ['mirror', 'verify', folder, '--trust', keys.trust], {
        encoding: 'utf8',
        env: { PATH: '/usr/bin:/bin', INGERO_UNPACK_DIR: join(work, 'unpacked') },
      });
      expect(text.stderr).toBe('');
      expect(text.stdout).toContain(`package    ${version} linux-${process.arch}\n`);

      const part = join(work, 'part');
      mkdirSync(part);
      for (const name of ['SHA256SUMS', 'SHA256SUMS.sig', basename(named(/\.npm\.tgz$/))])
        cpSync(join(folder, name), join(part, name));
      expect(run('mirror', 'verify', part).status).toBe(12);
    });

    test('update installs the folder package from it, and no other', { timeout: PATIENCE_MS }, () => {
      const root = join(work, 'opt');
      const other = run('update', '--from', named(/\.bin$/), '--root', root);
      expect([other.status, JSON.parse(other.stdout).error.code]).toEqual([15, 'update-missing']);
      expect(run('update', '--from', folder, '--root', root)).toMatchObject({ status: 0 });
      const shown = execFileSync(join(root, 'current/bin/ingero'), ['--version'], { encoding: 'utf8' });
      expect(shown).toContain(`ingero/${version} `);
    });
  });
}
