import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { LibraryFile } from '../../src/discovery/model.js';
import { compilePack, parsePack } from '../../src/packs/index.js';
import type { Arch, CompiledPack } from '../../src/packs/model.js';
import { type CompileReport, compileReport } from '../../src/trace/compile-report.js';
import { compileReportLines } from '../../src/trace/compile-text.js';
import type { PlannedFile } from '../../src/trace/libraries.js';
import { buildCli, type Cli, type RunResult } from '../support/cli.js';

const NOBODY = 65534;
const isRoot = process.geteuid?.() === 0;

const PACK = `schema: 1
name: site
version: 1.2.3
description: A site's own library
layer: site
libraries:
  - soname: libsite.so.*
table: cuda_events
types: |
  typedef struct { size_t width, height; } area;
  typedef struct { area size; int device; void *target; } request;
  typedef struct { char bytes[128]; } token;
enums:
  direction: { 0: h2d, 1: d2h }
probes:
  - prototype: int site_copy(const request *r, void *stream, unsigned direction)
    capture:
      - { product: [r->size.width, r->size.height], column: bytes, unless: [r->device] }
      - { arg: stream, column: stream }
      - { arg: direction, column: kind, enum: direction }
  - prototype: int site_alloc(void **out, size_t n)
    symbols: [site_alloc, site_alloc_v2, site_alloc_v3]
    required: true
    where: [{ arg: n, is: ge, value: 4096 }, { of: result, is: in, values: [0, 2] }, { of: duration, is: ge, value: 1000 }]
    capture:
      - { arg: '*out', at: return, column: ptr }
  - prototype: void site_many(int a, int b, int c, int d, int e, int f, int device, double x, token t, area s)
    mode: entry
    capture:
      - { arg: device, column: device }
      - { arg: s.height, column: bytes }
  - prototype: void site_gone(void)
    required: true
`;

function compiled(arch: Arch): CompiledPack {
  const { pack, problems } = parsePack(PACK, '/site.yaml');
  expect(problems).toEqual([]);
  if (pack === undefined) throw new Error('no pack');
  return compilePack({ ...pack, source: { ...pack.source, sha256: 'ab12' } }, arch);
}

/** A plan as it would come from a library file. */
function plan(pack: CompiledPack): PlannedFile {
  const file: LibraryFile = {
    path: '/opt/libsite.so.1',
    openPath: '/opt/libsite.so.1',
    dev: 1,
    inode: 2,
    sizeBytes: 3,
    buildId: 'c0ffee',
    soname: 'libsite.so.1',
    version: '1',
    foundBy: 'given',
  };
  const [copy, alloc, many, gone] = pack.probes;
  if (copy === undefined || alloc === undefined || many === undefined || gone === undefined)
    throw new Error();
  const site = { skip: 0, cost: 'emulated' as const };
  return {
    error: null,
    plan: {
      libraryId: 0,
      pack,
      file,
      probes: [
        {
          id: 0,
          compiled: copy,
          site: { ...site, symbol: 'site_copy', address: 0x1100n, fileOffset: 0x100 },
        },
        {
          id: 1,
          compiled: alloc,
          site: {
            symbol: 'site_alloc',
            aliases: ['site_alloc_v2'],
            address: 0x1200n,
            fileOffset: 0x204,
            skip: 4,
            cost: 'emulated',
          },
        },
        {
          id: 2,
          compiled: many,
          site: { symbol: 'site_many', address: 0x1300n, fileOffset: 0x300, skip: 0, cost: 'single-step' },
        },
      ],
      skipped: [
        { id: 3, compiled: alloc, symbol: 'site_alloc_v3', reason: 'not in /opt/libsite.so.1' },
        { id: 4, compiled: gone, symbol: 'site_gone', reason: 'not in /opt/libsite.so.1' },
      ],
    },
  };
}

