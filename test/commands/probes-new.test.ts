import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { constantValue } from '../../src/packs/constant.js';
import { readDeclarations } from '../../src/packs/header.js';
import { lexHeader } from '../../src/packs/header-lexer.js';
import { compilePack, parsePack } from '../../src/packs/index.js';
import { preprocessHeader } from '../../src/packs/preprocess.js';
import { makeSkeleton, type Skeleton } from '../../src/packs/skeleton.js';
import { buildCli, type Cli, type RunResult } from '../support/cli.js';

const work = mkdtempSync(join(tmpdir(), 'ingero-new-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** A header with what vendors put around their declarations. */
const SITE = `#ifndef SITE_H
#define SITE_H
#include <stdint.h>
#include "site_types.h"
#include <site/more.h>
#if defined(_WIN32) || defined(__CYGWIN__)
#define SITE_API __declspec(dllexport)
#elif defined(__GNUC__) && __GNUC__ >= 4
#define SITE_API __attribute__((visibility("default")))
#else
#error compiler?
#endif
#define SITE_CB
#define SITE_NOTHROW __attribute__((nothrow))
#define SITE_MAX (4 * \\
  4)
#define SITE_DECL(type) SITE_API type
#define SITE_JOIN_(a, b) a ## b
#define SITE_JOIN(a, b) SITE_JOIN_(a, b)
#define SITE_VERSION 3
#define site_open site_open_v2
#if defined(SITE_STREAM_PER_THREAD)
#define site_wait SITE_API_PTSZ(site_wait)
#endif
#ifdef __cplusplus
extern "C" {
template <class T> int site_cpp(T t);
#endif

/* int site_commented(int a); */ // int site_commented2(int a);
static const char site_text[] = "int site_quoted(int a);";
typedef enum site_status { SITE_OK = 0, SITE_NOMEM, SITE_BAD = 1 << 4, SITE_LAST } site_status_t;
enum site_level { SITE_LOW = -1, SITE_HIGH };
typedef struct { uint64_t hi, lo; char name[SITE_MAX]; } site_id;
typedef struct site_ctx_s *site_ctx;
typedef void (SITE_CB *site_callback)(site_ctx ctx, const char *what);
typedef struct site_bits_s {
  uint32_t kind : 4;
  uint32_t rest : 28;
} site_bits;
struct __attribute__((packed)) site_packed { char a; int b; };
struct site_job {
  site_id id; size_t bytes; int device;
  union { int a; void *b; };
  site_callback done; int (*cmp)(int, int); remote_handle peer;
};
static inline int site_inline(int a) { return a + 1; }

SITE_API site_status_t SITE_NOTHROW
site_alloc(site_ctx ctx, // the context
           void **out,
           size_t bytes) __attribute__((nonnull(1)));
extern SITE_API site_status_t site_submit(site_ctx, const struct site_job *job, site_id id, int flags[static 2]);
SITE_DECL(site_status_t) site_notify(site_ctx ctx, void (*fn)(int code, void *arg), site_callback cb, int device);
site_status_t site_by_pointer(const site_bits *bits, struct site_unknown *u, remote_t *r, unsigned, enum site_level l);
site_status_t site_open(const char *name, _In_ site_ctx *ctx, FILE *log);
site_status_t site_wait(site_ctx ctx);
site_status_t site_bits_by_value(site_bits bits);
site_status_t site_packed_by_value(struct site_packed p);
site_status_t site_other(unknown_t x);
site_more site_returns(site_more a);
int site_printf(const char *fmt, ...);
site_status_t SITE_JOIN(site_joined_v, SITE_VERSION)(int SITE_JOIN_(a, SITE_VERSION));
long site_plain(void), site_second(void);
#ifdef __cplusplus
}
#endif
#endif
`;
const include = join(work, 'include');
const header = join(work, 'site.h');
mkdirSync(join(include, 'site'), { recursive: true });
writeFileSync(header, SITE);
writeFileSync(join(work, 'site_types.h'), '#include "site.h"\ntypedef unsigned long long remote_handle;\n');
writeFileSync(join(include, 'site/more.h'), 'typedef struct { double x; long y; } site_more;\n');

function skeleton(functions: readonly string[], options: { header?: string; table?: string } = {}): Skeleton {
  return makeSkeleton({
    name: 'site',
    header,
    functions,
    includeDirs: [include],
    soname: 'libsite.so.*',
    table: 'cuda_events',
    schema: readCaptureSchema(),
    ...options,
  });
}

/** The part of a skeleton that says what is probed. */
function probesOf(functions: readonly string[]): string {
  const { yaml } = skeleton(functions);
  return yaml.slice(yaml.indexOf('probes:\n') + 8);
}

describe('a skeleton', () => {
  test('is a pack with what the functions need', () => {
    const { yaml, opaque } = skeleton(['site_alloc', 'site_submit', 'site_notify']);
    expect(opaque).toEqual([]);
    expect(yaml.replace(/^# Columns .*$/m, '# Columns')).toMatchInlineSnapshot(`
      "# Made from site.h. Still to do: the description, and under capture what to record.
      # Columns
      schema: 1
      name: site
      version: 0.1.0
      description: Functions of site.h
      layer: site
      libraries:
        - soname: "libsite.so.*"
      table: cuda_events
      types: |
        typedef enum site_status site_status_t;
        typedef struct site_ctx_s *site_ctx;
        struct site_id { uint64_t hi, lo; char name[16]; };
        typedef struct site_id site_id;
        typedef void *site_callback; // a function pointer
        typedef unsigned long long remote_handle;
        struct site_job { site_id id; size_t bytes; int device; union { int a; void *b; }; site_callback done; void *cmp; remote_handle peer; };
      enums:
        site_status:
          0: SITE_OK
          1: SITE_NOMEM
          16: SITE_BAD
          17: SITE_LAST
      result: site_status
      probes:
        - prototype: site_status_t site_alloc(site_ctx ctx, void **out, size_t bytes)
          capture:
          #   - { arg: ctx, column: ... }
          #   - { arg: out, column: ... }
          #   - { arg: '*out', at: return, column: ... }
            - { arg: bytes, column: bytes }
        - prototype: site_status_t site_submit(site_ctx arg1, const struct site_job *job, site_id id, int flags[2])
          # capture:
          #   - { arg: arg1, column: ... }
          #   - { arg: job, column: ... }
          #   - { arg: job->bytes, column: ... }
          #   - { arg: job->device, column: ... }
          #   - { arg: job->done, column: ... }
          #   - { arg: job->cmp, column: ... }
          #   - { arg: job->peer, column: ... }
          #   - { arg: id.hi, column: ... }
          #   - { arg: id.lo, column: ... }
          #   - { arg: flags, column: ... }
          #   - { arg: '*flags', at: return, column: ... }
        - prototype: site_status_t site_notify(site_ctx ctx, void *fn, site_callback cb, int device)
          capture:
          #   - { arg: ctx, column: ... }
          #   - { arg: fn, column: ... }
          #   - { arg: cb, column: ... }
            - { arg: device, column: device }
      "
    `);
  });

  test('types that are only pointed to need not be known', () => {
    const { yaml, opaque } = skeleton(['site_by_pointer']);
    expect(opaque).toEqual(['remote_t']);
    expect(yaml).toContain('  typedef struct remote_t remote_t; // not declared in the header\n');
    expect(yaml).toContain(
      '(const site_bits *bits, struct site_unknown *u, remote_t *r, unsigned arg4, enum site_level l)',
    );
    const { pack } = parsePack(yaml, 'x');
    expect(pack && compilePack(pack, 'x64').probes).toHaveLength(1);
  });

  test('symbols are those that #define gives a function', () => {
    expect(probesOf(['site_open'])).toMatch(/site_open\(.*\n {4}symbols: \[site_open_v2\]\n/);
    expect(probesOf(['site_wait'])).toMatch(/site_wait\(.*\n {4}symbols: \[site_wait, site_wait_ptsz\]\n/);
    expect(probesOf(['site_open_v2'])).toMatch(/^ {2}- prototype: site_status_t site_open_v2\(/);
  });

  test('names that macros join are found', () => {
    expect(probesOf(['site_joined_v3'])).toContain('site_status_t site_joined_v3(int aSITE_VERSION)');
  });

  test('decorations nobody declares are left out', () => {
    expect(probesOf(['site_open'])).toContain('(const char *name, site_ctx *ctx, FILE *log)');
  });

  test('structs by value and by return keep their layout', () => {
    const { yaml } = skeleton(['site_returns']);
    expect(yaml).toContain('struct site_more { double x; long y; };');
    const { pack } = parsePack(yaml, 'x');
    expect(pack && compilePack(pack, 'arm64').probes[0]?.returnBits).toBe(0);
  });

  test('everything that cannot be done is said at once', () => {
    const wrong = [
      ['site_bits_by_value', 'uses struct site_bits_s, which has bit-fields'],
      ['site_packed_by_value', 'uses struct site_packed, whose layout an attribute changes'],
      ['site_other', 'uses unknown_t, which neither the header nor what it includes declares'],
      ['site_printf', 'takes a variable number of arguments'],
      ['site_inline', 'is defined in the header itself: no library has it'],
      ['site_aloc', 'is not declared; did you mean site_alloc?'],
      ['site_commented', 'is not declared'],
      ['site_commented2', 'is not declared'],
      ['site_quoted', 'is not declared'],
      ['site_cpp', 'is not declared'],
    ] as const;
    let message = '';
    try {
      skeleton(['site_alloc', ...wrong.map(([name]) => name)]);
    } catch (error) {
      message = (error as Error).message;
    }
    for (const [name, problem] of wrong) expect(message).toContain(`${name} ${problem}`);
  });

  test('a type of a header that was not found names that header', () => {
    const options = {
      name: 'site',
      soname: 'x',
      table: 'cuda_events',
      schema: readCaptureSchema(),
      includeDirs: [],
    };
    expect(() => makeSkeleton({ ...options, header, functions: ['site_returns'] })).toThrow(
      expect.objectContaining({ next: 'Not found were site/more.h: name their folders with --include.' }),
    );
  });

  test('a table of its own has a column for every argument, but those ingero fills itself', () => {
    const path = join(work, 'own.h');
    writeFileSync(
      path,
      'int f(unsigned char size, int pid, void *p, char c);\nint g(long size, short s, int **out);\n',
    );
    const { yaml } = skeleton(['f', 'g'], { header: path, table: 'site_calls' });
    const columns = yaml.match(/\{ name: \w+, type: \w+/g) ?? [];
    expect(columns.map((column) => column.slice(8))).toEqual([
      'size, type: UTINYINT',
      'p, type: UBIGINT',
      'c, type: SMALLINT',
      's, type: SMALLINT',
    ]);
    // One column cannot be both; the author decides.
    expect(yaml).toContain('#   - { arg: size, column: ... }');
    expect(yaml).toContain('#   - { arg: pid, column: ... }');
    expect(parsePack(yaml, 'x').problems).toEqual([]);
  });

  test('a table that is nearly a built-in one is refused', () => {
    expect(() => skeleton(['site_alloc'], { table: 'cuda_event' })).toThrow(/unknown-table/);
  });

  test.each([
    ['no text', '\0\0\xff'],
    ['brackets without end', `${'('.repeat(50_000)}int f(int a);`],
    ['closing brackets', `${'}'.repeat(5000)}\nint f(int a);`],
    ['macros in a circle', '#define a b\n#define b a\nint f(a x);'],
    ['an include in a circle', '#include "circle.h"\nint f(int a);'],
    ['an unfinished comment', 'int f(int a); /* '],
    ['conditions without end', '#if 1\n#if 0\n#else\n#elif\nint f(int a);'],
    ['endif without if', '#endif\n#endif\nint f(int a);'],
  ])('%s: an answer, never a crash', (_, text) => {
    const path = join(work, 'circle.h');
    writeFileSync(path, text);
    try {
      expect(skeleton(['f'], { header: path }).yaml).toContain('int f(');
    } catch (error) {
      expect(error).toMatchObject({ code: 'header-unusable' });
    }
  });
});

test('constant expressions have the values a C compiler gives them', () => {
  const expressions = [
    '1 + 2 * 3',
    '(1 + 2) * 3',
    '-(2) - -3',
    '1 << 4 | 3',
    '7 / 2 % 2',
    '!0 && 2 > 1',
    '0x10 == 16u',
    '010',
    '1 ? 2 : 3',
  ];
  const values = expressions.map((text) => constantValue(lexHeader(text), () => undefined));
  expect(values).toEqual([7, 9, 1, 19, 1, 1, 1, 8, undefined]);
  expect(constantValue(lexHeader('N * 2'), (name) => (name === 'N' ? 8 : undefined))).toBe(16);
  expect(constantValue(lexHeader('('.repeat(100_000)), () => 0)).toBe(undefined);
});

const CUDA = join(process.env.CUDA_HOME ?? '/usr/local/cuda', 'include');
describe.skipIf(!existsSync(join(CUDA, 'cuda_runtime_api.h')))('against the CUDA headers', () => {
  const schema = readCaptureSchema();
  const make = (file: string, functions: readonly string[]): Skeleton =>
    makeSkeleton({
      name: 'x',
      header: join(CUDA, file),
      functions,
      includeDirs: [],
      soname: 'x.so',
      table: 'cuda_events',
      schema,
    });

  test.each([
    ['cuda_runtime_api.h', /^cuda[A-Z]/, 250],
    ['cuda.h', /^cu[A-Z]/, 350],
  ])('every function of %s can be had', (file, pattern, least) => {
    const declared = readDeclarations(preprocessHeader(join(CUDA, file), [], new Set()).tokens).functions;
    const names = [...declared]
      .filter(([name, { isInline }]) => pattern.test(name) && !isInline)
      .map(([name]) => name);
    expect(names.length).toBeGreaterThan(least);
    for (let from = 0; from < names.length; from += 200) {
      const part = names.slice(from, from + 200);
      const { yaml, opaque } = make(file, part);
      expect(opaque).toEqual([]);
      expect(parsePack(yaml, 'x').pack?.probes).toHaveLength(part.length);
    }
  });

  test('arguments lie where the shipped pack has them', () => {
    const shipped = parsePack(
      readFileSync(new URL('../../probes/cuda-runtime.yaml', import.meta.url), 'utf8'),
      'x',
    ).pack;
    const names = [
      'cudaMalloc',
      'cudaMemcpyAsync',
      'cudaLaunchKernel',
      'cudaMemcpy3D',
      'cudaLaunchKernelExC',
    ];
    const { pack } = parsePack(make('cuda_runtime_api.h', names).yaml, 'x');
    const normal = (text: string): string => text.replaceAll(/\s+/g, ' ').trim();
    for (const name of names) {
      const find = (from: typeof pack) =>
        from?.probes.find(({ prototype }) => prototype.includes(`${name}(`));
      expect(normal(find(pack)?.prototype ?? '')).toBe(normal(find(shipped)?.prototype ?? ''));
      expect(find(pack)?.symbols ?? [name]).toEqual(find(shipped)?.symbols ?? [name]);
    }
    expect(pack?.enums.cudaError).toMatchObject({ 0: 'cudaSuccess', 2: 'cudaErrorMemoryAllocation' });
  });
});

describe('probes new', () => {
  let cli: Cli;
  beforeAll(async () => {
    cli = await buildCli();
  });
  afterAll(() => cli.remove());
  const create = (...args: string[]): Promise<RunResult> =>
    cli.run(['probes', 'new', ...args], { env: { INGERO_CONFIG_DIR: work } });

  test('writes a pack that validate and compile accept', async () => {
    const out = join(work, 'new.yaml');
    const { code, stdout, stderr } = await create(
      'my-site',
      '--header',
      header,
      '-f',
      'site_alloc',
      '-f',
      'site_wait',
      '-I',
      include,
      '--out',
      out,
    );
    expect([code, stdout, stderr]).toEqual([0, `Written to ${out}: 2 functions.\n`, '']);
    expect(readFileSync(out, 'utf8')).toMatch(/^name: my-site$/m);
    expect(readFileSync(out, 'utf8')).toMatch(/^layer: my_site$/m);
    expect((await cli.run(['probes', 'validate', out])).code).toBe(0);
    const library = join(work, 'libmy.so');
    execFileSync('gcc', ['-xc', '-shared', '-fPIC', '-o', library, '-'], {
      input: 'int site_alloc(void) { return 0; }',
    });
    const compiled = await cli.run(['probes', 'compile', out, '--library', library]);
    expect(compiled.code).toBe(0);
    expect(compiled.stdout).toContain('skipped site_wait_ptsz: not in');
  });

  test('does not replace a file', async () => {
    const out = join(work, 'kept.yaml');
    writeFileSync(out, 'kept');
    const { code, stdout } = await create('x', '--header', header, '-f', 'site_wait', '--out', out, '--json');
    expect([code, JSON.parse(stdout)]).toMatchObject([5, { error: { code: 'output-exists' } }]);
    expect(readFileSync(out, 'utf8')).toBe('kept');
    const nowhere = await create(
      'x',
      '--header',
      header,
      '-f',
      'site_wait',
      '--out',
      join(work, 'no/x.yaml'),
      '--json',
    );
    expect([nowhere.code, JSON.parse(nowhere.stdout)]).toMatchObject([
      5,
      { error: { code: 'output-unwritable' } },
    ]);
  });

  test('to standard output, and as data', async () => {
    const args = ['one', '--header', header, '--function', 'site_wait', '--soname', 'libone.so.7'];
    const { stdout } = await create(...args);
    const { pack } = parsePack(stdout, 'x');
    expect(pack).toMatchObject({ name: 'one', libraries: [{ soname: 'libone.so.7' }] });
    expect(JSON.parse((await create(...args, '--json')).stdout)).toEqual({
      name: 'one',
      functions: ['site_wait'],
      opaque: [],
      out: null,
      yaml: stdout,
    });
  });

  test('what cannot be is refused', async () => {
    const codeOf = async (...args: string[]): Promise<unknown[]> => {
      const { code, stdout } = await create(...args, '--json');
      return [code, (JSON.parse(stdout) as { error: { code: string } }).error.code];
    };
    expect(await codeOf('x', '--header', join(work, 'none.h'), '-f', 'f')).toEqual([2, 'header-unreadable']);
    expect(await codeOf('x', '--header', work, '-f', 'f')).toEqual([2, 'header-unreadable']);
    expect(await codeOf('My Site', '--header', header, '-f', 'f')).toEqual([2, 'bad-pack-name']);
    expect(await codeOf('x', '--header', header, '-f', 'site_printf')).toEqual([8, 'header-unusable']);
    expect((await create('x', '--header', header)).code).toBe(2);
  });
});
