/** What manual pages and completions are made of: oclif.manifest.json, in the words of a shell. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { readLibrary } from '../../dist/query/library.js';
import { flagOf } from '../../dist/query/param-flags.js';
import { PACKAGE, ROOT, readJson } from '../packages/root.mjs';

const plain = (text = '') => text.replaceAll('<%= config.bin %>', 'ingero').replace(/\s+/g, ' ').trim();
const named = (folder, ending) =>
  readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();

/** Words that can be completed, by what they name. */
export const NAMES = { queries: named('queries', '.sql'), packs: named('probes', '.yaml') };

/** The words a parameter can be; null when there is no such list. */
function wordsOf({ type, range }) {
  if (type === 'BOOLEAN') return ['true', 'false'];
  return range?.words ?? null;
}

/** Parameters of every shipped query that has some: `name`, `flag`, what it does, and `values`, or null. */
export const QUERY_PARAMS = Object.fromEntries(
  [...readLibrary()]
    .filter(([, { params }]) => params.length > 0)
    .map(([query, { params }]) => [
      query,
      params.map((param) => ({
        name: param.name,
        flag: `--${flagOf(param.name)}`,
        description: param.doc,
        values: wordsOf(param),
      })),
    ]),
);

/** What can follow `--param`: `name=`, or `name=value` for each value where they are known. */
export const paramWords = ({ name, values }) => (values ?? ['']).map((value) => `${name}=${value}`);

/** Arguments and flags whose values are names: `COMMAND ARGUMENT` or `--FLAG`. Others are files or free text. */
const NAMED = {
  'run-query name': 'queries',
  'queries show name': 'queries',
  'probes compile pack': 'packs',
  'probes disable names': 'packs',
  'probes enable names': 'packs',
  'probes show pack': 'packs',
  'probes test packs': 'packs',
  '--pack': 'packs',
};

/** Topics, by their word: what they are about. */
export const TOPICS = Object.fromEntries(
  Object.entries(PACKAGE.oclif.topics).map(([topic, { description }]) => [topic, description]),
);

/**
 * Every command: its `id` as typed, other ids, texts, arguments and flags. `values`: the words a flag or argument can
 * be, or null.
 */
export const COMMANDS = Object.values(readJson(join(ROOT, 'oclif.manifest.json')).commands).map((command) => {
  const id = command.id.replaceAll(':', ' ');
  return {
    id,
    aliases: command.aliases.map((alias) => alias.replaceAll(':', ' ')),
    summary: plain(command.summary),
    description: plain(command.description),
    examples: (command.examples ?? []).map((example) =>
      typeof example === 'string'
        ? { about: '', line: plain(example) }
        : { about: plain(example.description), line: plain(example.command) },
    ),
    args: Object.values(command.args).map(({ name, description, required }) => ({
      name,
      description: plain(description),
      required: required === true,
      values: NAMES[NAMED[`${id} ${name}`]] ?? null,
    })),
    flags: Object.values(command.flags).map((flag) => ({
      name: flag.name,
      char: flag.char ?? null,
      aliases: flag.aliases ?? [],
      description: plain(flag.summary ?? flag.description),
      takesValue: flag.type === 'option',
      helpValue: flag.helpValue ?? flag.name.toUpperCase(),
      values: flag.options ?? NAMES[NAMED[`--${flag.name}`]] ?? null,
      default: ['string', 'number'].includes(typeof flag.default) ? String(flag.default) : null,
      repeats: flag.multiple === true,
    })),
  };
});

/** Words after each topic: `[word, summary]`. */
export function subcommands(topic) {
  return COMMANDS.flatMap(({ id, aliases, summary }) => [id, ...aliases].map((name) => [name, summary]))
    .filter(([name]) => name.startsWith(`${topic} `))
    .map(([name, summary]) => [name.slice(topic.length + 1), summary]);
}

/** First words: `[word, summary]`, sorted. */
export function firstWords() {
  const commands = COMMANDS.filter(({ id }) => !id.includes(' ')).map(({ id, summary }) => [id, summary]);
  const known = new Set(commands.map(([word]) => word));
  return [...commands, ...Object.entries(TOPICS).filter(([topic]) => !known.has(topic))].sort(([a], [b]) =>
    a < b ? -1 : 1,
  );
}
