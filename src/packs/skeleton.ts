import { basename } from 'node:path';
import type { CaptureSchema, ColumnSpec } from '../capture/schema.js';
import { EXIT, IngeroError } from '../errors.js';
import type { CType, RecordType } from './ctype.js';
import { formatProblems } from './format.js';
import { type HeaderFunction, readDeclarations, splitDeclaration } from './header.js';
import { type HeaderToken, outsideBrackets, splitTokens, tokensText } from './header-lexer.js';
import { functionPointer, HeaderProblem, mentions, TypeCollector } from './header-types.js';
import { parsePack } from './load.js';
import type { PackProblem } from './model.js';
import { type PreprocessedHeader, preprocessHeader } from './preprocess.js';
import { parsePrototype, parseTypes, type TypeTable } from './prototype.js';
import { didYouMean, nearest } from './suggest.js';

/** What a new pack is made of. */
export interface SkeletonOptions {
  name: string;
  header: string;
  functions: readonly string[];
  /** Folders with headers the header includes and that do not lie beside it. */
  includeDirs: readonly string[];
  soname: string;
  table: string;
  schema: CaptureSchema;
}

/** The text of a new pack, which is valid. */
export interface Skeleton {
  yaml: string;
  functions: string[];
  /** Types that are declared without members because the header does not have them. */
  opaque: string[];
}

/** Something of a call that could be recorded. */
interface SkeletonCapture {
  /** `size`, or `'*out', at: return`: what stands behind `arg:`. */
  arg: string;
  /** Column of its name, when what it holds is surely what such a column is for; and the type it needs. */
  column?: string;
  type?: string;
}

interface SkeletonProbe {
  name: string;
  prototype: string;
  symbols: readonly string[];
  captures: SkeletonCapture[];
  returns: readonly HeaderToken[];
}

/**
 * Writes a pack for functions of a C header. Throws `header-unreadable`, and `header-unusable` with everything
 * that keeps the functions from being written.
 */
export function makeSkeleton(options: SkeletonOptions): Skeleton {
  const functions = [...new Set(options.functions)];
  const header = preprocessHeader(options.header, options.includeDirs, new Set(functions));
  const declarations = readDeclarations(header.tokens);
  const collector = new TypeCollector(declarations);
  const problems: string[] = [];
  const probes = functions.flatMap((name): SkeletonProbe[] => {
    const found = declarations.functions.get(name);
    if (found === undefined) {
      const hint = didYouMean(name, declarations.functions.keys());
      problems.push(`${name} is not declared${hint === undefined ? '' : `; ${hint}`}`);
      return [];
    }
    try {
      return [describeFunction(name, found, header, collector)];
    } catch (error) {
      if (!(error instanceof HeaderProblem)) throw error;
      problems.push(`${name} ${error.message}`);
      return [];
    }
  });
  if (problems.length > 0) throw unusable(options.header, problems, header);
  const yaml = writePack(options, collector, nameParameters(probes, collector));
  return { yaml, functions, opaque: [...collector.unknown] };
}

function unusable(path: string, problems: readonly string[], { notFound }: PreprocessedHeader): IngeroError {
  const absent = [...notFound];
  return new IngeroError(`${path}: ${problems.join('\n  ')}`, {
    code: 'header-unusable',
    exitCode: EXIT.badPack,
    ...(absent.length === 0
      ? {}
      : { next: `Not found were ${absent.slice(0, 8).join(', ')}: name their folders with --include.` }),
  });
}

function describeFunction(
  name: string,
  { returns, params, isInline }: HeaderFunction,
  header: PreprocessedHeader,
  collector: TypeCollector,
): SkeletonProbe {
  if (isInline) throw new HeaderProblem('is defined in the header itself: no library has it');
  const result = splitDeclaration(returns.filter(({ text }) => text !== '*'));
  const stars = returns.filter(({ text }) => text === '*');
  // What is left of the name is all type; a word taken for a declarator belongs to it.
  const words = collector.use(
    [...result.base, ...result.declarator],
    stars.length > 0 ? 'opaque' : 'complete',
  );
  const list = isVoid(params) ? [] : splitTokens(params, ',');
  const written = list.map((param) => writeParameter(param, collector));
  const text = tokensText([...words, ...stars, { kind: 'word', text: name }]);
  return {
    name,
    prototype: `${text}(${written.length === 0 ? 'void' : written.join(', ')})`,
    symbols: header.renamed.get(name) ?? [name],
    captures: [],
    returns: stars.length > 0 ? [] : words,
  };
}

function isVoid(params: readonly HeaderToken[]): boolean {
  return params.length === 0 || (params.length === 1 && params[0]?.text === 'void');
}

