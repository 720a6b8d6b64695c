import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';

const PACK = `name: staging
version: 1.0.0
description: A library with its tests
layer: staging
libraries: [{ soname: libstaging.so.*, version: 'STAGING_*' }]
table: staging_events
columns:
  - { name: bytes, type: UBIGINT, description: Size }
  - { name: ptr, type: UBIGINT, description: Where }
  - { name: direction, type: NAME, description: Which way }
  - { name: path, type: VARCHAR, description: A text }
  - { name: low, type: TINYINT, description: A byte of a struct on the stack }
types: |
  typedef struct { size_t width, height; } area;
  typedef struct { area size; int device; void *target; } request;
  typedef struct { char padding[40]; int8_t y; } big;
enums:
  status: { 0: OK, 1: STAGING_NO_MEMORY }
  direction: { 0: h2d, 1: d2h }
result: status
probes:
  - prototype: int staging_copy(const request *r, void *stream, unsigned direction, big b)
    capture:
      - { product: [r->size.width, r->size.height], column: bytes }
      - { arg: r->target, column: ptr }
      - { arg: b.y, column: low }
      - { arg: direction, column: direction, enum: direction }
  - prototype: int staging_alloc(void **out, size_t n)
    where: [{ arg: n, is: ge, value: 64 }, { of: result, is: le, value: 1 }]
    capture:
      - { arg: n, column: bytes }
      - { arg: '*out', at: return, column: ptr }
  - prototype: void staging_note(const size_t *counts)
    op: note
    mode: entry
    capture: [{ arg: 'counts[2]', column: bytes }]
  - prototype: const char *staging_open(const char *path, const char **found)
    op: open
    ok: [0]
    sample: 1/4
    capture:
      - { arg: path, string: 8, column: path }
      - { of: result, column: ptr }
  - prototype: int staging_old(int a)
    when: [{ of: version, is: lt, value: '2' }]
  - prototype: int staging_off(int a)
    enabled: false
tests:
  - name: columns of every kind
    call: staging_copy
    with: { r->size.width: 300, r->size.height: 40, r->target: '0xfedc000000000001', direction: 1, b.y: -5 }
    row: { status: ok, bytes: 12000, ptr: '0xfedc000000000001', direction: d2h, return_code: 0, error: null, low: -5 }
  - name: an address that leads nowhere
    call: staging_copy
    with: { r: 0 }
    row: { bytes: null, ptr: null, direction: h2d }
  - name: a result
    call: staging_alloc
    with: { n: 4096 }
    sets: { '*out': 0x7000 }
    row: { bytes: 4096, ptr: 28672, status: ok }
  - name: no result of a call that failed
    call: staging_alloc
    with: { n: 4096 }
    sets: { '*out': 0x7000 }
    returns: 1
    row: { ptr: null, status: error, error: STAGING_NO_MEMORY }
  - name: left out by an argument
    call: staging_alloc
    with: { n: 63 }
    recorded: false
  - name: left out by the result
    call: staging_alloc
    with: { n: 64 }
    returns: 2
    recorded: false
  - name: the entry only
    call: note
    with: { 'counts[2]': 9 }
    row: { status: entry, bytes: 9, return_code: null }
  - name: a text
    call: open
    with: { path: /tmp/ä }
    returns: '0x7000'
    row: { path: /tmp/ä, ptr: 28672 }
  - name: a text that is cut
    call: open
    with: { path: /tmp/abcdef }
    row: { path: /tmp/abc…, ptr: 0 }
  - name: no text
    call: open
    row: { path: null }
  - name: an old version
    call: staging_old
    version: '1.9'
    row: { op: staging_old }
`;
/** Each test fails, and says why. */
const WRONG = PACK.replace(
  /^tests:[\s\S]*/m,
  `tests:
  - { call: staging_copy, with: { r->size.width: 3, r->size.height: 4 }, row: { bytes: 11, status: ok, ptr: null } }
  - { call: staging_alloc, with: { n: 64 }, recorded: false }
  - { call: staging_alloc, with: { n: 63 }, row: {} }
  - { call: staging_old, row: {} }
  - { call: staging_off, row: {} }
`,
);

