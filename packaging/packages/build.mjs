/**
 * Builds packages into build/packages/, with a list of digests that can be signed. Needs network for what build/cache
 * lacks, and no network when it is all there; --fetch brings it there and builds nothing.
 *
 * Usage: npm run package -- [--arch x64|arm64] [--fetch] [--key KEY.pem] [tar|deb|npm|single|rpm ...]
 * (default: all but rpm)
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeDeb, makeNpm, makeRpm, makeTar } from './formats.mjs';
import { ROOT } from './root.mjs';
import { makeSingle } from './single.mjs';
import { digestOf, fetchInputs, stage } from './stage.mjs';

const FORMATS = { tar: makeTar, deb: makeDeb, npm: makeNpm, single: makeSingle, rpm: makeRpm };
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    arch: { type: 'string', default: process.arch },
    fetch: { type: 'boolean', default: false },
    key: { type: 'string' },
    out: { type: 'string', default: join(ROOT, 'build/packages') },
  },
});
const formats = positionals.length === 0 ? ['tar', 'deb', 'npm', 'single'] : positionals;
for (const format of formats) {
  if (!Object.hasOwn(FORMATS, format)) {
    console.error(`No package format ${format}; there are ${Object.keys(FORMATS).join(', ')}.`);
    process.exit(2);
  }
}

if (values.fetch) {
  fetchInputs(values.arch);
  process.exit();
}

mkdirSync(values.out, { recursive: true });
mkdirSync(join(ROOT, 'build'), { recursive: true });
const work = mkdtempSync(join(ROOT, 'build/package-'));
try {
  const folder = stage(values.arch, work);
  for (const format of formats) {
    const file = FORMATS[format](folder, values.arch, values.out, work);
    console.log(`${file}  ${(statSync(file).size / 1e6).toFixed(1)} MB`);
  }
  const sums = join(values.out, 'SHA256SUMS');
  const files = readdirSync(values.out)
    .filter((name) => !/^SHA256SUMS/.test(name))
    .sort();
  writeFileSync(
    sums,
    files.map((name) => `${digestOf(join(values.out, name))}  ${basename(name)}\n`).join(''),
  );
  if (values.key !== undefined) sign(sums, values.key);
} finally {
  rmSync(work, { recursive: true, force: true });
}

/** Signs as `ingero sign` does, by a bundle for this machine: the packages may be for another architecture. */
function sign(file, key) {
  const signer = join(work, 'signer');
  execFileSync(process.execPath, [join(ROOT, 'packaging/bundle.mjs'), signer], { stdio: 'inherit' });
  execFileSync(process.execPath, [join(signer, 'lib/ingero.js'), 'sign', file, '--key', key, '--force'], {
    stdio: 'inherit',
  });
}
