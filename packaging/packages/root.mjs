import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the checkout, and what it says of itself. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
export const PACKAGE = readJson(join(ROOT, 'package.json'));
export const LOCK = readJson(join(ROOT, 'package-lock.json')).packages;

/** Time all files carry, in seconds: SOURCE_DATE_EPOCH, else that of the commit. */
export const EPOCH = process.env.SOURCE_DATE_EPOCH ?? git('log', '-1', '--format=%ct');
/** The commit, with a sign when files differ from it. */
export const COMMIT = git('describe', '--always', '--dirty', '--abbrev=40', '--exclude=*');

function git(...args) {
  return execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
}
