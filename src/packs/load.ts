import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type CaptureSchema, readCaptureSchema } from '../capture/schema.js';
import { EXIT, IngeroError } from '../errors.js';
import { PACKAGE_ROOT } from '../paths.js';
import { compileProbe } from './compile.js';
import { makeProblem } from './document.js';
import { formatProblems } from './format.js';
import { checkGrammar } from './grammar.js';
import type { PackIssue, PackPath } from './issue.js';
import type {
  CompiledProbe,
  EnumTable,
  LibrarySelector,
  Pack,
  PackProblem,
  PackSource,
  PackTest,
  ProbeSpec,
  SiteColumn,
  SizeTable,
  WhenSpec,
} from './model.js';
import { LayeredYaml, OVERLAY_SUFFIX, type Overlay } from './overlay.js';
import { readPackText, readYaml } from './pack-text.js';
import { parseTypes } from './prototype.js';
import { type PackFacts, type ProbeFacts, RULES } from './rules.js';

/** Problems that are worked out for one file; nobody reads more. */
const MAX_PROBLEMS = 200;
/** Probes that are looked into when a file has more than the schema allows. */
const MAX_PROBES = 256;

/** Where a value is written. */
export interface Origin {
  path: string;
  line: number;
}

export interface ParsedPack {
  /** Present when there are no problems. */
  pack?: Pack;
  /** Everything that is wrong with the file (up to 200 problems), in the order of its lines. */
  problems: PackProblem[];
  /** Where a value of the pack, or the nearest one above it, is written. */
  origin?: (at: PackPath) => Origin;
}

/**
 * Reads and checks the text of a pack file, with overlays applied in this order. Reports all problems together; never
 * throws on bad input. `path` is only used in problems. `schema` says which tables and columns there are.
 */
export function parsePack(
  text: string,
  path: string,
  schema: CaptureSchema = readCaptureSchema(),
  overlays: readonly Overlay[] = [],
): ParsedPack {
  const yaml = readYaml(text, path);
  if ('problems' in yaml) {
    const all = [...yaml.problems, ...overlays.flatMap(({ problems }) => problems)];
    return { problems: inOrder(all, path).slice(0, MAX_PROBLEMS) };
  }
  const layered = new LayeredYaml(yaml.document, yaml.value, overlays);
  const { value } = layered;
  const shape = checkGrammar(value);
  const issues = isRecord(value) ? [...shape, ...checkMeaning(value, shape, schema)] : shape;
  const located = issues.slice(0, MAX_PROBLEMS).map((issue) => layered.locate(issue));
  const problems = inOrder([...located, ...layered.problems], path);
  if (problems.length > 0) return { problems };
  const origin = (at: PackPath): Origin => {
    const { path: file, line } = layered.locate({ rule: '', message: '', at, key: true });
    return { path: file, line };
  };
  return {
    pack: toPack(value as PackYaml, sourceOf(text, path, layered, overlays, origin)),
    problems,
    origin,
  };
}

function sourceOf(
  text: string,
  path: string,
  { value, isChanged }: LayeredYaml,
  overlays: readonly Overlay[],
  origin: (at: PackPath) => Origin,
): PackSource {
  const inForce = isChanged ? stringify(value) : text;
  const disabled = (value as PackYaml).probes.flatMap(({ enabled }, index) => {
    if (enabled !== false) return [];
    const { path: file, line } = origin(['probes', index, 'enabled']);
    return [[index, `${file}:${line}`] as const];
  });
  return {
    path,
    text: inForce,
    sha256: sha256(inForce),
    fileSha256: sha256(text),
    overlays: overlays.map((overlay) => ({ path: overlay.path, sha256: overlay.sha256 })),
    disabled: Object.fromEntries(disabled),
  };
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
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
  ok?: number[];
  probes: ProbeSpec[];
  tests?: PackTest[];
}

function toPack(yaml: PackYaml, source: PackSource): Pack {
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
    ...(yaml.ok === undefined ? {} : { ok: yaml.ok }),
    probes: yaml.probes,
    tests: yaml.tests ?? [],
    source,
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
      compileProbe(text('name') ?? '', spec as ProbeSpec, index, types, arch, {
        ...(text('result') === undefined ? {} : { result: text('result') as string }),
      }),
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
    ok: Array.isArray(value.ok) && sound('ok') ? (value.ok as number[]) : undefined,
    when: Array.isArray(value.when) && sound('when') ? (value.when as WhenSpec[]) : [],
    enums: new Map(enums.map(([name, names]) => [name, isRecord(names) ? (names as EnumTable) : {}])),
    sizes: new Set(isRecord(value.sizes) ? Object.keys(value.sizes) : []),
    probes,
    tests: Array.isArray(value.tests)
      ? value.tests.flatMap((test: PackTest, index) => (sound('tests', index) ? { index, test } : []))
      : [],
    types,
    schema,
  };
  return [...issues, ...RULES.flatMap((rule) => rule(facts))];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Those of the pack's file first, by line and column; what both architectures report alike is kept once. */
function inOrder(problems: readonly PackProblem[], path: string): PackProblem[] {
  const unique = new Map(
    problems.map((problem) => [
      `${problem.path}:${problem.line}:${problem.column}:${problem.rule}:${problem.message}`,
      problem,
    ]),
  );
  const rank = (problem: PackProblem): string => (problem.path === path ? '' : problem.path);
  return [...unique.values()].sort(
    (a, b) => rank(a).localeCompare(rank(b)) || a.line - b.line || a.column - b.column,
  );
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
 * Reads one file that may be anything, with overlays applied in this order. Never throws for what is in it: an
 * unreadable file, one that is no text, and a wrong pack all give problems.
 */
export function readPackFile(path: string, overlays: readonly Overlay[] = []): ParsedPack {
  const read = readPackText(path);
  if ('problem' in read) return { problems: [read.problem] };
  return parsePack(read.text, path, undefined, overlays);
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
    .filter((file) => file.endsWith('.yaml') && !file.endsWith(OVERLAY_SUFFIX))
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
