/**
 * Writes manual pages and completions, laid out as below /usr/share.
 *
 * Usage: node packaging/shell/build.mjs [DIRECTORY]      (default: build/share; needs a fresh oclif.manifest.json and dist/)
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ROOT } from '../packages/root.mjs';
import { bash, fish, zsh } from './completions.mjs';
import { manualPages } from './man.mjs';

const out = resolve(process.argv[2] ?? join(ROOT, 'build/share'));
rmSync(out, { recursive: true, force: true });
for (const [path, text] of [
  ...manualPages().map(([path, text]) => [`man/${path}`, text]),
  ['bash-completion/completions/ingero', bash()],
  ['zsh/site-functions/_ingero', zsh()],
  ['fish/vendor_completions.d/ingero.fish', fish()],
]) {
  mkdirSync(dirname(join(out, path)), { recursive: true });
  writeFileSync(join(out, path), text);
}
