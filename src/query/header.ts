import { nearest } from '../packs/suggest.js';
import { type ColumnDoc, FIDELITIES, type NamedQuery, SAMPLINGS, UNITS } from './named-query.js';
import { checkParam, PARAM_TYPES, type ParamDoc, parseRange } from './param-type.js';

/** Something wrong in a query file. */
export interface HeaderProblem {
  file: string;
  line: number;
  message: string;
}

interface Tag {
  name: string;
  text: string;
  line: number;
}

const ONCE = [
  'title',
  'question',
  'requires',
  'packs',
  'ops',
  'discovery',
  'sampling',
  'fidelity',
  'interpret',
  'next',
  'nsys',
] as const;
const MANY = ['param', 'column'] as const;
const REQUIRED = ['title', 'question', 'requires', 'sampling', 'fidelity'] as const;

/** Names a parameter cannot have, because `run-query` has a flag or argument of that name. */
export const RESERVED_PARAMS: readonly string[] = [
  'name',
  'file',
  'help',
  'json',
  'param',
  'format',
  'output',
  'explain',
  'timeout',
  'max_rows',
  'memory_limit',
  'query_dir',
];

const list = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');

const optional = (text: string): string | undefined => (text === '-' ? undefined : text);

function splitHeader(text: string): { tags: Tag[]; sql: string; stray: number[] } {
  const lines = text.split('\n');
  const end = lines.findIndex((line) => !line.startsWith('--') && line.trim() !== '');
  const tags: Tag[] = [];
  const stray: number[] = [];
  for (const [index, line] of lines.slice(0, end < 0 ? lines.length : end).entries()) {
    const start = /^-- @(\w+)\s*(.*)$/.exec(line);
    const more = /^-- {2,}(\S.*)$/.exec(line);
    const last = tags.at(-1);
    if (start !== null) tags.push({ name: start[1] ?? '', text: (start[2] ?? '').trim(), line: index + 1 });
    else if (more !== null && last !== undefined) last.text += ` ${(more[1] ?? '').trim()}`;
    else if (line.trim() !== '') stray.push(index + 1);
  }
  return { tags, sql: end < 0 ? '' : `${lines.slice(end).join('\n').trim()}\n`, stray };
}

/**
 * Parses the header of a query file:
 *
 *     -- @title, @question          required, text
 *     -- @requires tables=a,b schema>=N
 *     -- @packs a, b                                packs that record what it reads
 *     -- @ops cudaMemcpy*, cudaFree                 at least one of these must have been probed
 *     -- @discovery SELECT ...                      one value: NULL, or why the query does not apply
 *     -- @param NAME TYPE DEFAULT UNIT [RANGE] -- doc   (default null, unit - for none, range such as 1..100 or a|b)
 *     -- @column NAME UNIT -- doc                   (every column of the result, in order)
 *     -- @sampling weighted|rows|pairs|none
 *     -- @fidelity exact|derived|proxy|heuristic -- why
 *     -- @interpret, @next a, b, @nsys name         optional
 *
 * A comment line that is indented continues the tag above it. All problems are reported at once.
 */
export function parseHeader(
  name: string,
  file: string,
  text: string,
): { query: NamedQuery | undefined; problems: HeaderProblem[] } {
  const { tags, sql, stray } = splitHeader(text);
  const problems: HeaderProblem[] = [];
  const problem = (line: number, message: string): void => {
    problems.push({ file, line, message });
  };
  for (const line of stray) problem(line, 'a header line is `-- @tag text`, or indented to continue a tag');

  const known: readonly string[] = [...ONCE, ...MANY];
  for (const tag of tags) {
    if (!known.includes(tag.name)) problem(tag.line, `unknown tag @${tag.name}; known: ${known.join(', ')}`);
    else if (tag.text === '') problem(tag.line, `@${tag.name} says nothing`);
  }
  for (const once of ONCE) {
    for (const again of tags.filter((tag) => tag.name === once).slice(1)) {
      problem(again.line, `@${once} is given twice`);
    }
  }
  for (const required of REQUIRED) {
    if (!tags.some((tag) => tag.name === required)) problem(1, `@${required} is missing`);
  }
  if (!tags.some((tag) => tag.name === 'column')) problem(1, 'no @column: every result column is documented');
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(name))
    problem(1, `the name ${name} is not lower-case-with-dashes`);
  if (sql === '') problem(1, 'there is no SQL after the header');

  const one = (tag: (typeof ONCE)[number]): string | undefined =>
    tags.find((item) => item.name === tag)?.text;
  const all = (tag: (typeof MANY)[number]): Tag[] => tags.filter((item) => item.name === tag);

  const params = all('param').flatMap((tag) => parseParam(tag, problem));
  const columns = all('column').flatMap((tag) => parseColumn(tag, problem));
  for (const [kind, docs] of [
    ['param', params],
    ['column', columns],
  ] as const) {
    const seen = new Set<string>();
    for (const { value, line } of docs) {
      if (seen.has(value.name)) problem(line, `@${kind} ${value.name} is given twice`);
      seen.add(value.name);
    }
  }
  const used = new Set([...stripText(sql).matchAll(/\$([a-z_][a-z0-9_]*)/gi)].map((match) => match[1]));
  for (const { value, line } of params) {
    if (!used.has(value.name)) problem(line, `the SQL never uses $${value.name}`);
  }
  for (const name of used) {
    if (!params.some(({ value }) => value.name === name))
      problem(1, `the SQL uses $${name} without an @param`);
  }

  const requires = parseRequires(tags, problem);
  const fidelity = parseFidelity(tags, problem);
  const sampling = parseSampling(tags, problem);
  if (problems.length > 0 || requires === undefined || fidelity === undefined || sampling === undefined) {
    return { query: undefined, problems };
  }
  const query: NamedQuery = {
    name,
    title: one('title') ?? '',
    question: one('question') ?? '',
    params: params.map(({ value }) => value),
    requires,
    packs: list(one('packs')),
    ops: list(one('ops')),
    discovery: one('discovery'),
    columns: columns.map(({ value }) => value),
    sampling,
    fidelity,
    interpret: one('interpret'),
    next: list(one('next')),
    nsys: one('nsys'),
    sql,
  };
  return { query, problems };
}

