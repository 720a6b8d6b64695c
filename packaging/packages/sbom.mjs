/** Bills of materials of a staged package, in both formats auditors ask for, from one list of components. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EPOCH, LOCK, PACKAGE, ROOT } from './root.mjs';
import { LIBBPF, NODE } from './versions.mjs';

const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');
const created = new Date(Number(EPOCH) * 1000).toISOString().replace('.000', '');

/** Everything in the package that somebody made: name, version, licence, purl, and a digest where it is one file. */
export function components(stage, arch) {
  const runs = ({ dev, os, cpu, libc }) =>
    !dev &&
    (os?.includes('linux') ?? true) &&
    (cpu?.includes(arch) ?? true) &&
    (libc?.includes('glibc') ?? true);
  const npm = Object.entries(LOCK)
    .filter(([path, entry]) => path.startsWith('node_modules/') && runs(entry))
    .map(([path, { version, license, integrity }]) => {
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
      const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
      return { name, version, licence: license, purl, sha512: integrity };
    });
  const bpf = readdirSync(join(stage, 'src/loader/bpf'))
    .filter((name) => name.endsWith('.bpf.o'))
    .map((name) => ({
      ...{ name, version: PACKAGE.version, licence: 'GPL-2.0-only OR BSD-3-Clause' },
      ...{
        purl: `pkg:generic/${name}@${PACKAGE.version}`,
        sha256: sha256(join(stage, 'src/loader/bpf', name)),
      },
    }));
  const node = {
    ...{
      name: 'node',
      version: NODE.version,
      licence: 'MIT',
      purl: `pkg:npm/node-linux-${arch}@${NODE.version}`,
    },
    sha256: sha256(join(stage, 'runtime/node')),
  };
  const libbpf = LIBBPF.map(({ name, version, licence, source }) => ({
    ...{ name, version, licence, purl: source, sha256: sha256(join(stage, 'native/libbpf.so')) },
  }));
  // npm installs one package in several places where others need other versions of it.
  const once = new Map([...npm, node, ...libbpf, ...bpf].map((entry) => [entry.purl, entry]));
  return [...once.values()].sort((a, b) => (a.purl < b.purl ? -1 : 1));
}

/** CycloneDX 1.5. */
export function cyclonedx(list) {
  const digest = createHash('sha256').update(JSON.stringify(list)).digest('hex');
  const uuid = `${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
  const self = { type: 'application', name: PACKAGE.name, version: PACKAGE.version, 'bom-ref': 'ingero' };
  return {
    ...{ bomFormat: 'CycloneDX', specVersion: '1.5', serialNumber: `urn:uuid:${uuid}`, version: 1 },
    metadata: {
      timestamp: created,
      component: { ...self, licenses: [{ license: { id: PACKAGE.license } }] },
    },
    components: list.map(({ name, version, licence, purl, sha512, sha256: digest }) => ({
      ...{ type: 'library', 'bom-ref': purl, name, version, purl },
      licenses: [{ expression: licence }],
      hashes: [
        ...(sha512
          ? [{ alg: 'SHA-512', content: Buffer.from(sha512.slice(7), 'base64').toString('hex') }]
          : []),
        ...(digest ? [{ alg: 'SHA-256', content: digest }] : []),
      ],
    })),
    dependencies: [{ ref: 'ingero', dependsOn: list.map(({ purl }) => purl) }],
  };
}

/** SPDX 2.3. */
export function spdx(list) {
  const id = (purl) => `SPDXRef-${purl.replace(/[^A-Za-z0-9.-]+/g, '-')}`;
  const checksum = ({ sha512, sha256: digest }) => [
    ...(sha512
      ? [{ algorithm: 'SHA512', checksumValue: Buffer.from(sha512.slice(7), 'base64').toString('hex') }]
      : []),
    ...(digest ? [{ algorithm: 'SHA256', checksumValue: digest }] : []),
  ];
  const described = {
    ...{ SPDXID: 'SPDXRef-ingero', name: PACKAGE.name, versionInfo: PACKAGE.version },
    ...{ downloadLocation: 'NOASSERTION', filesAnalyzed: false, licenseDeclared: PACKAGE.license },
  };
  return {
    ...{
      spdxVersion: 'SPDX-2.3',
      dataLicense: 'CC0-1.0',
      SPDXID: 'SPDXRef-DOCUMENT',
      name: `ingero-${PACKAGE.version}`,
    },
    documentNamespace: `https://spdx.org/spdxdocs/ingero-${createHash('sha256').update(JSON.stringify(list)).digest('hex')}`,
    creationInfo: { created, creators: ['Tool: packaging/packages/sbom.mjs'] },
    packages: [
      described,
      ...list.map((entry) => ({
        ...{
          SPDXID: id(entry.purl),
          name: entry.name,
          versionInfo: entry.version,
          licenseDeclared: entry.licence,
        },
        ...{ downloadLocation: 'NOASSERTION', filesAnalyzed: false, checksums: checksum(entry) },
        externalRefs: [
          { referenceCategory: 'PACKAGE-MANAGER', referenceType: 'purl', referenceLocator: entry.purl },
        ],
      })),
    ],
    relationships: [
      {
        spdxElementId: 'SPDXRef-DOCUMENT',
        relationshipType: 'DESCRIBES',
        relatedSpdxElement: 'SPDXRef-ingero',
      },
      ...list.map(({ purl }) => ({
        ...{ spdxElementId: 'SPDXRef-ingero', relationshipType: 'CONTAINS', relatedSpdxElement: id(purl) },
      })),
    ],
  };
}

/** Licence texts of what is no npm package, by the name of the file they get. */
export function licenceFiles(nodeLicence, libbpfLicences) {
  return new Map([
    ['node.txt', nodeLicence],
    ...readdirSync(libbpfLicences).map((name) => [name, join(libbpfLicences, name)]),
    ['bpf-objects.txt', join(ROOT, 'src/loader/bpf/LICENSE')],
  ]);
}
