/** The single executable: Node.js with the program and everything it loads inside (Node's SEA). */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { withNote } from './elf-note.mjs';
import { EPOCH, PACKAGE, ROOT } from './root.mjs';
import { filesOf, nodeRuntime, normalise } from './stage.mjs';

/** What the folder package has for its launcher and for system packages. */
const LEFT_OUT = ['bin', 'runtime', 'service', 'share'];
/** Node.js looks for its program in a note of this name, if this text in it ends with 1. */
const NOTE = 'NODE_SEA_BLOB';
const FUSE = Buffer.from('NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:0');
/**
 * Environment variables with which a caller makes Node.js load, write or print something before the program could prevent
 * it (the program itself would come from NODE_COMPILE_CACHE). Their names end where they begin in this Node.js: it asks
 * for none of them. The folder package has a launcher for that.
 */
const UNREAD = [
  'NODE_COMPILE_CACHE',
  'NODE_DEBUG_NATIVE',
  'NODE_EXTRA_CA_CERTS',
  'NODE_ICU_DATA',
  'NODE_PENDING_DEPRECATION',
  'NODE_PRESERVE_SYMLINKS',
  'NODE_REDIRECT_WARNINGS',
  'NODE_V8_COVERAGE',
  'OPENSSL_CONF',
];

/** One file to put anywhere. */
export function makeSingle(stage, arch, out, work) {
  const folder = join(work, 'single');
  const content = join(folder, 'content');
  mkdirSync(folder);
  cpSync(stage, content, {
    recursive: true,
    filter: (from) => !LEFT_OUT.some((name) => from === join(stage, name)),
  });
  normalise(content);

  buildSync({
    absWorkingDir: ROOT,
    entryPoints: ['packaging/single/main.ts'],
    outfile: join(folder, 'main.cjs'),
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node24',
    logLevel: 'warning',
  });
  writeFileSync(
    join(folder, 'sea.json'),
    JSON.stringify({
      main: 'main.cjs',
      output: 'program.blob',
      disableExperimentalSEAWarning: true,
      // A code cache would differ from build to build.
      useCodeCache: false,
      // NODE_OPTIONS of the caller do not apply to a program that may run as root.
      execArgvExtension: 'none',
      assets: Object.fromEntries(filesOf(content).map((name) => [name, join('content', name)])),
    }),
  );
  // The one of this machine packs for both architectures. What it says is told when it fails.
  execFileSync(nodeRuntime(process.arch), ['--experimental-sea-config', 'sea.json'], {
    cwd: folder,
    stdio: 'pipe',
  });

  const node = readFileSync(join(stage, 'runtime/node'));
  const fuse = node.indexOf(FUSE);
  if (fuse < 0 || node.indexOf(FUSE, fuse + 1) >= 0) throw new Error('not one fuse in this Node.js');
  node.write('1', fuse + FUSE.length - 1);
  for (const name of UNREAD) {
    // The first is the text its machine code has; the others are of JavaScript, in the snapshot of its start.
    const text = node.indexOf(Buffer.from(`\0${name}\0`));
    if (text < 0) throw new Error(`no ${name} in this Node.js`);
    node[text + 1] = 0;
  }
  const file = join(out, `ingero-${PACKAGE.version}-linux-${arch}.bin`);
  writeFileSync(file, withNote(node, NOTE, readFileSync(join(folder, 'program.blob'))));
  chmodSync(file, 0o755);
  utimesSync(file, Number(EPOCH), Number(EPOCH));
  return file;
}
