import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../../../src/paths.js';

const sources = join(PACKAGE_ROOT, 'test', 'trace', 'programs');

/** Compiles the library and the program of test/trace/programs/site*.c into `dir`; the path of the program. */
export function buildSite(dir: string): string {
  mkdirSync(dir, { recursive: true });
  const library = join(dir, 'libsite.so');
  const program = join(dir, 'site');
  // Callers are found by frame pointers.
  const options = ['-O1', '-fno-omit-frame-pointer', '-fno-optimize-sibling-calls', '-Wl,--build-id'];
  const compile = (...args: string[]) => execFileSync('cc', [...options, ...args], { stdio: 'inherit' });
  compile('-shared', '-fPIC', '-Wl,-soname,libsite.so', '-o', library, join(sources, 'libsite.c'));
  compile('-pthread', '-Wl,-rpath,$ORIGIN', '-o', program, join(sources, 'site.c'), library);
  return program;
}

/** A pack for that library. */
export const SITE_PACK = join(PACKAGE_ROOT, 'test', 'trace', 'packs', 'site.yaml');
