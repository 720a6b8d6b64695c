/**
 * A library made of the prototypes of a pack that does what its tests say, and a program that makes their calls: one
 * thread per call, so that the thread tells which call a row is of.
 */
import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import type { CType } from '../packs/ctype.js';
import type { Pack, PackTest, TestValue } from '../packs/model.js';
import { numberOf } from '../packs/test-paths.js';
import { CText } from '../stub/c-text.js';
import { ELEMENTS, nameOf, signature, type Target, targetsOf } from '../stub/library.js';

/** Version of the library where a test names none: newer than any a pack may ask for. */
export const ANY_VERSION = '999';

/** Compilers that are looked for, in this order. */
const COMPILERS = ['cc', 'gcc', 'clang'];

/** Path of a C compiler in PATH; null when there is none. */
export function findCompiler(path: string = process.env.PATH ?? ''): string | null {
  const candidates = COMPILERS.flatMap((name) => path.split(':').map((folder) => join(folder || '.', name)));
  return candidates.find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Compiles library and program into `dir` and returns the path of the program. It makes the calls of `tests`, all for
 * one version of the library, and writes a line to the file it is given for each: number of the test, thread.
 * Throws `compiler-failed`.
 */
export function buildTestProgram(
  pack: Pack,
  tests: readonly PackTest[],
  version: string,
  dir: string,
  compiler: string,
): string {
  mkdirSync(dir, { recursive: true });
  const text = new CText();
  const targets = targetsOf(pack);
  const functions = targets.map((target) => define(text, target, tests));
  const calls = tests.map((test, index) => {
    const target = targets.find(({ compiled }) => compiled.op === test.call) as Target;
    return `static void *test_${index}(void *unused) {\n${callLines(text, target, test, index)}\n}`;
  });
  const declarations = targets.map((target) => `extern ${signature(text, target)};`);
  const head = [
    '#include <stdint.h>',
    ...text.definitions,
    'extern int stub_call; extern uint64_t stub_result;',
  ].join('\n');

  const soname = fileName(pack, version);
  const library = join(dir, soname);
  const program = join(dir, 'calls');
  const run = (name: string, source: string, args: readonly string[]): void => {
    const file = join(dir, name);
    writeFileSync(file, source);
    compile(compiler, [file, ...args]);
  };
  run('library.c', `${head}\nint stub_call; uint64_t stub_result;\n${functions.join('\n')}\n`, [
    ...['-shared', '-fPIC', `-Wl,-soname,${soname}`, ...versionScript(pack, version, dir), '-o', library],
  ]);
  const main = tests.map((_, index) => `run(${index}, test_${index});`).join(' ');
  run(
    'calls.c',
    `${PROGRAM}\n${head}\n${declarations.join('\n')}\n${calls.join('\n')}\n${MAIN.replace('CALLS', main)}`,
    [library, '-Wl,-rpath,$ORIGIN', '-pthread', '-o', program],
  );
  return program;
}

const PROGRAM = `#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/syscall.h>`;

const MAIN = `static FILE *told;
struct call { int number; void *(*test)(void *); };
static void *start(void *argument) {
  struct call *call = argument;
  fprintf(told, "%d\\t%ld\\n", call->number, (long)syscall(SYS_gettid));
  return call->test(0);
}
static void run(int number, void *(*test)(void *)) {
  struct call call = { number, test };
  pthread_t thread;
  if (pthread_create(&thread, 0, start, &call) == 0) pthread_join(thread, 0);
}
int main(int count, char **arguments) {
  told = fopen(arguments[1], "w");
  if (told == 0) return 1;
  CALLS
  return fclose(told) != 0;
}
`;

function compile(compiler: string, args: readonly string[]): void {
  try {
    execFileSync(compiler, ['-O0', '-w', '-fno-builtin', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: Buffer };
    throw new IngeroError(`The stub library cannot be compiled: ${stderr?.toString().trim() || message}`, {
      code: 'compiler-failed',
      exitCode: EXIT.notReady,
      expected: 'a C compiler that makes shared libraries',
      next: 'Run the tests with --through decoder.',
      cause,
    });
  }
}

/** A name of the first library the pack is for. The first `*` of its glob becomes the version. */
function fileName(pack: Pack, version: string): string {
  const glob = pack.libraries[0]?.soname ?? '';
  return glob.replace('*', version).replaceAll(/[*?]/g, 'x');
}

/** Version definitions of the library, where the pack goes by them. */
function versionScript(pack: Pack, version: string, dir: string): string[] {
  const pattern = pack.libraries[0]?.version;
  if (pattern === undefined) return [];
  const path = join(dir, 'versions');
  writeFileSync(path, `${pattern.replace('*', version)} { global: *; };\n`);
  return [`-Wl,--version-script=${path}`];
}

function define(text: CText, target: Target, tests: readonly PackTest[]): string {
  const cases = tests.flatMap((test, index) => {
    if (test.call !== target.compiled.op || test.sets === undefined) return [];
    return [`case ${index}: ${assignments(test.sets).join(' ')} break;`];
  });
  const body = cases.length === 0 ? '' : `switch (stub_call) { ${cases.join(' ')} } `;
  return `${signature(text, target)} { ${body}${returnStatement(text, target.prototype.returns)} }`;
}

function returnStatement(text: CText, type: CType): string {
  if (type.kind === 'int') return 'return stub_result;';
  if (type.kind === 'pointer') return 'return (void *)stub_result;';
  return type.kind === 'void' ? '' : `static ${text.declare(type, 'nothing')}; return nothing;`;
}

/** A call with zeros in everything the test does not set, and memory behind every pointer that is followed. */
function callLines(text: CText, target: Target, test: PackTest, index: number): string {
  const given = test.with ?? {};
  const paths = [
    ...Object.keys(given),
    ...Object.keys(test.sets ?? {}),
    ...(target.spec.capture ?? []).flatMap(({ arg, product = [], unless = [], scale }) => [
      ...product,
      ...unless,
      ...(arg === undefined ? [] : [arg]),
      ...(scale === undefined ? [] : [scale.arg]),
    ]),
    ...(target.spec.where ?? []).flatMap(({ arg }) => arg ?? []),
  ];
  const isFollowed = (name: string): boolean =>
    paths.some((path) => new RegExp(`^(\\s*\\*\\s*${name}\\b|\\s*${name}\\s*(->|\\[))`).test(path));
  const lines = target.prototype.params.flatMap((param, position) => {
    const name = nameOf(param, position);
    const declare = `${text.declare(param.type, name)}; memset(&${name}, 0, sizeof ${name});`;
    if (!isFollowed(name) || Object.hasOwn(given, name)) return [declare];
    return [
      declare,
      `static __typeof__(*${name}) behind_${name}[${ELEMENTS}]; ${name} = (void *)behind_${name};`,
    ];
  });
  const parameters = target.prototype.params.map(nameOf).join(', ');
  return [
    ...lines,
    ...assignments(given),
    `stub_call = ${index}; stub_result = (uint64_t)${literal(test.returns ?? 0)};`,
    `${target.symbol}(${parameters});`,
    'return 0;',
  ]
    .map((line) => `  ${line}`)
    .join('\n');
}

/** Pointers first: what is behind them is set through them. */
function assignments(values: Readonly<Record<string, TestValue>>): string[] {
  const entries = Object.entries(values);
  const isPlain = ([path]: [string, TestValue]): boolean => /^\s*\w+\s*$/.test(path);
  return [...entries.filter(isPlain), ...entries.filter((entry) => !isPlain(entry))].map(
    ([path, value]) => `${path} = (__typeof__(${path}))${literal(value)};`,
  );
}

function literal(value: TestValue): string {
  const number = numberOf(value);
  return number === undefined ? cString(String(value)) : `${BigInt.asUintN(64, number)}ull`;
}

/** A C string literal of any text: bytes other than letters and digits are escaped. */
function cString(value: string): string {
  const bytes = [...Buffer.from(value, 'utf8')];
  return `"${bytes.map((byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')}"`;
}
