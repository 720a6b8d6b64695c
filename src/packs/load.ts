import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type CaptureSchema, readCaptureSchema } from '../capture/schema.js';
import { EXIT, IngeroError } from '../errors.js';
import { PACKAGE_ROOT } from '../paths.js';
import { compileProbe } from './compile.js';
import { makeProblem, PackDocument } from './document.js';
import { formatProblems } from './format.js';
import { checkGrammar, GRAMMAR_VERSION } from './grammar.js';
import type { PackIssue } from './issue.js';
import type {
  CompiledProbe,
  EnumTable,
  LibrarySelector,
  Pack,
  PackProblem,
  ProbeSpec,
  SiteColumn,
  SizeTable,
  WhenSpec,
} from './model.js';
import { parseTypes } from './prototype.js';
import { type PackFacts, type ProbeFacts, RULES } from './rules.js';

/** Largest pack file that is read, in bytes. The shipped packs are under 64 KiB. */
export const MAX_PACK_BYTES = 1024 * 1024;

/** Problems that are worked out for one file; nobody reads more. */
const MAX_PROBLEMS = 200;
/** Probes that are looked into when a file has more than the schema allows. */
const MAX_PROBES = 256;

export interface ParsedPack {
  /** Present when there are no problems. */
  pack?: Pack;
  /** Everything that is wrong with the file (up to 200 problems), in the order of its lines. */
  problems: PackProblem[];
}

/**
 * Reads and checks the text of a pack file. Reports all problems together; never throws on bad input.
 * `path` is only used in problems. `schema` says which tables and columns there are.
 */
export function parsePack(
  text: string,
  path: string,
  schema: CaptureSchema = readCaptureSchema(),
): ParsedPack {
  const unreadable = (rule: string, message: string): ParsedPack => ({
    problems: [makeProblem(rule, message, path, 1, 1, '')],
  });
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_PACK_BYTES) {
    return unreadable('too-large', `the file has ${bytes} bytes; a pack has at most ${MAX_PACK_BYTES}`);
  }
  if (text.includes('\0')) return unreadable('not-text', 'the file contains a NUL byte');
  try {
    return check(PackDocument.parse(text, path), text, path, schema);
  } catch (error) {
    // The YAML library recurses into nested values and counts the expansions of aliases.
    if (error instanceof RangeError) return unreadable('too-complex', 'the YAML is nested too deeply');
    if (error instanceof ReferenceError) return unreadable('too-complex', error.message);
    throw error;
  }
}

function check(document: PackDocument, text: string, path: string, schema: CaptureSchema): ParsedPack {
  const newer = newerGrammar(document.topLevel('schema'));
  if (newer !== undefined) return { problems: [document.locate(newer)] };
  const syntax = [...document.syntaxProblems(), ...document.duplicateKeys(), ...document.brokenAliases()];
  if (syntax.length > 0) return { problems: inOrder(syntax).slice(0, MAX_PROBLEMS) };

  const value = document.value();
  const shape = checkGrammar(value);
  const issues = isRecord(value) ? [...shape, ...checkMeaning(value, shape, schema)] : shape;
  const problems = inOrder(issues.slice(0, MAX_PROBLEMS).map((issue) => document.locate(issue)));
  return problems.length > 0 ? { problems } : { pack: toPack(value as PackYaml, text, path), problems };
}

/** A file for a later ingero: its other problems would only mislead. */
function newerGrammar(version: unknown): PackIssue | undefined {
  if (typeof version !== 'number' || !(version > GRAMMAR_VERSION)) return undefined;
  return {
    rule: 'newer-grammar',
    message: `this pack needs grammar version ${version}; this ingero reads version ${GRAMMAR_VERSION}`,
    at: ['schema'],
    suggestion: 'use a newer ingero',
  };
}

/** The YAML of a valid pack: the fields of `Pack` that may be left out are optional. */
interface PackYaml {
  name: string;
  version: string;
  description: string;
  layer: string;
  libraries: LibrarySelector[];
  when?: WhenSpec[];
  table: string;
  columns?: SiteColumn[];
  enums?: Record<string, EnumTable>;
  sizes?: Record<string, SizeTable>;
  types?: string;
  result?: string;
  probes: ProbeSpec[];
}

function toPack(yaml: PackYaml, text: string, path: string): Pack {
  return {
    name: yaml.name,
    version: yaml.version,
    description: yaml.description,
    layer: yaml.layer,
    libraries: yaml.libraries,
    ...(yaml.when === undefined ? {} : { when: yaml.when }),
    table: yaml.table,
    ...(yaml.columns === undefined ? {} : { columns: yaml.columns }),
    enums: yaml.enums ?? {},
    sizes: yaml.sizes ?? {},
    types: yaml.types ?? '',
    ...(yaml.result === undefined ? {} : { result: yaml.result }),
    probes: yaml.probes,
    source: { path, text, sha256: createHash('sha256').update(text).digest('hex') },
  };
}

/** Shape problems that leave a value unfit for further checks; the others do not hide what else is wrong. */
const UNFIT = new Set(['wrong-type', 'missing-key', 'too-long']);

