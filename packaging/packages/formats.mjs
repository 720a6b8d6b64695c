/** The packages: each made of a staged folder, by a tool the builder has. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { EPOCH, PACKAGE, readJson } from './root.mjs';
import { filesOf, normalise } from './stage.mjs';

const SUMMARY = PACKAGE.description;
const DEBIAN_ARCH = { x64: 'amd64', arm64: 'arm64' };
const RPM_ARCH = { x64: 'x86_64', arm64: 'aarch64' };

const tar = (folder, name, out) =>
  execFileSync('sh', [
    '-c',
    'tar --sort=name --format=gnu --mtime="@$1" --owner=0 --group=0 --numeric-owner -C "$2" -cf - "$3" | gzip -n -6 >"$4"',
    ...['sh', EPOCH, folder, name, out],
  ]);

/** A folder to unpack anywhere. */
export function makeTar(stage, _arch, out) {
  const file = join(out, `${basename(stage)}.tar.gz`);
  tar(join(stage, '..'), basename(stage), file);
  return file;
}

/** For `npm install --global --offline`: everything but Node.js, with the packages it depends on inside. */
export function makeNpm(stage, arch, out, work) {
  const folder = join(work, 'npm/package');
  cpSync(stage, folder, { recursive: true, filter: (from) => from !== join(stage, 'runtime') });
  const pkg = readJson(join(folder, 'package.json'));
  const bundled = [...Object.keys(pkg.dependencies), ...vendored(folder)];
  writeFileSync(
    join(folder, 'package.json'),
    `${JSON.stringify(
      {
        ...{ ...pkg, cpu: [arch], bin: { ingero: 'bin/ingero' } },
        dependencies: Object.fromEntries(
          [...new Set(bundled)].map((name) => [
            name,
            readJson(join(folder, 'node_modules', name, 'package.json')).version,
          ]),
        ),
        bundleDependencies: [...new Set(bundled)],
      },
      null,
      2,
    )}\n`,
  );
  normalise(folder);
  const file = join(out, `ingero-${PACKAGE.version}-linux-${arch}.npm.tgz`);
  tar(join(work, 'npm'), 'package', file);
  return file;
}

/** Names of the packages in a folder's node_modules. */
function vendored(folder) {
  return filesOf(join(folder, 'node_modules'))
    .map((name) => /^((?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(name)?.[1])
    .filter((name) => name !== undefined);
}

/**
 * The file tree of a system package: /usr/lib/ingero, a link in /usr/bin, and copies of what systemd, man and shells read. Returns the
 * files outside /usr/lib/ingero.
 */
function systemTree(stage, root) {
  for (const folder of ['bin', 'lib/systemd/system', 'lib/sysusers.d'])
    mkdirSync(join(root, 'usr', folder), { recursive: true });
  symlinkSync('../lib/ingero/bin/ingero', join(root, 'usr/bin/ingero'));
  const copy = (from, to) => cpSync(join(stage, from), join(root, to), { recursive: true });
  copy('share', 'usr/share');
  copy('service/ingero-trace.service', 'usr/lib/systemd/system/ingero-trace.service');
  copy('service/sysusers.conf', 'usr/lib/sysusers.d/ingero.conf');
  copy('.', 'usr/lib/ingero');
  return filesOf(join(root, 'usr'))
    .filter((name) => !name.startsWith('lib/ingero/'))
    .map((name) => `/usr/${name}`);
}

/** For Debian and Ubuntu. */
export function makeDeb(stage, arch, out, work) {
  const root = join(work, 'deb');
  systemTree(stage, root);
  const doc = join(root, 'usr/share/doc/ingero');
  mkdirSync(doc, { recursive: true });
  writeFileSync(
    join(doc, 'copyright'),
    `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: see /usr/lib/ingero/NOTICE\nLicense: Apache-2.0\nComment: Third parties: /usr/lib/ingero/THIRD-PARTY-LICENSES.txt and /usr/lib/ingero/licenses/.\n`,
  );
  mkdirSync(join(root, 'DEBIAN'));
  const kib = filesOf(root).reduce(
    (sum, name) => sum + Math.ceil(readFileSync(join(root, name)).length / 1024),
    0,
  );
  writeFileSync(
    join(root, 'DEBIAN/control'),
    `Package: ingero
Version: ${PACKAGE.version}
Architecture: ${DEBIAN_ARCH[arch]}
Maintainer: ingero
Section: utils
Priority: optional
Installed-Size: ${kib}
Depends: libc6 (>= 2.28), libstdc++6, libgcc-s1 | libgcc1
Description: ${SUMMARY.split(':')[0]}
 ${SUMMARY}
`,
  );
  for (const name of ['', ...readdirSync(root, { recursive: true, encoding: 'utf8' })]) {
    if (lstatSync(join(root, name)).isDirectory()) chmodSync(join(root, name), 0o755);
  }
  const file = join(out, `ingero_${PACKAGE.version}_${DEBIAN_ARCH[arch]}.deb`);
  touchAll(root);
  // gzip: every dpkg reads it. SOURCE_DATE_EPOCH is the time of the archive's own members.
  execFileSync('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z6', '--build', root, file], {
    env: { ...process.env, SOURCE_DATE_EPOCH: EPOCH },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return file;
}

/** For RHEL, Fedora and SUSE. */
export function makeRpm(stage, arch, out, work) {
  const root = join(work, 'rpm');
  const outside = systemTree(stage, join(root, 'tree'));
  touchAll(join(root, 'tree'));
  writeFileSync(
    join(root, 'ingero.spec'),
    `Name: ingero
Version: ${PACKAGE.version}
Release: 1
Summary: ${SUMMARY.split(':')[0]}
License: Apache-2.0
AutoReqProv: no
# By what they provide: distributions name the packages differently.
Requires: libc.so.6(GLIBC_2.28)(64bit), libstdc++.so.6(CXXABI_1.3.11)(64bit), libgcc_s.so.1()(64bit)
# The files are those their publishers made: nothing is stripped or compiled again.
%global __os_install_post %{nil}
%global _build_id_links none
%define _binary_payload w6.gzdio
%description
${SUMMARY}
%install
mkdir -p %{buildroot}
cp -a ${join(root, 'tree')}/. %{buildroot}/
%files
%defattr(-,root,root,-)
${outside.join('\n')}
/usr/lib/ingero
`,
  );
  execFileSync(
    'rpmbuild',
    [
      ...['-bb', '--quiet', '--target', `${RPM_ARCH[arch]}-linux`, '--define', `_topdir ${root}/top`],
      ...['--define', `_rpmdir ${root}/out`, '--define', '_buildhost ingero'],
      ...[
        '--define',
        'use_source_date_epoch_as_buildtime 1',
        '--define',
        'clamp_mtime_to_source_date_epoch 1',
      ],
      join(root, 'ingero.spec'),
    ],
    { env: { ...process.env, SOURCE_DATE_EPOCH: EPOCH }, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const name = `ingero-${PACKAGE.version}-1.${RPM_ARCH[arch]}.rpm`;
  cpSync(join(root, 'out', RPM_ARCH[arch], name), join(out, name));
  rmSync(root, { recursive: true });
  return join(out, name);
}

function touchAll(root) {
  execFileSync('find', [root, '-exec', 'touch', '-h', '-d', `@${EPOCH}`, '{}', '+']);
}
