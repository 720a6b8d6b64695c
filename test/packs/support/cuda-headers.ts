import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { sizeOf } from '../../../src/packs/ctype.js';
import type { Pack } from '../../../src/packs/index.js';
import { typesOf } from './machine.js';
import { available } from './tools.js';

/** Folder of NVIDIA's toolkit. */
export const CUDA = process.env.CUDA_HOME ?? '/usr/local/cuda';

/** Whether NVIDIA's headers can be compiled. */
export const haveCudaHeaders =
  existsSync(join(CUDA, 'include/cuda_runtime_api.h')) && available('gcc', '--version');

/** Compiles C that includes `headers`, and returns what the compiler prints. */
export function gcc(headers: readonly string[], source: string, ...args: string[]): string {
  const includes = headers.map((header) => `#include <${header}>\n`).join('');
  return execFileSync('gcc', ['-xc', '-I', join(CUDA, 'include'), ...args, '-'], {
    input: includes + source,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** One spelling for one declaration: single blanks, none beside punctuation. */
export function normal(declaration: string): string {
  return declaration
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?([(),*]) ?/g, '$1')
    .trim();
}

/** Functions that headers declare to return `type`, by name, each in its normal spelling. */
export function declarations(
  headers: readonly string[],
  type: string,
  prefix: string,
): ReadonlyMap<string, string> {
  const text = gcc(headers, '', '-E', '-P').replaceAll(/\s+/g, ' ');
  const pattern = new RegExp(`${type} (${prefix}\\w+) ?\\([^;{}]*\\)(?= ?;)`, 'g');
  return new Map([...text.matchAll(pattern)].map(([all, name]) => [name as string, normal(all)]));
}

/**
 * Makes a compiler compare every struct a pack declares, size and members, with the headers. Returns how many. Of
 * those in `partial` the pack declares only how they begin.
 */
export function compareLayouts(
  pack: Pack,
  headers: readonly string[],
  partial: readonly string[] = [],
): number {
  const records = [...typesOf(pack.types).tags.values()].flatMap((type) =>
    type.kind === 'record' && type.members !== undefined ? [type] : [],
  );
  const checks = records.flatMap((record) => [
    ...(partial.includes(record.name)
      ? []
      : [`_Static_assert(sizeof(${record.name}) == ${sizeOf(record)}, "size of ${record.name}");`]),
    ...(record.members ?? []).flatMap(({ name, offset, type }) => [
      `_Static_assert(__builtin_offsetof(${record.name}, ${name}) == ${offset}, "${record.name}.${name}");`,
      `_Static_assert(sizeof(((${record.name} *)0)->${name}) == ${sizeOf(type)}, "${record.name}.${name}");`,
    ]),
  ]);
  gcc(headers, checks.join('\n'), '-fsyntax-only');
  return records.length;
}

/** Makes a compiler compare enum values with the headers: pairs of a header's name and the pack's number. */
export function compareValues(
  pairs: readonly (readonly [string, number | string | undefined])[],
  headers: readonly string[],
): void {
  const checks = pairs.map(([name, value]) => `_Static_assert(${name} == ${value}, "${name}");`);
  gcc(headers, checks.join('\n'), '-fsyntax-only');
}

/** Number of a name in an enum of a pack. */
export function numberOf(
  table: Readonly<Record<number, string>> | undefined,
  name: string,
): string | undefined {
  return Object.keys(table ?? {}).find((key) => table?.[Number(key)] === name);
}
