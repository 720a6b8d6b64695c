/**
 * Builds ingero as it is released: build/release/ with one launcher, a bundle of all JavaScript, the data it reads
 * and the native packages exactly as npm installed them (their files keep the digests their publishers know).
 * Equal sources give equal bytes.
 *
 * Usage: node packaging/bundle.mjs [DIRECTORY]     (needs a fresh oclif.manifest.json)
 */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleCode } from './code.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OUT = resolve(process.argv[2] ?? join(ROOT, 'build/release'));

/** Packages with machine code, or that look for it beside themselves. They are installed, not bundled. */
const NATIVE = ['koffi', '@koromix/', '@duckdb/node-bindings', 'detect-libc'];
/** Files and folders the commands read at run time. */
const DATA = [
  'probes',
  'schema',
  'queries',
  'docs',
  'oclif.manifest.json',
  'LICENSE',
  'NOTICE',
  'src/loader/bpf',
];

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const pkg = readJson(join(ROOT, 'package.json'));

/** Folders in node_modules of the packages that are installed as they are. */
function nativePackages() {
  const modules = join(ROOT, 'node_modules');
  return readdirSync(modules)
    .flatMap((name) =>
      name.startsWith('@') ? readdirSync(join(modules, name)).map((sub) => `${name}/${sub}`) : [name],
    )
    .filter((name) => NATIVE.some((native) => name.startsWith(native)));
}

/** Licence texts of every package with code in the bundle. */
function thirdPartyNotices(inputs) {
  const names = new Set(
    inputs.flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1] ?? []),
  );
  return [...names]
    .sort()
    .map((name) => {
      const folder = join(ROOT, 'node_modules', name);
      const { version, license } = readJson(join(folder, 'package.json'));
      const file = readdirSync(folder).find((entry) => /^licen[cs]e([.-]|$)/i.test(entry));
      const text = file === undefined ? '' : `\n\n${readFileSync(join(folder, file), 'utf8').trim()}`;
      return `${name} ${version} (${license})${text}\n`;
    })
    .join(`\n${'-'.repeat(80)}\n\n`);
}

rmSync(OUT, { recursive: true, force: true });
mkdirSync(join(OUT, 'bin'), { recursive: true });

const metafile = await bundleCode(join(OUT, 'lib'));

for (const path of DATA) cpSync(join(ROOT, path), join(OUT, path), { recursive: true });
for (const name of nativePackages()) {
  mkdirSync(dirname(join(OUT, 'node_modules', name)), { recursive: true });
  cpSync(join(ROOT, 'node_modules', name), join(OUT, 'node_modules', name), { recursive: true });
}
writeFileSync(join(OUT, 'THIRD-PARTY-LICENSES.txt'), thirdPartyNotices(Object.keys(metafile.inputs)));

const { name, version, description, license, type, engines, os, oclif, dependencies } = pkg;
const kept = Object.fromEntries(
  Object.entries(dependencies).filter(([name]) => NATIVE.some((native) => name.startsWith(native))),
);
writeFileSync(
  join(OUT, 'package.json'),
  `${JSON.stringify({ name, version, description, license, type, engines, os, oclif, dependencies: kept }, null, 2)}\n`,
);
cpSync(join(ROOT, 'packaging/release/ingero.sh'), join(OUT, 'bin/ingero'));
chmodSync(join(OUT, 'bin/ingero'), 0o755);
if (!existsSync(join(OUT, 'lib/recorder-worker.js')))
  throw new Error('the recorder worker is not in the bundle');
