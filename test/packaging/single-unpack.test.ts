import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';

const work = mkdtempSync(join(tmpdir(), 'ingero-unpack-'));
// Root's folder has to be one others can look into.
chmodSync(work, 0o755);
afterAll(() => rmSync(work, { recursive: true }));

/** Unpacks one small file into the folder named, once the time named has come. */
const PROGRAM = `
  import { createHash } from 'node:crypto';
  import { unpack } from './packaging/single/unpack.ts';
  const [, , folder, at] = process.argv;
  const bytes = Buffer.from('packed');
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const payload = { name: 'ingero-' + sha256, files: [{ path: 'lib/a.node', sha256 }], read: () => bytes };
  while (Date.now() < Number(at));
  unpack(payload, { uid: process.getuid(), capable: false, env: { INGERO_UNPACK_DIR: folder } });
`;

test('starts at the same moment all find one copy, whoever makes the folder', async () => {
  const program = join(work, 'unpack.mjs');
  const stdin = { contents: PROGRAM, resolveDir: PACKAGE_ROOT };
  await build({ stdin, bundle: true, platform: 'node', format: 'esm', outfile: program, logLevel: 'error' });
  for (let round = 0; round < 10; round++) {
    const folder = join(work, `place-${round}`);
    const at = String(Date.now() + 400);
    const said = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const child = spawn(process.execPath, [program, folder, at], { stdio: ['ignore', 'ignore', 'pipe'] });
        const texts: Buffer[] = [];
        child.stderr.on('data', (text: Buffer) => texts.push(text));
        await once(child, 'close');
        return Buffer.concat(texts).toString();
      }),
    );
    expect(said).toEqual(said.map(() => ''));
    expect(readdirSync(folder)).toHaveLength(1);
  }
});
