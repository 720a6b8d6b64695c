/** npm packages as their publishers made them, kept in build/cache: what is there is not fetched again. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './root.mjs';

const CACHE = join(ROOT, 'build/cache/npm');

/** Path of the tarball of `name@version`; throws when its bytes are not those that were pinned. */
export function fetchTarball(name, version, integrity) {
  const path = join(CACHE, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
  if (!existsSync(path)) {
    const partial = join(CACHE, `partial-${process.pid}`);
    mkdirSync(partial, { recursive: true });
    const file = execFileSync(
      'npm',
      ['pack', '--silent', '--prefer-offline', '--pack-destination', partial, `${name}@${version}`],
      { encoding: 'utf8', cwd: partial },
    ).trim();
    renameSync(join(partial, file), path);
    rmSync(partial, { recursive: true });
  }
  const found = `sha512-${createHash('sha512').update(readFileSync(path)).digest('base64')}`;
  if (found !== integrity) throw new Error(`${name}@${version}: expected ${integrity}, found ${found}`);
  return path;
}

/** Unpacks members of a npm tarball, without its leading folder. */
export function unpack(tarball, to, ...members) {
  mkdirSync(to, { recursive: true });
  const wanted = members.map((member) => `package/${member}`);
  execFileSync('tar', ['-xzf', tarball, '-C', to, '--strip-components=1', '--no-same-owner', ...wanted]);
}
