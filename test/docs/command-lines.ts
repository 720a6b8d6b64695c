import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Interfaces } from '@oclif/core';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { readLibrary } from '../../src/query/library.js';
import { flagOf } from '../../src/query/param-flags.js';

/** A command line of `ingero` found in a document. */
export interface Mention {
  line: number;
  text: string;
  /** Whether it stands in running text, where arguments may be left out: `ingero query`. */
  inline: boolean;
}

const manifest = JSON.parse(
  readFileSync(join(PACKAGE_ROOT, 'oclif.manifest.json'), 'utf8'),
) as Interfaces.Manifest;

/** Every `ingero ...` in code blocks and code spans of a Markdown text. */
export function findCommandLines(markdown: string): Mention[] {
  const mentions: Mention[] = [];
  let block: string[] | undefined;
  for (const [index, text] of markdown.split('\n').entries()) {
    const line = index + 1;
    if (/^\s*```/.test(text)) {
      block = block === undefined ? [] : undefined;
      continue;
    }
    const code = block !== undefined || text.startsWith('    ');
    const command = code ? /^\s*(?:\$ |# )?(?:sudo )?(ingero .*)$/.exec(text)?.[1] : undefined;
    if (command !== undefined) mentions.push({ line, text: command, inline: false });
    if (code) continue;
    for (const [, span] of text.matchAll(/`(?:sudo )?(ingero [^`]+)`/g)) {
      mentions.push({ line, text: span as string, inline: true });
    }
  }
  return mentions;
}

/** Words of a command line as a shell would make them, up to a pipe, redirection, comment or end. */
function words(text: string): string[] {
  const found: string[] = [];
  // Two spaces end a command in our listings; what follows explains it.
  for (const match of text.replace(/ {2,}\S.*$/, '').matchAll(/"([^"]*)"?|'([^']*)'?|(\S+)/g)) {
    const bare = match[3];
    if (bare !== undefined && /^([|<>;#]|&&|\\$)/.test(bare)) break;
    found.push(match[1] ?? match[2] ?? (bare as string));
  }
  return found;
}

/** `run-query` has a flag for every parameter of the query it names. */
function isParameter(command: string, line: readonly string[], flag: string): boolean {
  if (command !== 'run-query') return false;
  const queries = readLibrary();
  const query = line.map((word) => queries.get(word)).find((found) => found !== undefined);
  return query?.params.some(({ name }) => flagOf(name) === flag) ?? false;
}

/** What is wrong with a command line, judged by the command manifest. Placeholders such as `[SQL]` are arguments. */
export function checkCommandLine({ text, inline }: Mention): string[] {
  const [, ...rest] = words(text);
  if (rest[0]?.startsWith('--'))
    return ['--help', '--version'].includes(rest[0]) ? [] : [`no flag ${rest[0]}`];
  const length = [2, 1].find((count) => rest.slice(0, count).join(':') in manifest.commands);
  if (length === undefined) return [`no command ${rest.slice(0, 2).join(' ')}`];
  const command = manifest.commands[
    rest.slice(0, length).join(':')
  ] as Interfaces.Manifest['commands'][string];
  const problems: string[] = [];
  let args = 0;
  const queue = rest.slice(length).map((word) => word.replace(/^\[|\]$/g, ''));
  for (let word = queue.shift(); word !== undefined && word !== '--'; word = queue.shift()) {
    if (!/^-./.test(word)) {
      args += 1;
      continue;
    }
    const [name, attached] = word.replace(/^--?/, '').split('=', 2);
    const flag = Object.values(command.flags).find((flag) =>
      word.startsWith('--') ? flag.name === name : flag.char === name,
    );
    if (flag === undefined && isParameter(command.id, rest, name ?? '')) {
      if (attached === undefined) queue.shift();
    } else if (flag === undefined) {
      if (word !== '--help') problems.push(`${command.id} has no flag ${word}`);
    } else if (flag.type === 'option') {
      const value = attached ?? queue.shift();
      if (value === undefined && !inline) problems.push(`${word} needs a value`);
      const known = flag.options === undefined || value === undefined || /[A-Z|]/.test(value);
      if (!known && !flag.options?.includes(value)) problems.push(`${word} cannot be ${value}`);
    }
  }
  const defined = Object.values(command.args);
  if (command.strict !== false && args > defined.length)
    problems.push(`${command.id} takes ${defined.length} arguments`);
  if (!inline && args < defined.filter((arg) => arg.required).length) problems.push('an argument is missing');
  return problems;
}
