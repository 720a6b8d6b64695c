/**
 * A library made of the prototypes of a probe pack, and a program that calls every function of it with values
 * nobody else uses. The compiler places the arguments and evaluates the paths of the captures, so what a trace
 * records can be compared with something that knows nothing of registers, stacks and offsets.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compilePack } from '../packs/compile.js';
import type { Arch, CaptureSpec, CompiledProbe, ConditionSpec, Pack, ProbeSpec } from '../packs/model.js';
import { type Param, type Prototype, parsePrototype, parseTypes } from '../packs/prototype.js';
import { CText } from './c-text.js';
import { chooseValues, holds, type Leaf, pathsOf, RESULT, violation } from './values.js';

/** Elements behind every pointer that is followed. */
export const ELEMENTS = 16;

export interface Stub {
  library: string;
  program: string;
  /** Calls the program makes, in order. */
  calls: readonly StubCall[];
  /** Further calls, one per condition of a probe, that do not fulfil it. */
  rejected: number;
}

/** A call and the row it must become. Numbers are decimal text, what is NULL is left out. */
export interface StubCall {
  symbol: string;
  /** The columns, once the program has told the values of the paths. */
  row(told: ReadonlyMap<string, string>): Record<string, string>;
}

/** One function of a library. */
export interface Target {
  symbol: string;
  spec: ProbeSpec;
  compiled: CompiledProbe;
  prototype: Prototype;
}

/** Generates and compiles the library and the program into `dir`. */
export function buildStub(pack: Pack, dir: string): Stub {
  mkdirSync(dir, { recursive: true });
  const targets = targetsOf(pack);
  const text = new CText();
  let unique = 0;
  const next = (): number => unique++;
  const codes = Object.keys(pack.enums[pack.result ?? ''] ?? {}).map(Number);
  const functions: string[] = [];
  const blocks: string[] = [];
  const calls: StubCall[] = [];
  let rejected = 0;
  for (const target of targets) {
    const rounds = ([0, 1] as const).map((round) => ({
      round,
      leaves: chooseValues(pack, target.spec, target.compiled, round, next),
      result: round === 0 ? successOf(target.compiled) : resultFor(target, codes, next()),
    }));
    functions.push(define(text, target, rounds[0]?.leaves ?? []));
    for (const { leaves, result } of rounds) {
      blocks.push(callBlock(text, target, leaves, result, calls.length));
      calls.push({ symbol: target.symbol, row: (told) => expectedRow(pack, target, result, told) });
    }
    for (const condition of (target.spec.where ?? []).filter(canBeViolated)) {
      const number = violation(condition);
      const leaves = (rounds[0]?.leaves ?? []).map((leaf) =>
        leaf.path === condition.arg ? { ...leaf, value: number } : leaf,
      );
      blocks.push(
        callBlock(
          text,
          target,
          leaves,
          condition.of === 'result' ? Number(number) : successOf(target.compiled),
          UNTOLD,
        ),
      );
      rejected++;
    }
  }

  const head = [
    '#include <stdint.h>',
    '#include <string.h>',
    ...text.definitions,
    'extern int stub_result;',
  ].join('\n');
  const soname = (pack.libraries[0]?.soname ?? '').replace('*', '1');
  const library = join(dir, soname);
  const program = join(dir, 'calls');
  compile(join(dir, 'library.c'), `${head}\nint stub_result;\n${functions.join('\n')}\n`, [
    ...['-shared', '-fPIC', `-Wl,-soname,${soname}`, '-o', library],
  ]);
  const declarations = targets.map((target) => `extern ${signature(text, target)};`);
  const body = blocks.map((block, index) => `static void call_${index}(void) {\n${block}\n}`);
  const main = blocks.map((_, index) => `call_${index}();`).join(' ');
  compile(
    join(dir, 'calls.c'),
    `${head}\n${PROGRAM}\n${declarations.join('\n')}\n${body.join('\n')}\nint main(void) { ${main} return 0; }\n`,
    ['-o', program, '-Wl,-rpath,$ORIGIN', library],
  );
  return { library, program, calls, rejected };
}

/** In place of the number of a call nobody asks about. */
const UNTOLD = 1_000_000;

