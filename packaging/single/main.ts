/**
 * Entry of the single executable: what is packed in it is unpacked, or found unpacked, and runs from there. Nothing else
 * is done before the seal (src/start.ts). Node.js takes no options from the environment here: the executable is built
 * without (execArgvExtension in packaging/packages/single.mjs).
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import Module, { createRequire } from 'node:module';
import { join } from 'node:path';
import { getAsset, getRawAsset } from 'node:sea';
import { IngeroError } from '../../src/errors.js';
import { printFailure } from '../../src/print-failure.js';
import type { Caller } from './places.js';
import { type Payload, unpack } from './unpack.js';

/** The list of the packed files, in the format of sha256sum. */
const LIST = 'SHA256SUMS';

function packed(): Payload {
  const list = getAsset(LIST, 'utf8');
  const digest = createHash('sha256').update(list).digest('hex');
  return {
    name: `ingero-${digest.slice(0, 32)}`,
    files: list
      .trimEnd()
      .split('\n')
      .map((line) => ({ sha256: line.slice(0, 64), path: line.slice(66) })),
    read: (path) => new Uint8Array(getRawAsset(path) as ArrayBuffer),
  };
}

function thisCaller(): Caller {
  const uid = process.geteuid?.() ?? 0;
  return { uid, capable: uid !== 0 && holdsCapabilities(), env: process.env };
}

/** Where /proc does not say, it is taken for one that does. */
function holdsCapabilities(): boolean {
  try {
    const [, permitted] = /^CapPrm:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
    return permitted === undefined || BigInt(`0x${permitted}`) !== 0n;
  } catch {
    return true;
  }
}

/** Modules come from the copy only. Node.js has read NODE_PATH by now; what `trace` starts still gets it. */
function forgetNodePath(): void {
  const { NODE_PATH: kept } = process.env;
  if (kept === undefined) return;
  delete process.env.NODE_PATH;
  (Module as unknown as { _initPaths(): void })._initPaths();
  process.env.NODE_PATH = kept;
}

try {
  const root = unpack(packed(), thisCaller());
  // This program is its own script (src/program.ts).
  process.argv[1] = process.execPath;
  forgetNodePath();
  createRequire(join(root, 'lib/'))('./ingero.js');
} catch (error) {
  if (!(error instanceof IngeroError)) throw error;
  printFailure(error, process.argv.includes('--json'));
}