describe('the report', () => {
  test('for a library, as text', () => {
    const pack = compiled('x64');
    expect(compileReportLines(compileReport(pack, [], [plan(pack)])).join('\n')).toMatchInlineSnapshot(`
      "site 1.2.3 for x64: 4 functions

      /opt/libsite.so.1
        soname libsite.so.1, version 1, build-id c0ffee, found by given
        3 probes (2 emulated, 1 single-stepped), 2 symbols skipped
          symbol                    address  offset  skip  cost         hits/call  us/call  op
          site_copy                 0x1100   0x100   0     emulated     2          1.4      site_copy
          site_alloc=site_alloc_v2  0x1200   0x204   4     emulated     2          1.4      site_alloc
          site_many                 0x1300   0x300   0     single-step  1          9.5      site_many
          skipped site_alloc_v3: not in /opt/libsite.so.1
          skipped site_gone: not in /opt/libsite.so.1

      A trace would refuse to start, for want of: site_gone

      site_copy (entry and return, returns i32, 5 slots)
        int site_copy(const request *r, void *stream, unsigned direction)
          r          rdi
          stream     rsi
          direction  rdx
        columns
          bytes   u64 *(rdi) * u64 *(rdi + 8), NULL when i32 *(rdi + 16) is not 0
          stream  u64 rsi
          kind    u32 rdx, named by direction

      site_alloc (entry and return, required, returns i32, 2 slots)
        int site_alloc(void **out, size_t n)
          out  rdi
          n    rsi
        recorded when u64 rsi ge 4096 and result in 0, 2 and duration in ns ge 1000
        columns
          ptr  u64 *(rdi) at return

      site_many (entry only, 2 slots)
        void site_many(int a, int b, int c, int d, int e, int f, int device, double x, token t, area s)
          a       rdi
          b       rsi
          c       rdx
          d       rcx
          e       r8
          f       r9
          device  [rsp+8]
          x       vector register
          t       [rsp+16], [rsp+24], [rsp+32], [rsp+40], [rsp+48], [rsp+56], [rsp+64], [rsp+72], [rsp+80], [rsp+88], [rsp+96], [rsp+104], [rsp+112], [rsp+120], [rsp+128], [rsp+136]
          s       [rsp+144], [rsp+152]
        columns
          device  i32 [rsp+8]
          bytes   u64 [rsp+152]

      site_gone (entry and return, required, 0 slots)
        void site_gone(void)"
    `);
  });

  test('of arm64 without a library, as text', () => {
    expect(compileReportLines(compileReport(compiled('arm64'), [], [])).join('\n')).toMatchInlineSnapshot(`
      "site 1.2.3 for arm64: 4 functions

      site_copy (entry and return, returns i32, 5 slots)
        int site_copy(const request *r, void *stream, unsigned direction)
          r          x0
          stream     x1
          direction  x2
        columns
          bytes   u64 *(x0) * u64 *(x0 + 8), NULL when i32 *(x0 + 16) is not 0
          stream  u64 x1
          kind    u32 x2, named by direction

      site_alloc (entry and return, required, returns i32, 2 slots)
        int site_alloc(void **out, size_t n)
          out  x0
          n    x1
        recorded when u64 x1 ge 4096 and result in 0, 2 and duration in ns ge 1000
        columns
          ptr  u64 *(x0) at return

      site_many (entry only, 2 slots)
        void site_many(int a, int b, int c, int d, int e, int f, int device, double x, token t, area s)
          a       x0
          b       x1
          c       x2
          d       x3
          e       x4
          f       x5
          device  x6
          x       vector register
          t       copy at the address in x7
          s       [sp], [sp+8]
        columns
          device  i32 x6
          bytes   u64 [sp+8]

      site_gone (entry and return, required, 0 slots)
        void site_gone(void)"
    `);
  });

  test('as data', () => {
    const pack = compiled('x64');
    const report = compileReport(pack, [], [plan(pack)], { searched: ['here'], ignored: [] });
    expect(Object.keys(report)).toEqual([
      'pack',
      'arch',
      'hit_ns',
      'probes',
      'libraries',
      'required_missing',
      'searched',
      'ignored',
    ]);
    expect(report.probes[1]).toMatchInlineSnapshot(`
      {
        "arguments": [
          {
            "location": "rdi",
            "name": "out",
          },
          {
            "location": "rsi",
            "name": "n",
          },
        ],
        "columns": [
          {
            "column": "ptr",
            "value": "u64 *(rdi) at return",
          },
        ],
        "current_device": null,
        "enabled": true,
        "mode": "call",
        "ok": [],
        "op": "site_alloc",
        "origins": {},
        "prototype": "int site_alloc(void **out, size_t n)",
        "required": true,
        "returns": "i32",
        "sample": 1,
        "slots": 2,
        "stack": false,
        "symbols": [
          "site_alloc",
          "site_alloc_v2",
          "site_alloc_v3",
        ],
        "when": [],
        "where": [
          "u64 rsi ge 4096",
          "result in 0, 2",
          "duration in ns ge 1000",
        ],
      }
    `);
    expect(report.libraries[0]?.sites[1]).toMatchInlineSnapshot(`
      {
        "address": "0x1200",
        "aliases": [
          "site_alloc_v2",
        ],
        "cost_class": "emulated",
        "estimated_ns_per_call": 1400,
        "file_offset": 516,
        "hits_per_call": 2,
        "op": "site_alloc",
        "skip_bytes": 4,
        "symbol": "site_alloc",
      }
    `);
    expect(report.required_missing).toEqual(['site_gone']);
  });

  test('a file that cannot be read, and no file at all', () => {
    const pack = compiled('x64');
    const { plan: whole } = plan(pack);
    const broken = { error: 'not an ELF file', plan: { ...whole, probes: [], skipped: [] } };
    expect(
      compileReportLines(compileReport(pack, [], [broken]))
        .slice(1, 6)
        .join('\n'),
    ).toContain('cannot be probed: not an ELF file');
    const none = compileReport(pack, [], [], {
      searched: ['/lib'],
      ignored: [{ path: '/x/stubs/libsite.so', reason: 'a link-time stub' }],
    });
    expect(compileReportLines(none).slice(2, 7)).toEqual([
      'No library was found. Looked at:',
      '  /lib',
      '  ignored /x/stubs/libsite.so: a link-time stub',
      '',
      'A trace would refuse to start, for want of: site_alloc, site_gone',
    ]);
  });
});