/** Values of paths are printed one a line: call, path, number. */
const PROGRAM = `
int printf(const char *, ...);
char *strcpy(char *, const char *);
void *memset(void *, int, unsigned long);
#define TELL(call, path, text, value) printf("%d\\t%s\\t" text "\\n", call, path, value)
`;

/** What the program printed, by call. */
export function readTold(output: string): Map<string, string>[] {
  const calls: Map<string, string>[] = [];
  for (const line of output.split('\n')) {
    const [call, path, value] = line.split('\t');
    if (path === undefined || value === undefined) continue;
    const told = calls[Number(call)] ?? new Map<string, string>();
    told.set(path, value);
    calls[Number(call)] = told;
  }
  return calls;
}

/** Every symbol of a pack, with the declaration behind it. */
export function targetsOf(pack: Pack): Target[] {
  const { types } = parseTypes(pack.types);
  return compilePack(pack, process.arch as Arch).probes.flatMap((compiled, index) => {
    const spec = pack.probes[index] as ProbeSpec;
    const { prototype } = parsePrototype(spec.prototype, types);
    if (prototype === undefined) throw new Error(`cannot read ${spec.prototype}`);
    return compiled.symbols.map((symbol) => ({ symbol, spec, compiled, prototype }));
  });
}

const successOf = ({ ok }: CompiledProbe): number => ok[0] ?? 0;

const isSuccess = ({ ok }: CompiledProbe, result: number): boolean => ok.length === 0 || ok.includes(result);

/** Who calls is not the program's to choose, and the library always hands out the same results. */
const canBeViolated = ({ arg, of, at }: ConditionSpec): boolean =>
  (arg !== undefined && at !== 'return') || of === 'result';

/** An error of the pack that its conditions let through; 0 where no code is returned. */
function resultFor({ prototype, spec, compiled }: Target, codes: readonly number[], unique: number): number {
  if (prototype.returns.kind === 'void' || prototype.returns.kind === 'pointer') return 0;
  if (prototype.returns.kind !== 'int') throw new Error(`${compiled.op}: what it returns is not supported`);
  const conditions = (spec.where ?? []).filter(({ of }) => of === 'result');
  if (spec.where?.some(({ of }) => of === 'duration'))
    throw new Error(`${compiled.op}: where on its duration`);
  const errors = codes.filter((code) => !isSuccess(compiled, code));
  const fitting = errors.filter((code) => conditions.every((condition) => holds(condition, BigInt(code))));
  return fitting[unique % Math.max(1, fitting.length)] ?? 0;
}

/** Parameters need names in C. */
export const nameOf = ({ name }: Param, index: number): string => name ?? `unnamed_${index}`;

/** The declaration of a function, in types an ABI sees. */
export function signature(text: CText, { symbol, prototype }: Target): string {
  const params = prototype.params.map((param, index) => text.declare(param.type, nameOf(param, index)));
  return text.declare(prototype.returns, `${symbol}(${params.join(', ') || 'void'})`);
}

const assign = ({ path, value, text, isArray }: Leaf): string => {
  if (text === undefined) return `${path} = (__typeof__(${path}))${BigInt.asUintN(64, value)}ull;`;
  const literal = JSON.stringify(text);
  return isArray === true
    ? `strcpy((char *)${path}, ${literal});`
    : `${path} = (__typeof__(${path}))${literal};`;
};

/** The function: after a success it hands out what the first round captures at return. */
function define(text: CText, target: Target, leaves: readonly Leaf[]): string {
  const { compiled, prototype } = target;
  const results = leaves.filter(({ isResult, path }) => isResult && path !== RESULT).map(assign);
  const succeeded = compiled.ok.map((code) => `stub_result == ${code}`).join(' || ') || '1';
  const fill = results.length === 0 ? '' : `if (${succeeded}) { ${results.join(' ')} } `;
  const returned = leaves.find(({ path }) => path === RESULT);
  const address = returned?.text === undefined ? `${returned?.value ?? 0}ull` : JSON.stringify(returned.text);
  const back = {
    void: '',
    pointer: `return (void *)${address};`,
  }[prototype.returns.kind as string];
  return `${signature(text, target)} { ${fill}${back ?? 'return stub_result;'} }`;
}