function writeParameter(param: readonly HeaderToken[], collector: TypeCollector): string {
  if (param.length === 0) throw new HeaderProblem('has a parameter that cannot be read');
  if (param[0]?.text === '...') throw new HeaderProblem('takes a variable number of arguments');
  const equals = param.findIndex(({ text }) => text === '=');
  const { base, declarator } = splitDeclaration(equals < 0 ? param : param.slice(0, equals));
  if (mentions(declarator, '(')) return `void ${functionPointer(declarator)}`;
  if (mentions(declarator, '&')) throw new HeaderProblem('takes a C++ reference');
  const stars = outsideBrackets(declarator).filter(({ text }) => text === '*').length;
  const pointers = stars + declarator.filter(({ text }) => text === '[').length;
  const words = collector.use(base, pointers === 0 ? 'complete' : pointers === 1 ? 'members' : 'opaque');
  const shape = collector.declarator(declarator, false);
  return tokensText([...words, ...shape]);
}

/** Gives parameters without a name one: captures could not reach them. */
function nameParameters(probes: readonly SkeletonProbe[], collector: TypeCollector): SkeletonProbe[] {
  const { types } = parseTypes(collector.lines.join('\n'));
  return probes.map((probe) => {
    const open = probe.prototype.indexOf('(');
    const list = probe.prototype.slice(open + 1, -1);
    const parsed = parsePrototype(probe.prototype, types).prototype;
    if (parsed === undefined || parsed.params.length === 0) return probe;
    const params = list.split(', ').map((param, index) => {
      if (parsed.params[index]?.name !== undefined) return param;
      const name = `arg${index + 1}`;
      const bracket = param.indexOf('[');
      const type = bracket < 0 ? param : param.slice(0, bracket);
      return `${type}${type.endsWith('*') ? '' : ' '}${name}${bracket < 0 ? '' : param.slice(bracket)}`;
    });
    const prototype = `${probe.prototype.slice(0, open)}(${params.join(', ')})`;
    return { ...probe, prototype, captures: capturable(prototype, types) };
  });
}

/** What captures can name: numbers, pointers, what a pointer points to, and members of structs. */
function capturable(prototype: string, types: TypeTable): SkeletonCapture[] {
  const params = parsePrototype(prototype, types).prototype?.params ?? [];
  return params.flatMap(({ name, type }): SkeletonCapture[] => {
    if (name === undefined) return [];
    if (type.kind === 'record') return scalarMembers(type, `${name}.`);
    if (type.kind === 'pointer' && type.to.kind === 'record') {
      return [{ arg: name, column: name, type: 'UBIGINT' }, ...scalarMembers(type.to, `${name}->`)];
    }
    if (type.kind === 'pointer' && isChar(type.to)) return [{ arg: `${name}, string: 256` }];
    // A column named like an out-parameter is for what it points to, if it is an out-parameter.
    if (type.kind === 'pointer' && isScalar(type.to)) {
      return [{ arg: name }, { arg: `'*${name}', at: return` }];
    }
    return isScalar(type) ? [{ arg: name, column: name, type: columnType(type) }] : [];
  });
}

/** What a C string consists of. */
function isChar(type: CType): boolean {
  return type.kind === 'int' && type.size === 1 && type.signed === 'plain';
}

function isScalar(type: CType): boolean {
  return type.kind === 'pointer' || (type.kind === 'int' && type.size <= 8);
}

/** The narrowest column type that holds every value. `char` has a sign on one architecture only. */
function columnType(type: CType): string {
  if (type.kind !== 'int') return 'UBIGINT';
  if (type.signed === 'plain') return 'SMALLINT';
  const name = { 1: 'TINYINT', 2: 'SMALLINT', 4: 'INTEGER', 8: 'BIGINT', 16: 'HUGEINT' }[type.size];
  return type.signed ? name : `U${name}`;
}

function scalarMembers(record: RecordType, prefix: string): SkeletonCapture[] {
  return (record.members ?? [])
    .filter(({ name, type }) => name !== '' && isScalar(type))
    .map(({ name }) => ({ arg: `${prefix}${name}` }));
}

/**
 * Writes the pack with every parameter as a capture. Those that have a column of their name and fit into it count,
 * the others are comments for the author to complete. A table that is not a built-in one gets its columns from them.
 */
function writePack(
  options: SkeletonOptions,
  collector: TypeCollector,
  probes: readonly SkeletonProbe[],
): string {
  const refused = new Set<string>();
  for (;;) {
    const columns = columnsOf(options, probes, refused);
    const { text, keys } = render(options, collector, probes, columns, refused);
    const { problems } = parsePack(text, options.name, options.schema);
    if (problems.length === 0) return text;
    const demoted = problems.flatMap((problem) => keys.get(problem.line) ?? []);
    if (demoted.length === 0) throw invalid(problems, options);
    for (const key of demoted) refused.add(key);
  }
}