/** SQL without its comments and quoted strings, in which a `$` means nothing. */
function stripText(sql: string): string {
  return sql.replace(/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'/g, ' ');
}

type Report = (line: number, message: string) => void;

function checkUnit(what: string, unit: string, line: number, problem: Report): void {
  if (unit === '-' || (UNITS as readonly string[]).includes(unit)) return;
  const near = nearest(unit, UNITS);
  problem(
    line,
    `${what}: unit ${unit} is none of ${UNITS.join(', ')}${near === undefined ? '' : `; ${near}?`}`,
  );
}

function parseParam(tag: Tag, problem: Report): { value: ParamDoc; line: number }[] {
  const parts = /^([a-z_][a-z0-9_]*)\s+(\w+)\s+(\S+)\s+(\S+)(?:\s+\[([^\]]+)\])?\s+--\s+(.+)$/.exec(tag.text);
  if (parts === null) {
    problem(
      tag.line,
      '@param is NAME TYPE DEFAULT UNIT [RANGE] -- what it does (default null, unit - for none, range 1..100 or a|b)',
    );
    return [];
  }
  const [, name = '', typeName = '', fallback = '', unit = '', rangeText, doc = ''] = parts;
  const type = PARAM_TYPES.find((candidate) => candidate === typeName);
  if (type === undefined) {
    problem(tag.line, `@param ${name}: type ${typeName} is none of ${PARAM_TYPES.join(', ')}`);
    return [];
  }
  if (RESERVED_PARAMS.includes(name)) {
    problem(tag.line, `@param ${name}: run-query has a flag or argument of that name`);
  }
  checkUnit(`@param ${name}`, unit, tag.line, problem);
  const range = rangeText === undefined ? undefined : parseRange(type, rangeText);
  if (rangeText !== undefined && range === undefined) {
    problem(
      tag.line,
      `@param ${name}: [${rangeText}] is no range of ${type}, such as 0.. or 1..100, or a|b for VARCHAR`,
    );
  }
  const value = fallback === 'null' ? undefined : fallback;
  const wrong = value === undefined ? undefined : checkParam(type, value, range);
  if (wrong !== undefined) problem(tag.line, `@param ${name}: default ${fallback} is not ${wrong}`);
  return [{ value: { name, type, default: value, unit: optional(unit), range, doc }, line: tag.line }];
}

function parseColumn(tag: Tag, problem: Report): { value: ColumnDoc; line: number }[] {
  const parts = /^([a-z_][a-z0-9_]*)\s+(\S+)\s+--\s+(.+)$/.exec(tag.text);
  if (parts === null) {
    problem(tag.line, '@column is NAME UNIT -- what it means (unit - for none)');
    return [];
  }
  const [, name = '', unit = '', doc = ''] = parts;
  checkUnit(`@column ${name}`, unit, tag.line, problem);
  return [{ value: { name, unit: optional(unit), doc }, line: tag.line }];
}

function parseSampling(tags: readonly Tag[], problem: Report): NamedQuery['sampling'] | undefined {
  const tag = tags.find((item) => item.name === 'sampling');
  if (tag === undefined) return undefined;
  const sampling = SAMPLINGS.find((candidate) => candidate === tag.text);
  if (sampling === undefined) problem(tag.line, `@sampling is one of ${SAMPLINGS.join(', ')}`);
  return sampling;
}

function parseRequires(tags: readonly Tag[], problem: Report): NamedQuery['requires'] | undefined {
  const tag = tags.find((item) => item.name === 'requires');
  if (tag === undefined) return undefined;
  const parts = /^tables=([a-z0-9_]+(?:,[a-z0-9_]+)*)\s+schema>=(\d+)$/.exec(tag.text);
  if (parts === null) {
    problem(tag.line, '@requires is tables=a,b schema>=N');
    return undefined;
  }
  return { tables: (parts[1] ?? '').split(','), schema: Number(parts[2]) };
}

function parseFidelity(tags: readonly Tag[], problem: Report): NamedQuery['fidelity'] | undefined {
  const tag = tags.find((item) => item.name === 'fidelity');
  if (tag === undefined) return undefined;
  const parts = /^(\w+)\s+--\s+(.+)$/.exec(tag.text);
  const level = FIDELITIES.find((candidate) => candidate === parts?.[1]);
  if (parts === null || level === undefined) {
    problem(tag.line, `@fidelity is one of ${FIDELITIES.join(', ')}, then -- and why`);
    return undefined;
  }
  return { level, why: parts[2] ?? '' };
}
