import { existsSync } from 'node:fs';
import { EXIT, IngeroError } from '../errors.js';
import { loadBuiltinPacks, loadPackFile } from './load.js';
import type { Pack } from './model.js';
import { nearest } from './suggest.js';

/** Packs traced when none is named. */
export const DEFAULT_PACKS: readonly string[] = ['cuda-runtime'];

/**
 * Loads the packs a user named: shipped packs by name, others by the path of their file. Throws `unknown-pack`,
 * or `bad-pack` with every problem of a file.
 */
export function selectPacks(names: readonly string[]): Pack[] {
  const builtin = loadBuiltinPacks();
  return [...new Set(names)].map((name) => {
    const pack = builtin.find((candidate) => candidate.name === name);
    if (pack !== undefined) return pack;
    if (existsSync(name)) return loadPackFile(name);
    const known = builtin.map((candidate) => candidate.name);
    const near = nearest(name, known);
    throw new IngeroError(`There is no probe pack ${name}.`, {
      code: 'unknown-pack',
      exitCode: EXIT.badPack,
      expected: `one of ${known.join(', ')}, or the path of a pack file`,
      next: near === undefined ? 'List the packs with `ingero probes list`.' : `Did you mean ${near}?`,
    });
  });
}
