import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parsePack } from '../../src/packs/index.js';
import { query } from './support/capture.js';
import { requireRootAndBpf } from './support/root.js';
import { buildTracer, type Tracer } from './support/tracer.js';

const PACK = `name: versions
version: 1.0.0
description: A library whose functions depend on its version
layer: site
libraries: [{ soname: libvers.so.* }]
table: vers_events
columns: [{ name: n, type: INTEGER, description: The argument }]
probes:
  - prototype: int vers_both(int n)
    capture: [{ arg: n, column: n }]
  - prototype: int vers_new(int n)
    when: [{ of: version, is: ge, value: '2.5' }]
    capture: [{ arg: n, column: n }]
  - prototype: int vers_old(int n)
    required: true
    when: [{ of: version, is: lt, value: '2.5' }]
  - prototype: int vers_fallback(int n)
    when: [{ symbol: vers_new, is: absent }]
    capture: [{ arg: n, column: n }]
`;
const LIBRARY =
  'int vers_both(int n) { return 0; } int vers_new(int n) { return 0; } int vers_old(int n) { return 0; } int vers_fallback(int n) { return 0; }';
const PROGRAM =
  'int vers_both(int), vers_new(int), vers_old(int), vers_fallback(int); int main(void) { vers_both(1); vers_new(2); vers_old(3); vers_fallback(4); return 0; }';

describe.skipIf(!requireRootAndBpf())('which functions are probed', () => {
  let tracer: Tracer;
  let program: string;
  /** Writes a pack and returns its path. */
  const packFile = (name: string, text: string): string => {
    const path = join(tracer.dir, name);
    writeFileSync(path, text);
    return path;
  };
  beforeAll(async () => {
    tracer = await buildTracer();
    const dir = join(tracer.dir, 'vers');
    mkdirSync(dir);
    writeFileSync(join(dir, 'lib.c'), LIBRARY);
    writeFileSync(join(dir, 'main.c'), PROGRAM);
    writeFileSync(join(dir, 'versions'), 'VERS_1.0 { vers_both; }; VERS_3.1 { vers_new; } VERS_1.0;');
    const library = join(dir, 'libvers.so.2.5.1');
    execFileSync('gcc', [
      ...['-shared', '-fPIC', '-Wl,-soname,libvers.so.2', `-Wl,--version-script=${join(dir, 'versions')}`],
      ...['-o', library, join(dir, 'lib.c')],
    ]);
    symlinkSync('libvers.so.2.5.1', join(dir, 'libvers.so.2'));
    program = join(dir, 'main');
    execFileSync('gcc', ['-o', program, join(dir, 'main.c'), '-Wl,-rpath,$ORIGIN', library]);
  });
  afterAll(() => tracer?.remove());

  test('when: decides; the others are rows that say why', async () => {
    const result = await tracer.run(['--json', '--pack', packFile('p.yaml', PACK), '--', program]);
    expect([result.code, result.stderr, result.code === 0 ? '' : result.stdout]).toEqual([0, '', '']);
    expect(await query(result.capture, 'SELECT op, n FROM vers_events ORDER BY start_time')).toEqual([
      { op: 'vers_both', n: 1 },
      { op: 'vers_new', n: 2 },
    ]);
    expect(
      await query(result.capture, 'SELECT op, state, reason, library_id FROM probes ORDER BY probe_id'),
    ).toEqual([
      { op: 'vers_both', state: 'attached', reason: null, library_id: 0 },
      { op: 'vers_new', state: 'attached', reason: null, library_id: 0 },
      {
        op: 'vers_old',
        state: 'skipped',
        reason: 'when: version lt 2.5, and this library is 2.5.1',
        library_id: 0,
      },
      {
        op: 'vers_fallback',
        state: 'skipped',
        reason: 'when: symbol vers_new absent, and this library has it',
        library_id: 0,
      },
    ]);
  });

  test('when: goes by the version definitions of the library when the pack says so', async () => {
    const text = PACK.replace('so.* }', "so.*, version: 'VERS_*' }").replace("value: '2.5'", "value: '3.1'");
    const result = await tracer.run(['--json', '--pack', packFile('d.yaml', text), '--', program]);
    expect([result.code, result.stderr, result.code === 0 ? '' : result.stdout]).toEqual([0, '', '']);
    const [row] = await query(result.capture, `SELECT reason FROM probes WHERE op = 'vers_old'`);
    expect(row).toEqual({ reason: 'when: version lt 2.5, and this library is 3.1' });
    expect(await query(result.capture, `SELECT n FROM vers_events WHERE op = 'vers_new'`)).toEqual([
      { n: 2 },
    ]);
  });

  test('an overlay switches functions off and narrows others; the capture keeps what was in force', async () => {
    const dir = join(tracer.dir, 'packs');
    mkdirSync(dir);
    writeFileSync(join(dir, 'versions.yaml'), PACK);
    const overlay = `overlays: versions
probes:
  vers_both: { where: [{ arg: n, is: gt, value: 1 }] }
  vers_new: { enabled: false }
  vers_old: { when: [], mode: entry }
  vers_fallback: { when: [], redact: { n: drop } }
`;
    const path = join(dir, 'versions.overlay.yaml');
    writeFileSync(path, overlay);
    const result = await tracer.run(['--json', '--pack-dir', dir, '--pack', 'versions', '--', program]);
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect(await query(result.capture, 'SELECT op, status, n FROM vers_events ORDER BY start_time')).toEqual([
      { op: 'vers_old', status: 'entry', n: null },
      { op: 'vers_fallback', status: 'ok', n: null },
    ]);
    expect(await query(result.capture, `SELECT state, reason FROM probes WHERE op = 'vers_new'`)).toEqual([
      { state: 'skipped', reason: `enabled: false in ${path}:4` },
    ]);
    const [{ filtered, kept, digest }] = (await query(
      result.capture,
      `SELECT (SELECT sum(filtered)::INTEGER FROM probe_accounting) AS filtered, yaml AS kept, sha256 = sha256(yaml) AND file_sha256 <> sha256 AND overlays = ['${path}'] AND len(overlay_sha256[1]) = 64 AS digest FROM packs`,
    )) as [{ filtered: number; kept: string; digest: boolean }];
    expect([filtered, digest]).toEqual([1, true]);
    expect(parsePack(kept, 'kept.yaml').pack?.probes[1]).toMatchObject({ enabled: false });
  });

  test('when: of a whole pack leaves a library out, with the reason', async () => {
    const text = PACK.replace('table:', "when: [{ of: version, is: ge, value: '9' }]\ntable:");
    const result = await tracer.run(['--json', '--pack', packFile('w.yaml', text), '--', program]);
    expect([result.code, result.stderr]).toEqual([4, '']);
    const reason = 'when: version ge 9, and this library is 2.5.1';
    expect(await query(result.capture, 'SELECT state, reason FROM libraries')).toEqual([
      { state: 'ignored', reason },
    ]);
    expect(await query(result.capture, 'SELECT DISTINCT state, reason FROM probes')).toEqual([
      { state: 'skipped', reason },
    ]);
  });
});