describe('probes compile', () => {
  const work = mkdtempSync(join(tmpdir(), 'ingero-compile-'));
  chmodSync(work, 0o755);
  const pack = join(work, 'site.yaml');
  const library = join(work, 'anything.so.4.2');
  let cli: Cli;
  beforeAll(async () => {
    cli = await buildCli();
    writeFileSync(pack, PACK);
    const source = `
      int site_copy(void *r, void *s, unsigned d) { return 0; }
      int site_alloc(void **out, unsigned long n) { return 0; }
      int site_alloc_v2(void **out, unsigned long n) __attribute__((alias("site_alloc")));
      void site_many(void) {}
      void site_gone(void) {}`;
    execFileSync(
      'gcc',
      [
        '-xc',
        '-shared',
        '-fPIC',
        '-fcf-protection=full',
        '-Wl,-soname,libsite.so.4',
        '-Wl,--build-id',
        '-o',
        library,
        '-',
      ],
      { input: source },
    );
  });
  afterAll(() => {
    cli.remove();
    rmSync(work, { recursive: true, force: true });
  });
  const compile = (args: readonly string[], uid?: number): Promise<RunResult> =>
    cli.run(['probes', 'compile', ...args], {
      env: { INGERO_CONFIG_DIR: work },
      ...(uid === undefined ? {} : { uid }),
    });
  const report = async (...args: string[]): Promise<CompileReport> => {
    const { code, stdout, stderr } = await compile([...args, '--json']);
    expect([code, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as CompileReport;
  };

  test.skipIf(process.arch !== 'x64')('says what would go into a given library', async () => {
    const { libraries, arch, required_missing } = await report(pack, '--library', library);
    expect([arch, required_missing]).toEqual(['x64', []]);
    expect(libraries).toMatchObject([
      {
        path: library,
        soname: 'libsite.so.4',
        version: '4.2',
        build_id: expect.stringMatching(/^[0-9a-f]{40}$/),
        found_by: 'given',
        problem: null,
        skipped: [{ op: 'site_alloc', symbol: 'site_alloc_v3' }],
      },
    ]);
    const sites = libraries[0]?.sites ?? [];
    expect(sites.map(({ symbol, aliases }) => [symbol, ...aliases])).toEqual([
      ['site_copy'],
      ['site_alloc', 'site_alloc_v2'],
      ['site_many'],
      ['site_gone'],
    ]);
    // endbr64 in front of push %rbp.
    expect(sites[0]).toMatchObject({
      skip_bytes: 4,
      cost_class: 'emulated',
      hits_per_call: 2,
      estimated_ns_per_call: 1400,
    });
    expect(sites[2]).toMatchObject({ hits_per_call: 1, estimated_ns_per_call: 700 });
    const symbols = execFileSync('nm', ['-D', library], { encoding: 'utf8' });
    const address = /^0*([0-9a-f]+) T site_copy$/m.exec(symbols)?.[1];
    expect(sites[0]?.address).toBe(`0x${address}`);
  });

  test.skipIf(!isRoot)('needs no privileges', async () => {
    const { code, stdout } = await compile([pack, '--library', library], NOBODY);
    expect(code).toBe(0);
    expect(stdout).toContain('site_alloc=site_alloc_v2');
    expect((await compile([pack], NOBODY)).code).toBe(0);
  });

  test('--arch arm64 without a library: locations only', async () => {
    const { arch, libraries, probes } = await report('cuda-runtime', '--arch', 'arm64');
    expect([arch, libraries]).toEqual(['arm64', process.arch === 'arm64' ? expect.anything() : []]);
    const launch = probes.find(({ op }) => op === 'cudaLaunchKernel');
    expect(launch?.arguments.map(({ name, location }) => `${name} ${location}`)).toEqual([
      'func x0',
      'gridDim x1, x2',
      'blockDim x3, x4',
      'args x5',
      'sharedMem x6',
      'stream x7',
    ]);
  });

  test.skipIf(process.arch !== 'x64')('a library of another architecture is read as such', async () => {
    const other = join(work, 'arm64.so');
    const bytes = readFileSync(library);
    bytes.writeUInt16LE(183, 18); // e_machine = EM_AARCH64
    writeFileSync(other, bytes);
    const { arch, libraries, probes } = await report(pack, '--library', other, '--arch', 'arm64');
    expect(arch).toBe('arm64');
    expect(libraries[0]?.sites[0]).toMatchObject({ symbol: 'site_copy', cost_class: 'single-step' });
    expect(probes[0]?.arguments[0]).toEqual({ name: 'r', location: 'x0' });
  });

  test.skipIf(process.arch !== 'x64')('what contradicts itself is refused', async () => {
    const { code, stdout } = await compile([pack, '--library', library, '--arch', 'arm64', '--json']);
    expect([code, JSON.parse(stdout)]).toMatchObject([2, { error: { code: 'arch-mismatch' } }]);
  });

  test('a library that is none, and a pack that is none', async () => {
    expect((await compile([pack, '--library', pack])).code).toBe(4);
    expect((await compile([pack, '--library', join(work, 'none')])).code).toBe(4);
    expect((await compile(['cuda-runtme'])).code).toBe(8);
    expect((await compile([library])).code).toBe(8);
  });

  test('every built-in pack compiles for both architectures', async () => {
    const { stdout } = await cli.run(['probes', 'list', '--json'], { env: { INGERO_CONFIG_DIR: work } });
    const { packs } = JSON.parse(stdout) as { packs: { name: string; probes: number }[] };
    for (const { name, probes } of packs) {
      for (const arch of ['x64', 'arm64']) {
        expect((await report(name, '--arch', arch)).probes).toHaveLength(probes);
      }
    }
  });
});
