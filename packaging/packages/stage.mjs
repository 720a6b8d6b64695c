/** The folder every package is made of: the release, its own Node.js, our libbpf, and what says where all came from. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fetchTarball, unpack } from './fetch.mjs';
import { COMMIT, EPOCH, LOCK, PACKAGE, ROOT } from './root.mjs';
import { components, cyclonedx, licenceFiles, spdx } from './sbom.mjs';
import { LIBBPF, NATIVE, NODE } from './versions.mjs';

const json = (value) => `${JSON.stringify(value, null, 2)}\n`;

/** Makes the folder for an architecture and returns its path. Equal sources give equal bytes and times. */
export function stage(arch, folder) {
  const out = join(folder, `ingero-${PACKAGE.version}-linux-${arch}`);
  execFileSync(process.execPath, [join(ROOT, 'packaging/bundle.mjs'), out], { stdio: 'inherit' });
  nativePackages(arch, out);

  const node = nodeRuntime(arch);
  mkdirSync(join(out, 'runtime'));
  copyFileSync(node, join(out, 'runtime/node'));

  const libbpf = libbpfFolder(arch);
  if (!existsSync(join(libbpf, 'libbpf.so'))) libbpfScript(join(libbpf, 'libbpf.so'), arch);
  mkdirSync(join(out, 'native'));
  copyFileSync(join(libbpf, 'libbpf.so'), join(out, 'native/libbpf.so'));

  execFileSync(process.execPath, [join(ROOT, 'packaging/shell/build.mjs'), join(out, 'share')], {
    stdio: 'inherit',
  });
  cpSync(join(ROOT, 'packaging/service'), join(out, 'service'), { recursive: true });
  mkdirSync(join(out, 'licenses'));
  for (const [name, from] of licenceFiles(join(node, '../../LICENSE'), join(libbpf, 'licenses')))
    copyFileSync(from, join(out, 'licenses', name));
  const list = components(out, arch);
  writeFileSync(join(out, 'sbom.cyclonedx.json'), json(cyclonedx(list)));
  writeFileSync(join(out, 'sbom.spdx.json'), json(spdx(list)));
  writeFileSync(join(out, 'PROVENANCE.json'), json(provenance(arch, out, list)));
  normalise(out);
  return out;
}

/** Fetches all that packages for an architecture are made of, so that building them needs no network. */
export function fetchInputs(arch) {
  // The Node.js of this machine packs the single executable.
  for (const machine of new Set([arch, process.arch])) nodeRuntime(machine);
  for (const name of NATIVE[arch]) nativeTarball(name);
  if (!existsSync(join(libbpfFolder(arch), 'libbpf.so'))) libbpfScript('--fetch', arch);
}

/** Where libbpf is once it was built. */
function libbpfFolder(arch) {
  const versions = LIBBPF.map(({ version }) => version).join('-');
  return join(ROOT, 'build/cache', `libbpf-${versions}-${arch}.built`);
}

function libbpfScript(...args) {
  execFileSync('sh', [join(ROOT, 'packaging/packages/libbpf.sh'), ...args], { stdio: 'inherit' });
}

/** Path of the Node.js of packages, fetched where it is missing. */
export function nodeRuntime(arch) {
  const folder = join(ROOT, 'build/cache', `node-${NODE.version}-${arch}`);
  if (!existsSync(join(folder, 'bin/node'))) {
    const tarball = fetchTarball(`node-linux-${arch}`, NODE.version, NODE.integrity[arch]);
    unpack(tarball, folder, 'bin/node', 'LICENSE');
  }
  return join(folder, 'bin/node');
}

/** Replaces the packages of machine code of this host by those of the architecture asked for. */
function nativePackages(arch, out) {
  for (const name of Object.values(NATIVE).flat())
    rmSync(join(out, 'node_modules', name), { recursive: true, force: true });
  for (const name of NATIVE[arch]) unpack(nativeTarball(name), join(out, 'node_modules', name));
  // koffi's packages hold builds for both C libraries; ours is glibc.
}

/** Path of a package of machine code, fetched where it is missing. */
function nativeTarball(name) {
  const { version, integrity } = LOCK[`node_modules/${name}`];
  return fetchTarball(name, version, integrity);
}

/** What was built from what, as an in-toto statement (slsa.dev/provenance/v1). */
function provenance(arch, out, list) {
  const subject = filesOf(out)
    .filter((name) => name.startsWith('lib/') || name === 'runtime/node' || name === 'native/libbpf.so')
    .map((name) => ({ name, digest: { sha256: digestOf(join(out, name)) } }));
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject,
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'packaging/packages/build.mjs',
        externalParameters: { arch, sourceDateEpoch: Number(EPOCH) },
        resolvedDependencies: [
          { uri: 'git', digest: { gitCommit: COMMIT } },
          ...list
            .filter(({ sha512 }) => sha512)
            .map(({ purl, sha512 }) => ({
              uri: purl,
              digest: { sha512: Buffer.from(sha512.slice(7), 'base64').toString('hex') },
            })),
          {
            uri: `pkg:npm/node-linux-${arch}@${NODE.version}`,
            digest: { sha512: Buffer.from(NODE.integrity[arch].slice(7), 'base64').toString('hex') },
          },
        ],
      },
      runDetails: { builder: { id: 'packaging/packages/build.mjs' } },
    },
  };
}

/** Paths of all files below a folder, sorted. */
export function filesOf(folder) {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort();
}

export function digestOf(path) {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

/** Modes and times that do not depend on who builds, and a list of all files with their digests. */
export function normalise(folder) {
  const list = filesOf(folder).filter((name) => name !== 'SHA256SUMS');
  writeFileSync(
    join(folder, 'SHA256SUMS'),
    list.map((name) => `${digestOf(join(folder, name))}  ${name}\n`).join(''),
  );
  const programs = new Set(['bin/ingero', 'runtime/node', 'service/trace-round']);
  for (const name of ['', ...readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort().reverse()]) {
    const path = join(folder, name);
    chmodSync(path, statSync(path).isDirectory() || programs.has(name) ? 0o755 : 0o644);
    utimesSync(path, Number(EPOCH), Number(EPOCH));
  }
  utimesSync(folder, Number(EPOCH), Number(EPOCH));
}
