import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';

const WILD = /[*?]/;

/**
 * The files that arguments name. A file that exists stands for itself whatever its name; else `*` and `?` in the last
 * part of the path stand for the files they match, sorted. Throws `capture-missing` for a pattern without a match.
 */
export function expandFiles(args: readonly string[]): string[] {
  return args.flatMap((arg) => {
    if (!WILD.test(arg) || existsSync(arg)) return [arg];
    const matches = matching(arg);
    if (matches.length > 0) return matches;
    throw new IngeroError(`No file matches ${arg}.`, {
      code: 'capture-missing',
      exitCode: EXIT.badCapture,
      expected: 'the name of a capture, or a pattern with * and ? in its last part',
      next: 'Check the path.',
    });
  });
}

function matching(pattern: string): string[] {
  const source = basename(pattern)
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const name = new RegExp(`^${source}$`, 's');
  const folder = dirname(pattern);
  try {
    return readdirSync(folder)
      .filter((file) => name.test(file) && !file.startsWith('.'))
      .sort()
      .map((file) => (pattern.includes('/') ? join(folder, file) : file));
  } catch {
    return [];
  }
}

/**
 * Takes `FILE... [LAST]` apart. The last of several arguments is a file too when there is one of that name or pattern, or
 * when it is named like a capture. Throws as {@link expandFiles}.
 */
export function splitFiles(args: readonly string[]): { files: string[]; last: string | undefined } {
  const last = args.length > 1 ? args.at(-1) : undefined;
  const isFile =
    last !== undefined &&
    last !== '-' &&
    (existsSync(last) || /^\S+\.duckdb$/.test(last) || (WILD.test(last) && matching(last).length > 0));
  if (last === undefined || isFile) return { files: expandFiles(args), last: undefined };
  return { files: expandFiles(args.slice(0, -1)), last };
}