/** Semantic rules, over those parts of the file whose shape is right. */
function checkMeaning(
  value: Readonly<Record<string, unknown>>,
  shape: readonly PackIssue[],
  schema: CaptureSchema,
): PackIssue[] {
  const unfit = shape.filter((issue) => UNFIT.has(issue.rule));
  const sound = (...at: (string | number)[]): boolean =>
    !unfit.some((issue) => at.every((segment, depth) => String(issue.at[depth]) === String(segment)));
  const text = (key: string): string | undefined =>
    typeof value[key] === 'string' && sound(key) ? value[key] : undefined;

  const { types, issues: typeIssues } = parseTypes(text('types') ?? '');
  const issues: PackIssue[] = typeIssues.map((issue) => ({ ...issue, at: ['types'] }));
  const probes: ProbeFacts[] = [];
  for (const [index, spec] of (Array.isArray(value.probes)
    ? value.probes.slice(0, MAX_PROBES)
    : []
  ).entries()) {
    if (!sound('probes', index)) continue;
    const results = (['x64', 'arm64'] as const).map((arch) =>
      compileProbe(text('name') ?? '', spec as ProbeSpec, index, types, arch),
    );
    issues.push(...results.flatMap((result) => result.issues));
    const functionName = results[0]?.functionName;
    const compiled: CompiledProbe[] = results.flatMap((result) => result.probe ?? []);
    probes.push({
      index,
      spec: spec as ProbeSpec,
      compiled,
      ...(functionName === undefined ? {} : { functionName }),
    });
  }
  const table = text('table');
  const result = text('result');
  const columns =
    Array.isArray(value.columns) && sound('columns') ? (value.columns as SiteColumn[]) : undefined;
  const enums = isRecord(value.enums) ? Object.entries(value.enums) : [];
  const facts: PackFacts = {
    ...(table === undefined ? {} : { table }),
    ...(columns === undefined ? {} : { columns }),
    ...(result === undefined ? {} : { result }),
    when: Array.isArray(value.when) && sound('when') ? (value.when as WhenSpec[]) : [],
    enums: new Map(enums.map(([name, names]) => [name, isRecord(names) ? (names as EnumTable) : {}])),
    sizes: new Set(isRecord(value.sizes) ? Object.keys(value.sizes) : []),
    probes,
    schema,
  };
  return [...issues, ...RULES.flatMap((rule) => rule(facts))];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** By line and column; what both architectures report alike is kept once. */
function inOrder(problems: readonly PackProblem[]): PackProblem[] {
  const unique = new Map(
    problems.map((problem) => [
      `${problem.line}:${problem.column}:${problem.rule}:${problem.message}`,
      problem,
    ]),
  );
  return [...unique.values()].sort((a, b) => a.line - b.line || a.column - b.column);
}

/** The error `bad-pack` (exit code 8) whose message lists every problem. */
export function badPack(problems: readonly PackProblem[]): IngeroError {
  const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
  const files = [...new Set(problems.map((problem) => problem.path))].join(', ');
  return new IngeroError(`${count} in ${files}\n\n${formatProblems(problems)}`, {
    code: 'bad-pack',
    exitCode: EXIT.badPack,
    next: 'docs/probe-packs.md describes packs and every rule.',
  });
}

/**
 * Reads one file that may be anything. Never throws for what is in it: an unreadable file, one that is no text, and a
 * wrong pack all give problems.
 */
export function readPackFile(path: string): ParsedPack {
  const refuse = (rule: string, message: string): ParsedPack => ({
    problems: [makeProblem(rule, message, path, 1, 1, '')],
  });
  let text: string;
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return refuse('unreadable', 'not a regular file');
    if (stat.size > MAX_PACK_BYTES) {
      return refuse('too-large', `the file has ${stat.size} bytes; a pack has at most ${MAX_PACK_BYTES}`);
    }
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path));
  } catch (error) {
    if (error instanceof TypeError) return refuse('not-text', 'the file is not UTF-8 text');
    return refuse('unreadable', (error as Error).message);
  }
  return parsePack(text, path);
}

/**
 * Reads one pack file. Throws IngeroError `bad-pack` (exit code 8) whose message lists every problem.
 */
export function loadPackFile(path: string): Pack {
  const { pack, problems } = readPackFile(path);
  if (pack === undefined) throw badPack(problems);
  return pack;
}

/**
 * Reads every `.yaml` file of a folder, in the order of their names; by default the packs that ship with
 * ingero. Throws IngeroError `bad-pack` (exit code 8) with the problems of all files, two packs of one
 * name among them.
 */
export function loadBuiltinPacks(dir: string = join(PACKAGE_ROOT, 'probes')): Pack[] {
  let files: string[];
  try {
    files = readdirSync(dir);
  } catch (error) {
    throw badPack([makeProblem('unreadable', (error as Error).message, dir, 1, 1, '')]);
  }
  const results = files
    .filter((file) => file.endsWith('.yaml'))
    .sort()
    .map((file) => readPackFile(join(dir, file)));
  const problems = results.flatMap((result) => result.problems);
  const packs = results.flatMap((result) => result.pack ?? []);
  for (const [index, pack] of packs.entries()) {
    const first = packs.findIndex((other) => other.name === pack.name);
    if (first === index) continue;
    const message = `pack ${pack.name} is already defined in ${packs[first]?.source.path}`;
    problems.push(makeProblem('duplicate-pack', message, pack.source.path, 1, 1, ''));
  }
  if (problems.length > 0) throw badPack(problems);
  return packs;
}