interface Report {
  through: string;
  reason: string | null;
  passed: number;
  failed: number;
  packs: { pack: string; tests: { name: string; ok: boolean; problem: string | null; line: number }[] }[];
}

describe.skipIf(!requireRootAndBpf())('probes test', () => {
  let tracer: Tracer;
  let right: string;
  let wrong: string;
  beforeAll(async () => {
    tracer = await buildTracer();
    right = join(tracer.dir, 'right.yaml');
    wrong = join(tracer.dir, 'wrong.yaml');
    writeFileSync(right, PACK);
    writeFileSync(wrong, WRONG);
  });
  afterAll(() => tracer?.remove());

  const run = (...args: string[]): Promise<{ code: number; stdout: string }> =>
    new Promise((resolve) => {
      const child = execFile(process.execPath, [tracer.bin, 'probes', 'test', ...args], (_error, stdout) =>
        resolve({ code: child.exitCode ?? -1, stdout }),
      );
    });
  const json = async (...args: string[]): Promise<Report> =>
    JSON.parse((await run('--json', ...args)).stdout) as Report;

  test('the shipped packs and a pack with everything pass, through the kernel and through the decoder alike', async () => {
    const packs = ['cuda-runtime', 'cuda-driver', 'nccl', 'pytorch-allocator', right];
    const kernel = await json(...packs);
    expect(kernel).toMatchObject({ through: 'kernel', reason: null, failed: 0 });
    expect(kernel.packs.map(({ tests }) => tests.length >= 4)).toEqual(packs.map(() => true));
    const decoder = await json('--through', 'decoder', ...packs);
    expect(decoder).toEqual({ ...kernel, through: 'decoder' });
  }, 90_000);

  test('what fails says what was expected and what was recorded', async () => {
    const { code, stdout } = await run(wrong);
    expect(code).toBe(8);
    expect(stdout.replaceAll(`${tracer.dir}/`, '')).toBe(`Through the kernel.
FAILED wrong.yaml:49: staging_copy: the row differs
         bytes: expected 11, recorded 12
         ptr: expected NULL, recorded 0
FAILED wrong.yaml:50: staging_alloc: the call was recorded
FAILED wrong.yaml:51: staging_alloc: the call was not recorded
FAILED wrong.yaml:52: staging_old: not probed: when: version lt 2, and this library is 999
FAILED wrong.yaml:53: staging_off: not probed: enabled: false in wrong.yaml:47
0 passed, 5 failed
`);
    const decoder = await run('--through', 'decoder', wrong);
    expect(decoder.stdout.replace(/.*\n/, '')).toBe(stdout.replace(/.*\n/, ''));
  });

  test('without what the kernel needs it says so', async () => {
    const unprivileged = await new Promise<string>((resolve) => {
      const args = [
        '--reuid',
        '65534',
        '--clear-groups',
        process.execPath,
        tracer.bin,
        'probes',
        'test',
        'nccl',
      ];
      execFile('setpriv', args, (_error, stdout) => resolve(stdout));
    });
    expect(unprivileged).toMatch(/^Through the decoder: not root\.\n/);
    expect(unprivileged).toMatch(/^\d+ passed, 0 failed$/m);
    const bare = { env: { ...process.env, PATH: '/nonexistent' } };
    const [text, refusal] = await Promise.all(
      [[], ['--through', 'kernel', '--json']].map(
        (flags) =>
          new Promise<string>((resolve) => {
            const args = [tracer.bin, 'probes', 'test', 'nccl', ...flags];
            execFile(process.execPath, args, bare, (_error, stdout) => resolve(stdout));
          }),
      ),
    );
    expect(text).toMatch(/^Through the decoder: no C compiler \(cc, gcc or clang\) in PATH\.\n/);
    expect(JSON.parse(refusal ?? '')).toMatchObject({ error: { code: 'no-kernel-tests' } });
  });
});