/** Columns a capture may fill: the table's, or those the pack is to define. */
interface SkeletonColumns {
  columns: readonly ColumnSpec[];
  areOwn: boolean;
}

function columnsOf(
  { table, schema }: SkeletonOptions,
  probes: readonly SkeletonProbe[],
  refused: ReadonlySet<string>,
): SkeletonColumns {
  const known = schema.event_tables[table];
  // A name that is nearly a table's is a slip of the hand; the pack's check says so.
  if (known !== undefined || nearest(table, Object.keys(schema.event_tables)) !== undefined) {
    return { columns: known?.columns ?? [], areOwn: false };
  }
  const columns = new Map<string, ColumnSpec>();
  for (const { name: owner, captures } of probes) {
    for (const { arg, column, type } of captures) {
      if (column === undefined || type === undefined || columns.has(column)) continue;
      if (refused.has(`column ${column}`) || refused.has(`${owner} ${arg}`)) continue;
      columns.set(column, { name: column, type, description: `Argument ${arg} of ${owner}` });
    }
  }
  return { columns: [...columns.values()], areOwn: true };
}

function invalid(problems: readonly PackProblem[], { header, table, schema }: SkeletonOptions): IngeroError {
  return new IngeroError(
    `The pack for ${basename(header)} would not be valid:\n\n${formatProblems(problems)}`,
    {
      code: 'header-unusable',
      exitCode: EXIT.badPack,
      ...(Object.hasOwn(schema.event_tables, table)
        ? {}
        : { expected: `--table with one of ${Object.keys(schema.event_tables).join(', ')}` }),
    },
  );
}

function render(
  { name, header, soname, table }: SkeletonOptions,
  collector: TypeCollector,
  probes: readonly SkeletonProbe[],
  { columns, areOwn }: SkeletonColumns,
  refused: ReadonlySet<string>,
): { text: string; keys: Map<number, string> } {
  /** What the author did not write and can be left out, by line. */
  const keys = new Map<number, string>();
  const results = resultNames(probes, collector);
  const lines = [
    `# Made from ${basename(header)}. Still to do: the description, and under capture what to record.`,
    ...(areOwn ? [] : [`# Columns of ${table}: ${columns.map((column) => column.name).join(', ')}.`]),
    'schema: 1',
    `name: ${name}`,
    'version: 0.1.0',
    `description: Functions of ${JSON.stringify(basename(header)).slice(1, -1)}`,
    `layer: ${name.replaceAll('-', '_').replace(/^(?=[0-9])/, '_')}`,
    'libraries:',
    `  - soname: ${JSON.stringify(soname)}`,
    `table: ${table}`,
  ];
  if (areOwn && columns.length > 0) lines.push('columns:');
  for (const column of areOwn ? columns : []) {
    lines.push(`  - { name: ${column.name}, type: ${column.type}, description: ${column.description} }`);
    keys.set(lines.length, `column ${column.name}`);
  }
  lines.push(
    ...(collector.lines.length === 0 ? [] : ['types: |', ...collector.lines.map((line) => `  ${line}`)]),
    ...(results === undefined
      ? []
      : [
          'enums:',
          `  ${results.name}:`,
          ...[...results.values].map(([value, word]) => `    ${value}: ${word}`),
          `result: ${results.name}`,
        ]),
    'probes:',
  );
  for (const probe of probes) {
    lines.push(`  - prototype: ${probe.prototype}`);
    if (probe.symbols.length > 1 || probe.symbols[0] !== probe.name) {
      lines.push(`    symbols: [${probe.symbols.join(', ')}]`);
    }
    const lineOf = ({ arg, column }: SkeletonCapture): { key: string; line: string; isActive: boolean } => {
      const key = `${probe.name} ${arg}`;
      const fits = columns.some(({ name, type }) => name === column && type !== 'NAME');
      const isActive = fits && !refused.has(key);
      return { key, isActive, line: `- { arg: ${arg}, column: ${isActive ? column : '...'} }` };
    };
    const list = probe.captures.map(lineOf);
    if (list.length > 0) lines.push(`    ${list.some(({ isActive }) => isActive) ? '' : '# '}capture:`);
    for (const { key, line, isActive } of list) {
      lines.push(isActive ? `      ${line}` : `    #   ${line}`);
      if (isActive) keys.set(lines.length, key);
    }
  }
  return { text: `${lines.join('\n')}\n`, keys };
}

/** The enum all functions return, when 0 is in it and each of them returns it: it names their results. */
function resultNames(
  probes: readonly SkeletonProbe[],
  collector: TypeCollector,
): { name: string; values: ReadonlyMap<number, string> } | undefined {
  const all = probes.map(({ returns }) => collector.enumerators(returns));
  const [first] = all;
  if (first === undefined || !first.values.has(0) || first.values.size > 4096) return undefined;
  return all.every((other) => other?.name === first.name) ? first : undefined;
}