/** Passes garbage where nothing is captured, and in what a pointer that is followed leads to. */
function callBlock(
  text: CText,
  { symbol, prototype, compiled }: Target,
  leaves: readonly Leaf[],
  result: number,
  call: number,
): string {
  const isFollowed = (name: string): boolean =>
    leaves.some(({ path }) => new RegExp(`^(\\*\\s*${name}\\b|${name}\\s*(->|\\[))`).test(path));
  const lines: string[] = [];
  for (const [index, param] of prototype.params.entries()) {
    const name = nameOf(param, index);
    lines.push(`${text.declare(param.type, name)}; memset(&${name}, 0xa5, sizeof ${name});`);
    if (!isFollowed(name)) continue;
    lines.push(
      `static __typeof__(*${name}) behind_${name}[${ELEMENTS}]; memset(behind_${name}, 0x5a, sizeof behind_${name}); ${name} = behind_${name};`,
    );
  }
  const tell = ({ path, signed, text: string }: Leaf): string =>
    string !== undefined
      ? `TELL(${call}, "${path}", "%s", (const char *)(${path}));`
      : signed
        ? `TELL(${call}, "${path}", "%lld", (long long)(${path}));`
        : `TELL(${call}, "${path}", "%llu", (unsigned long long)(${path}));`;
  const [results, inputs] = [leaves.filter((leaf) => leaf.isResult), leaves.filter((leaf) => !leaf.isResult)];
  lines.push(...inputs.map(assign), ...inputs.map(tell), `stub_result = ${result};`);
  const made = `${symbol}(${prototype.params.map(nameOf).join(', ')});`;
  const isTold = results.some(({ path }) => path === RESULT);
  lines.push(isTold ? `${text.declare(prototype.returns, RESULT)} = ${made}` : made);
  if (isSuccess(compiled, result)) lines.push(...results.map(tell));
  return lines.map((line) => `  ${line}`).join('\n');
}

function expectedRow(
  pack: Pack,
  { spec, compiled, prototype }: Target,
  result: number,
  told: ReadonlyMap<string, string>,
): Record<string, string> {
  const isEntry = compiled.mode === 'entry';
  const row: Record<string, string> = {
    op: compiled.op,
    layer: pack.layer,
    status: isEntry ? 'entry' : isSuccess(compiled, result) ? 'ok' : 'error',
  };
  if (!isEntry && prototype.returns.kind === 'int') row.return_code = String(result);
  if (!isSuccess(compiled, result)) row.error = pack.enums[pack.result ?? '']?.[result] ?? '';
  for (const capture of spec.capture ?? []) {
    // The program passes a buffer that holds its text already.
    if (capture.at === 'return' && !isSuccess(compiled, result)) continue;
    const value = expectedValue(pack, capture, told);
    if (value !== undefined) row[capture.column] = value;
  }
  return row;
}

/** Undefined: NULL. */
function expectedValue(
  pack: Pack,
  capture: CaptureSpec,
  told: ReadonlyMap<string, string>,
): string | undefined {
  if (capture.redact === 'drop') return undefined;
  const paths = pathsOf(capture);
  if (paths.some((path) => !told.has(path))) return undefined;
  if (capture.string !== undefined) return cut(told.get(paths[0] as string) as string, capture.string);
  if (capture.unless?.some((path) => told.get(path) !== '0')) return undefined;
  let value = BigInt(capture.value ?? 1) * BigInt(capture.times ?? 1);
  for (const path of paths) value *= BigInt(told.get(path) as string);
  if (capture.scale !== undefined) {
    const size = pack.sizes[capture.scale.sizes]?.[Number(told.get(capture.scale.arg))];
    if (size === undefined) return undefined;
    value *= BigInt(size);
  }
  return capture.enum === undefined ? String(value) : pack.enums[capture.enum]?.[Number(value)];
}

function cut(text: string, bytes: number): string {
  return text.length > bytes ? `${text.slice(0, bytes)}\u2026` : text;
}

function compile(file: string, source: string, args: readonly string[]): void {
  writeFileSync(file, source);
  execFileSync('gcc', ['-O0', '-w', '-fno-builtin', file, ...args], { stdio: 'inherit' });
}
