import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { type ConfigDirs, configDirs, currentHost, type Place, placesOf } from '../packs/places.js';
import { nearest } from '../packs/suggest.js';
import { PACKAGE_ROOT } from '../paths.js';
import { type HeaderProblem, parseHeader } from './header.js';
import type { NamedQuery } from './named-query.js';

/** Folder of the queries that ship with ingero. */
export const QUERY_DIR = join(PACKAGE_ROOT, 'queries');

/** A query file is a page of text; anything larger is another file. */
const MAX_BYTES = 256 * 1024;

/** A folder that may hold queries. */
export type QueryPlace = Place<'query-dir'>;

export interface ParsedQuery {
  query: NamedQuery | undefined;
  problems: readonly HeaderProblem[];
}

/** A query file in one of the places. It is read and checked when somebody needs it. */
export interface QueryEntry {
  name: string;
  path: string;
  place: QueryPlace;
  parsed(): ParsedQuery;
}

/** Every folder queries come from, in the order of precedence. */
export function queryPlaces(queryDirs: readonly string[], dirs: ConfigDirs): QueryPlace[] {
  return placesOf('query-dir', queryDirs, 'queries.d', dirs, QUERY_DIR);
}

/** Reads and checks one query file. Problems name the file as `path`. */
export function readQueryFile(path: string): ParsedQuery {
  const fail = (message: string): ParsedQuery => ({
    query: undefined,
    problems: [{ file: path, line: 1, message }],
  });
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return fail('this is not a regular file');
    if (stat.size > MAX_BYTES) return fail(`the file has more than ${MAX_BYTES} bytes`);
    return parseHeader(basename(path, '.sql'), path, readFileSync(path, 'utf8'));
  } catch (error) {
    return fail((error as Error).message);
  }
}

/** All named queries this user has: the first of each name, in the order of their places. */
export class QueryLibrary {
  private constructor(
    readonly places: readonly QueryPlace[],
    readonly entries: readonly QueryEntry[],
    /** Queries of a name that an earlier place has already, with the one that is used instead. */
    readonly shadowed: readonly { entry: QueryEntry; by: QueryEntry }[],
  ) {}

  /** Looks into every place. Throws `query-dir-unreadable` for a folder of `queryDirs` that cannot be read. */
  static open(queryDirs: readonly string[] = [], dirs: ConfigDirs = configDirs(currentHost())): QueryLibrary {
    const places = queryPlaces(queryDirs, dirs);
    const entries = new Map<string, QueryEntry>();
    const shadowed: { entry: QueryEntry; by: QueryEntry }[] = [];
    for (const entry of places.flatMap(entriesOf)) {
      const by = entries.get(entry.name);
      if (by === undefined) entries.set(entry.name, entry);
      else shadowed.push({ entry, by });
    }
    return new QueryLibrary(places, [...entries.values()].sort(byName), shadowed);
  }

  get names(): string[] {
    return this.entries.map((entry) => entry.name);
  }

  /** The query of that name. Throws `unknown-query` with the nearest name, or `bad-query-file` with every problem. */
  find(name: string): NamedQuery {
    const { query, problems } = this.entry(name).parsed();
    if (query === undefined) throw badQueryFile(problems);
    return query;
  }

  /** The file of a query. Throws `unknown-query` with the nearest name. */
  entry(name: string): QueryEntry {
    const entry = this.entries.find((candidate) => candidate.name === name);
    if (entry !== undefined) return entry;
    const near = nearest(name, this.names);
    throw new IngeroError(`There is no query named ${JSON.stringify(name)}.`, {
      code: 'unknown-query',
      exitCode: EXIT.usage,
      next: `${near === undefined ? '' : `Did you mean ${near}? `}\`ingero queries\` lists them all.`,
    });
  }
}

const byName = (a: QueryEntry, b: QueryEntry): number => (a.name < b.name ? -1 : 1);

function entriesOf(place: QueryPlace): QueryEntry[] {
  let files: string[];
  try {
    files = readdirSync(place.path);
  } catch (error) {
    // A folder of the configuration need not exist, and one that is closed to this user has nothing for them.
    if (place.kind !== 'query-dir') return [];
    throw new IngeroError(`The queries of ${place.path} cannot be read: ${(error as Error).message}`, {
      code: 'query-dir-unreadable',
      exitCode: EXIT.usage,
      expected: 'a directory with .sql files',
      cause: error,
    });
  }
  return files
    .filter((file) => file.endsWith('.sql'))
    .map((file) => {
      const path = join(place.path, file);
      let parsed: ParsedQuery | undefined;
      return {
        name: basename(file, '.sql'),
        path,
        place,
        parsed: () => {
          parsed ??= readQueryFile(path);
          return parsed;
        },
      };
    });
}

/** One error for everything that is wrong in query files. */
export function badQueryFile(problems: readonly HeaderProblem[]): IngeroError {
  const lines = problems.map(({ file, line, message }) => `${file}:${line}: ${message}`);
  const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
  return new IngeroError(`The query cannot be used; it has ${count}:\n${lines.join('\n')}`, {
    code: 'bad-query-file',
    exitCode: EXIT.badPack,
    next: 'docs/writing-queries.md describes the header of a query file.',
  });
}

/**
 * The queries that ship with ingero, by name, sorted. Throws `bad-query-file` with all problems of all files, and for
 * an @next that names no query.
 */
export function readLibrary(dir: string = QUERY_DIR): ReadonlyMap<string, NamedQuery> {
  const library = new Map<string, NamedQuery>();
  const problems: HeaderProblem[] = [];
  const entries = entriesOf({ kind: 'built-in', path: dir }).sort(byName);
  for (const { name, parsed } of entries) {
    const { query, problems: found } = parsed();
    problems.push(...found);
    if (query !== undefined) library.set(name, query);
  }
  for (const query of library.values()) {
    for (const next of query.next.filter((name) => !entries.some((entry) => entry.name === name))) {
      problems.push({
        file: `${query.name}.sql`,
        line: 1,
        message: `@next names ${next}, which does not exist`,
      });
    }
  }
  if (problems.length > 0) throw badQueryFile(problems);
  return library;
}
