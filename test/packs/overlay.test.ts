import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { compilePack, loadBuiltinPacks, parsePack } from '../../src/packs/index.js';
import { probeOrigins } from '../../src/packs/origins.js';
import { parseOverlay } from '../../src/packs/overlay.js';
import { PackRegistry } from '../../src/packs/registry.js';

const schema = readCaptureSchema();
const PACK = `name: site
version: 1.0.0
description: x
layer: site
libraries: [{ soname: libsite.so.* }]
table: cuda_events
probes:
  - prototype: int site_copy(size_t n, void *out)
    where: &w [{ arg: n, is: ge, value: 8 }]
    capture: &c
      - { arg: n, column: bytes }
  - prototype: int site_read(size_t n)
    op: read
    required: true
    where: *w
    capture: *c
  - prototype: int site_free(void *p)
`;
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const applied = (...overlays: string[]) =>
  parsePack(
    PACK,
    'site.yaml',
    schema,
    overlays.map((text, index) => parseOverlay(text, `${index}.overlay.yaml`)),
  );
const problems = (...overlays: string[]): string[] =>
  applied(...overlays).problems.map(
    ({ path, line, column, rule, message }) => `${path}:${line}:${column} ${rule}: ${message}`,
  );

describe('an overlay', () => {
  it('sets keys of a function, and says where they come from', () => {
    const overlay = `overlays: site
description: Less of it
probes:
  read:
    required: false
    where: [{ arg: n, is: lt, value: 4 }]
  site_free: { enabled: false }
`;
    const { pack, origin } = applied(overlay);
    expect(pack?.probes.map(({ prototype: _, capture: _c, ...probe }) => probe)).toEqual([
      { where: [{ arg: 'n', is: 'ge', value: 8 }] },
      { op: 'read', required: false, where: [{ arg: 'n', is: 'lt', value: 4 }] },
      { enabled: false },
    ]);
    if (pack === undefined || origin === undefined) throw new Error('no pack');
    expect(probeOrigins(pack, origin)).toEqual([
      { prototype: 'site.yaml:8', where: 'site.yaml:9', 'capture.bytes': 'site.yaml:11' },
      {
        prototype: 'site.yaml:12',
        op: 'site.yaml:13',
        required: '0.overlay.yaml:5',
        where: '0.overlay.yaml:6',
        // Written once, and used by an alias.
        'capture.bytes': 'site.yaml:11',
      },
      { prototype: 'site.yaml:17', enabled: '0.overlay.yaml:7' },
    ]);
    expect(pack.source).toMatchObject({
      path: 'site.yaml',
      fileSha256: sha256(PACK),
      sha256: sha256(pack.source.text),
      overlays: [{ path: '0.overlay.yaml', sha256: sha256(overlay) }],
      disabled: { 2: '0.overlay.yaml:7' },
    });
    // What the capture keeps is the pack that was in force.
    const again = parsePack(pack.source.text, 'site.yaml').pack;
    expect(again).toEqual({ ...pack, source: expect.anything() });
    expect(compilePack(pack, 'x64').probes[2]).toMatchObject({
      disabled: 'enabled: false in 0.overlay.yaml:7',
    });
  });

  it("'*' stands for every function; what is said of one by name wins", () => {
    const { pack } = applied(
      'overlays: site\nprobes:\n  site_copy: { mode: call, where: [] }\n  "*": { mode: entry, enabled: false }\n',
    );
    expect(pack?.probes.map(({ mode, enabled }) => [mode, enabled])).toEqual([
      ['call', false],
      ['entry', false],
      ['entry', false],
    ]);
    expect(pack?.probes[0]).not.toHaveProperty('where');
  });

  it('redacts columns, samples and takes stacks', () => {
    const { pack, origin } = applied(
      'overlays: site\nprobes:\n  read: { redact: { bytes: drop }, sample: 1/10, stack: always }\n',
    );
    // The capture is written once in the pack, for two functions by an alias.
    expect(pack?.probes.map(({ capture }) => capture?.[0]?.redact)).toEqual([undefined, 'drop', undefined]);
    expect(pack?.probes[1]).toMatchObject({ sample: '1/10', stack: 'always' });
    if (pack === undefined || origin === undefined) throw new Error('no pack');
    expect(probeOrigins(pack, origin)[1]).toMatchObject({ 'redact.bytes': '0.overlay.yaml:3' });
    const all = applied('overlays: site\nprobes: { "*": { redact: { bytes: hash } } }\n');
    expect(all.pack?.probes.map(({ capture }) => capture?.[0]?.redact)).toEqual(['hash', 'hash', undefined]);
    expect(problems('overlays: site\nprobes:\n  site_free: { redact: { byte: drop } }\n')).toEqual([
      '0.overlay.yaml:3:26 unknown-column: no column byte is captured',
    ]);
  });

  it('applied later wins', () => {
    const { pack } = applied(
      'overlays: site\nprobes: { read: { mode: entry, required: false } }\n',
      'overlays: site\nprobes: { read: { mode: call } }\n',
    );
    expect(pack?.probes[1]).toMatchObject({ mode: 'call', required: false });
  });

  it('leaves a pack as it is when it sets nothing', () => {
    const { pack } = applied();
    expect(pack?.source).toMatchObject({ text: PACK, sha256: sha256(PACK), fileSha256: sha256(PACK) });
  });

  it('is checked together with the pack, at its own lines', () => {
    expect(
      problems(
        'overlays: site\nprobes:\n  raed: { mode: entry }\n  read: { where: [{ arg: m, is: ge, value: 1 }] }\n',
        'overlays: site\nprobes:\n  site_copy: { where: [{ of: result, is: ne }] }\n',
      ),
    ).toEqual([
      '0.overlay.yaml:3:3 unknown-op: pack site has no operation raed',
      '0.overlay.yaml:4:26 unknown-argument: site_read has no argument m',
      '1.overlay.yaml:3:42 bad-where: ne needs value, one number',
    ]);
  });

  it.each([
    ['probes: { read: { mode: entry } }', 'missing-key: the overlay has no overlays'],
    ['overlays: site', 'missing-key: the overlay has no probes'],
    ['overlays: site\nprobes: { read: { symbols: [x] } }', 'unknown-key: unknown key symbols'],
    ['overlays: site\nprobes: { read: { mode: exit } }', 'wrong-value: mode must be one of call, entry'],
    [
      'overlays: site\nprobes: { "read it": { mode: call } }',
      'wrong-value: "read it" cannot be a key of probes',
    ],
    ['overlays: Site\nprobes: { read: { mode: call } }', 'wrong-value: "Site" is not a valid overlays'],
    [
      'overlays: site\nschema: 9\nprobes: []',
      'newer-grammar: this file needs grammar version 9; this ingero reads version 1',
    ],
    ['overlays: site\nprobes: { read: {}, read: {} }', 'duplicate-key: key read is given twice'],
    [`overlays: site\nx: ${'['.repeat(20_000)}`, 'too-complex: the YAML is nested too deeply'],
    [
      `a: &a [x, x, x, x, x, x, x, x, x]\n${[...'bcdefgh'].map((name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[i]}`).join(', ')}]`).join('\n')}`,
      'too-complex: Excessive alias count indicates a resource exhaustion attack',
    ],
    ['overlays: site\0', 'not-text: the file contains a NUL byte'],
  ])('%.60s is refused', (text, problem) => {
    expect(problems(text).some((line) => line.endsWith(problem))).toBe(true);
  });
});

