/**
 * Writes oclif.manifest.json, the description of every command that oclif reads instead of loading them all,
 * from the compiled commands in dist/. With --check it writes nothing and fails when the file is stale.
 *
 * Usage: node packaging/manifest.mjs [--check] [PACKAGE_ROOT]     (after `npm run build`)
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Plugin } from '@oclif/core';

const check = process.argv.includes('--check');
const ROOT =
  process.argv.slice(2).find((word) => word !== '--check') ?? fileURLToPath(new URL('..', import.meta.url));
const MANIFEST = join(ROOT, 'oclif.manifest.json');

/**
 * The manifest of the commands in `dist/`, as text. Commands are sorted, since a folder is read in any order; flags
 * and arguments keep the order of the source, which is the order of arguments on a command line.
 */
async function render() {
  const plugin = new Plugin({
    root: ROOT,
    type: 'core',
    isRoot: true,
    ignoreManifest: true,
    errorOnManifestCreate: true,
    respectNoCacheDefault: true,
  });
  await plugin.load();
  const { commands, version } = plugin.manifest;
  const sorted = Object.entries(commands).sort(([a], [b]) => (a < b ? -1 : 1));
  return `${JSON.stringify({ commands: Object.fromEntries(sorted), version }, null, 2)}\n`;
}

const text = await render();
if (check) {
  const committed = readFileSync(MANIFEST, 'utf8');
  if (committed !== text) {
    console.error(
      'oclif.manifest.json does not describe the commands in src/commands; run `npm run manifest`.',
    );
    process.exit(1);
  }
} else {
  writeFileSync(MANIFEST, text);
}
