import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { nearest } from '../packs/suggest.js';
import { PACKAGE_ROOT } from '../paths.js';
import { type HeaderProblem, type NamedQuery, parseHeader } from './header.js';

/** Folder of the queries that ship with ingero. */
export const QUERY_DIR = join(PACKAGE_ROOT, 'queries');

/** Named queries by name, sorted. */
export type QueryLibrary = ReadonlyMap<string, NamedQuery>;

/**
 * Reads every `*.sql` of a folder. Throws one IngeroError (`bad-query-file`) that lists all problems of
 * all files as file:line.
 */
export function readLibrary(dir: string = QUERY_DIR): QueryLibrary {
  const files = readdirSync(dir)
    .filter((file) => file.endsWith('.sql'))
    .sort();
  const library = new Map<string, NamedQuery>();
  const problems: HeaderProblem[] = [];
  for (const file of files) {
    const name = basename(file, '.sql');
    const parsed = parseHeader(name, file, readFileSync(join(dir, file), 'utf8'));
    problems.push(...parsed.problems);
    if (parsed.query !== undefined) library.set(name, parsed.query);
  }
  for (const query of library.values()) {
    for (const next of query.next.filter((name) => !files.includes(`${name}.sql`))) {
      problems.push({
        file: `${query.name}.sql`,
        line: 1,
        message: `@next names ${next}, which does not exist`,
      });
    }
  }
  if (problems.length > 0) {
    const lines = problems.map(({ file, line, message }) => `${file}:${line}: ${message}`);
    throw new IngeroError(`The query files have ${problems.length} problems:\n${lines.join('\n')}`, {
      code: 'bad-query-file',
      exitCode: EXIT.internal,
      next: 'docs/queries.md describes the header of a query file.',
    });
  }
  return library;
}

/** The query of that name. Throws IngeroError (`unknown-query`) with the nearest name. */
export function findQuery(library: QueryLibrary, name: string): NamedQuery {
  const query = library.get(name);
  if (query !== undefined) return query;
  const near = nearest(name, [...library.keys()]);
  throw new IngeroError(`There is no query named ${JSON.stringify(name)}.`, {
    code: 'unknown-query',
    exitCode: EXIT.usage,
    next: `${near === undefined ? '' : `Did you mean ${near}? `}\`ingero queries\` lists them all.`,
  });
}