const work = mkdtempSync(join(tmpdir(), 'ingero-overlay-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));
let next = 0;
function folder(files: Readonly<Record<string, string>>): string {
  const path = join(work, String(next++));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}
const mode = (value: string): string => `overlays: site\nprobes: { read: { mode: ${value} } }\n`;

describe('overlays in the folders of packs', () => {
  it('are applied from the least to the most particular place, in a folder by name', () => {
    const system = folder({ 'probes.d/site.yaml': PACK, 'probes.d/site.overlay.yaml': mode('entry') });
    const user = folder({
      'probes.d/10-a.overlay.yaml': mode('entry'),
      'probes.d/20-b.overlay.yaml': 'overlays: site\nprobes: { read: { required: false } }\n',
    });
    const extra = folder({ 'x.overlay.yaml': mode('call') });
    const open = (...dirs: string[]) => PackRegistry.open(dirs, { user, system, own: user });
    const entry = open(extra).entry('site');
    expect(entry.overlays.map(({ path }) => path.slice(work.length))).toEqual([
      '/0/probes.d/site.overlay.yaml',
      '/1/probes.d/10-a.overlay.yaml',
      '/1/probes.d/20-b.overlay.yaml',
      '/2/x.overlay.yaml',
    ]);
    expect(open(extra).pack('site').probes[1]).toMatchObject({ mode: 'call', required: false });
    expect(open().pack('site').probes[1]).toMatchObject({ mode: 'entry' });
    // A pack named by its file is that file.
    const path = join(system, 'probes.d/site.yaml');
    expect(open().packOrFile(path).pack.probes[1]).not.toHaveProperty('mode');
  });

  it('that are wrong make the pack unusable, also when they do not say for which they are', () => {
    const dirs = (files: Readonly<Record<string, string>>) => {
      const user = folder({ 'probes.d/site.yaml': PACK, ...files });
      return PackRegistry.open([], { user, system: null, own: user });
    };
    const broken = dirs({ 'probes.d/50-site.overlay.yaml': ': [' });
    expect(() => broken.pack('site')).toThrowError(/50-site\.overlay\.yaml:1:/);
    const wrong = dirs({ 'probes.d/any.overlay.yaml': mode('exit') });
    expect(() => wrong.select(['site'])).toThrowError(/any\.overlay\.yaml:2:.*mode must be one of/);
    const orphan = dirs({ 'probes.d/any.overlay.yaml': mode('call').replace('site', 'sitte') });
    expect(orphan.pack('site').source.overlays).toEqual([]);
    expect(orphan.orphans.map(({ target }) => target)).toEqual(['sitte']);
    const path = join(orphan.dirs.user ?? '', 'probes.d/any.overlay.yaml');
    expect(orphan.checkOverlay(path).problems).toMatchObject([
      { rule: 'unknown-pack', line: 1, message: 'there is no pack sitte', suggestion: 'did you mean site?' },
    ]);
  });

  it('change shipped packs', () => {
    const dir = folder({ 'nccl.overlay.yaml': 'overlays: nccl\nprobes: { "*": { mode: entry } }\n' });
    const registry = PackRegistry.open([dir], { user: null, system: null, own: null });
    const shipped = loadBuiltinPacks().find(({ name }) => name === 'nccl');
    const problemCount = registry.entry('nccl').parsed().problems.length;
    // Captures at return contradict it: all of them are said, at the line of the overlay or of the pack.
    expect(problemCount).toBeGreaterThan(5);
    writeFileSync(
      join(dir, 'nccl.overlay.yaml'),
      'overlays: nccl\nprobes: { ncclAllReduce: { where: [{ arg: count, is: ge, value: 1024 }] } }\n',
    );
    const { pack } = PackRegistry.open([dir], { user: null, system: null, own: null }).packOrFile('nccl');
    expect(pack.probes[0]).toEqual({
      ...shipped?.probes[0],
      where: [{ arg: 'count', is: 'ge', value: 1024 }],
    });
    expect(pack.probes.slice(1)).toEqual(shipped?.probes.slice(1));
  });
});

describe('mutated overlays', () => {
  const SEED = `schema: 1
overlays: site
description: "x"
probes:
  '*': { mode: call, enabled: true }
  site_copy:
    required: true
    when: [{ of: version, is: ge, value: '2.22' }, { symbol: f, is: absent }]
    where: &w [{ arg: n, is: in, values: [1, 2] }, { of: duration, is: gt, value: 5 }]
  site_free: { when: [], where: [], stack: 'off' }
  read: { where: *w, enabled: false, sample: 1/5, redact: { bytes: hash } }
`;
  it('give a pack or problems: 1000 changes', () => {
    const pieces = [
      '',
      ' ',
      '1',
      '# ',
      '{',
      '}',
      '[',
      ']',
      ': ',
      '- ',
      '*',
      '&w ',
      '*w',
      "'",
      '"',
      '\n',
      '\n  ',
      '\0',
      '~',
      'schema: 9\n',
      'probes:',
      '__proto__: ',
      'constructor: ',
      '<<: ',
      'value: 1e999',
      '💥',
      '\u202e',
      'mode: entry',
      'x',
    ];
    const outcomes = { pack: 0, problems: 0 };
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(600), fc.nat(2), fc.constantFrom(...pieces)), {
          minLength: 1,
          maxLength: 2,
        }),
        (edits) => {
          let text = SEED;
          for (const [at, remove, insert] of edits) {
            const position = at % (text.length + 1);
            text = text.slice(0, position) + insert + text.slice(position + remove);
          }
          const { pack, problems: found } = applied(text);
          if (pack === undefined) {
            expect(found.length).toBeGreaterThan(0);
            outcomes.problems++;
            return;
          }
          outcomes.pack++;
          expect(parsePack(pack.source.text, 'site.yaml', schema).pack?.probes).toEqual(pack.probes);
          compilePack(pack, 'arm64');
        },
      ),
      { numRuns: 1000, seed: 11 },
    );
    expect(outcomes.pack).toBeGreaterThan(20);
    expect(outcomes.problems).toBeGreaterThan(400);
  });
});
