import { createHash } from 'node:crypto';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { signFile } from '../../src/trust/signature.js';
import { readSigningKey } from '../../src/trust/signing-key.js';
import { buildCli, type Cli, type RunResult } from '../support/cli.js';
import { makeKeys } from '../support/keys.js';

/** A user without any privilege. */
const NOBODY = 65534;
const isRoot = process.geteuid?.() === 0;

const sitePack = (name: string, version = '1.0.0'): string => `schema: 1
name: ${name}
version: ${version}
description: Calls of ${name}
layer: site
libraries:
  - soname: lib${name}.so.*
table: cuda_events
probes:
  - prototype: int ${name.replaceAll('-', '_')}_alloc(void **out, size_t n)
    symbols: [${name.replaceAll('-', '_')}_alloc, ${name.replaceAll('-', '_')}_alloc_v2]
    required: true
    capture:
      - { arg: n, column: bytes }
      - { arg: '*out', at: return, column: ptr }
`;
const BROKEN = sitePack('broken').replace('arg: n,', 'arg: m,').replace('column: ptr', 'column: prt');

const work = mkdtempSync(join(tmpdir(), 'ingero-probes-'));
chmodSync(work, 0o755);
let cli: Cli;
beforeAll(async () => {
  cli = await buildCli();
});
afterAll(() => {
  cli.remove();
  rmSync(work, { recursive: true, force: true });
});

let folders = 0;
/** A new folder with these files. */
function folder(files: Readonly<Record<string, string>> = {}): string {
  const path = join(work, String(folders++));
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}

/** The configuration folder of the test at hand. */
let config: string;
beforeEach(() => {
  config = folder();
});
const probes = (...args: string[]): Promise<RunResult> =>
  cli.run(['probes', ...args], { env: { INGERO_CONFIG_DIR: config } });
/** Runs with --json, which has to succeed. */
async function json<T>(...args: string[]): Promise<T> {
  const { code, stdout, stderr } = await probes(...args, '--json');
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as T;
}
/** The error a command ends with. */
async function failure(
  ...args: string[]
): Promise<{ exit: number | null; code: string; message: string; next?: string; expected?: string }> {
  const { code, stdout } = await probes(...args, '--json');
  return { exit: code, ...(JSON.parse(stdout) as { error: { code: string; message: string } }).error };
}

interface Listing {
  packs: Record<string, unknown>[];
  broken: { name: string; path: string; enabled: boolean; problems: { rule: string; line: number }[] }[];
  shadowed: unknown[];
  orphans: unknown[];
  missing: string[];
  enabled_file: string | null;
}

describe('an overlay', () => {
  const OVERLAY = 'overlays: one\nprobes:\n  one_alloc: { mode: entry, required: false }\n';
  test('is named wherever the pack is looked at, with the line of what it sets', async () => {
    const text = sitePack('one').replace(/.*at: return.*\n/, '');
    const packs = folder({
      'one.yaml': text,
      'one.overlay.yaml': OVERLAY,
      'x.overlay.yaml': 'overlays: none\nprobes: { a: { mode: call } }\n',
    });
    const overlay = join(packs, 'one.overlay.yaml');
    const dir = ['--pack-dir', packs] as const;

    const listed = await json<Listing>('list', ...dir);
    expect(listed.packs[0]).toMatchObject({ name: 'one', overlays: [overlay] });
    expect(listed.packs[0]?.sha256).not.toBe(listed.packs[0]?.file_sha256);
    expect(listed.orphans).toEqual([{ path: join(packs, 'x.overlay.yaml'), overlays: 'none' }]);
    expect((await probes('list', ...dir)).stdout).toContain(`one is changed by ${overlay}.`);

    const shown = (await probes('show', 'one', ...dir)).stdout;
    expect(shown).toContain(`  changed by ${overlay}\n`);
    expect(shown).toMatch(
      /^one_alloc \(one.yaml:10\)\n.*\n {2}symbols .*; entry only\n.*\n {2}mode from .*one\.overlay\.yaml:3$/m,
    );
    const compiled = (await probes('compile', 'one', ...dir)).stdout;
    expect(compiled).toContain(`  changed by ${overlay}\n`);
    expect(compiled).toContain(`  required from ${overlay}:3\n`);

    const wrong = folder({ 'y.overlay.yaml': OVERLAY.replace('entry', 'exit'), 'z.overlay.yaml': OVERLAY });
    const { code, stdout } = await probes(
      'validate',
      ...dir,
      join(wrong, 'y.overlay.yaml'),
      join(wrong, 'z.overlay.yaml'),
    );
    expect(code).toBe(8);
    expect(stdout).toMatch(/y\.overlay\.yaml:3:22: error: mode must be one of call, entry \[wrong-value\]/);
    expect(stdout).toContain('z.overlay.yaml: OK: changes one 1.0.0, 1 function\n');
  });
});

describe('probes list', () => {
  test('--json says what each pack is, and which bytes', async () => {
    const listing = await json<Listing>('list');
    const runtime = listing.packs.find((pack) => pack.name === 'cuda-runtime');
    const file = readFileSync(join(PACKAGE_ROOT, 'probes/cuda-runtime.yaml'));
    expect(runtime).toEqual({
      name: 'cuda-runtime',
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      description: expect.stringContaining('CUDA runtime'),
      layer: 'runtime',
      libraries: ['libcudart.so.*'],
      table: 'cuda_events',
      probes: file.toString().match(/^ {2}- prototype:/gm)?.length,
      enabled: true,
      default: true,
      sha256: createHash('sha256').update(file).digest('hex'),
      file_sha256: createHash('sha256').update(file).digest('hex'),
      overlays: [],
      signature: 'unsigned',
      signer: null,
      from: 'built-in',
      path: expect.stringMatching(/\/probes\/cuda-runtime\.yaml$/),
    });
    expect(listing).toMatchObject({ broken: [], shadowed: [], missing: [], enabled_file: null });
  });

  test('as text: one line per pack', async () => {
    const { code, stdout, stderr } = await probes('list');
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.split('\n')[0]).toMatch(
      /^name +enabled +version +layer +table +probes +sha256 +signer +from$/,
    );
    expect(stdout).toMatch(
      /^cuda-runtime +yes +\d+\.\d+\.\d+ +runtime +cuda_events +\d+ +[0-9a-f]{12} +- +built-in$/m,
    );
  });

  test('names who signed a pack, and says when it was changed since', async () => {
    const packs = folder({ 'a.yaml': sitePack('one'), 'b.yaml': sitePack('two') });
    const keys = makeKeys(packs, 'signer', 'signer: Lab A\n');
    const key = readSigningKey(keys.key);
    for (const name of ['a.yaml', 'b.yaml']) await signFile(join(packs, name), key, false);
    appendFileSync(join(packs, 'b.yaml'), '# later\n');
    const listing = await json<Listing>('list', '--pack-dir', packs, '--trust', keys.trust);
    expect(listing.packs.slice(0, 2)).toMatchObject([
      { name: 'one', signature: 'good', signer: 'Lab A' },
      { name: 'two', signature: 'altered', signer: null },
    ]);
    const { stdout } = await probes('show', 'one', '--pack-dir', packs, '--trust', keys.trust);
    expect(stdout).toContain(`  signer     Lab A (${keys.publicKey})\n`);
  });

  test('a broken pack does not hide the others', async () => {
    const packs = folder({ 'a.yaml': sitePack('one'), 'b.yaml': BROKEN, 'c.yaml': sitePack('two') });
    const listing = await json<Listing>('list', '--pack-dir', packs);
    expect(listing.packs.slice(0, 2).map((pack) => [pack.name, pack.from])).toEqual([
      ['one', 'pack-dir'],
      ['two', 'pack-dir'],
    ]);
    expect(listing.broken).toMatchObject([
      {
        name: 'broken',
        enabled: false,
        path: join(packs, 'b.yaml'),
        problems: [{ rule: 'unknown-argument' }, { rule: 'unknown-column' }],
      },
    ]);
    const { code, stdout } = await probes('list', '--pack-dir', packs);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^broken +no +broken .*b\.yaml$/m);
    expect(stdout).toContain('did you mean ptr?');
  });

  test('earlier places win, and what they hide is said', async () => {
    const first = folder({ 'x.yaml': sitePack('one', '3.0.0') });
    const second = folder({ 'x.yaml': sitePack('one', '2.0.0') });
    mkdirSync(join(config, 'probes.d'));
    writeFileSync(join(config, 'probes.d/one.yaml'), sitePack('one', '1.0.0'));
    writeFileSync(join(config, 'probes.d/mine.yaml'), sitePack('cuda-runtime', '9.0.0'));
    const listing = await json<Listing>('list', '--pack-dir', first, '--pack-dir', second);
    const found = listing.packs.map(({ name, version, from }) => [name, version, from]);
    expect(found).toContainEqual(['one', '3.0.0', 'pack-dir']);
    expect(found).toContainEqual(['cuda-runtime', '9.0.0', 'user']);
    expect(listing.shadowed).toEqual([
      { name: 'one', from: 'pack-dir', path: join(second, 'x.yaml'), by: join(first, 'x.yaml') },
      { name: 'one', from: 'user', path: join(config, 'probes.d/one.yaml'), by: join(first, 'x.yaml') },
      {
        name: 'cuda-runtime',
        from: 'built-in',
        path: expect.stringMatching(/probes\/cuda-runtime\.yaml$/),
        by: join(config, 'probes.d/mine.yaml'),
      },
    ]);
  });

  test('a folder that was named and is not there is refused', async () => {
    expect(await failure('list', '--pack-dir', join(work, 'nowhere'))).toMatchObject({
      exit: 2,
      code: 'pack-dir-unreadable',
      message: expect.stringContaining('nowhere'),
    });
  });

  test.skipIf(!isRoot)('a folder of the configuration that cannot be read is named', async () => {
    const { config: locked } = { config: folder({ 'probes.d/one.yaml': sitePack('one') }) };
    chmodSync(join(locked, 'probes.d'), 0o700);
    const { code, stdout } = await cli.run(['probes', 'list'], {
      env: { INGERO_CONFIG_DIR: locked },
      uid: NOBODY,
    });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^cuda-runtime/m);
    expect(stdout).toMatch(/probes\.d cannot be read: EACCES/);
  });
});

describe('probes show', () => {
  test('says what is probed and recorded', async () => {
    const packs = folder({ 'one.yaml': sitePack('one') });
    const { code, stdout } = await probes('show', 'one', '--pack-dir', packs);
    expect(code).toBe(0);
    expect(stdout.replace(/[0-9a-f]{64}/, 'DIGEST').replace(packs, 'DIR')).toBe(`one 1.0.0: Calls of one
  libraries  libone.so.*
  records    1 functions, layer site, table cuda_events
  sha256     DIGEST
  signer     -
  file       DIR/one.yaml

one_alloc (one.yaml:10)
  int one_alloc(void **out, size_t n)
  symbols one_alloc, one_alloc_v2; required
    bytes  n
    ptr    *out, read at return
`);
  });

  test('--json has every probe, --yaml the text', async () => {
    const packs = folder({ 'one.yaml': sitePack('one') });
    const shown = await json<Record<string, unknown>>('show', join(packs, 'one.yaml'));
    expect(shown).toMatchObject({
      name: 'one',
      enabled: false,
      result: null,
      yaml: sitePack('one'),
      probes: [
        {
          op: 'one_alloc',
          mode: 'call',
          required: true,
          symbols: ['one_alloc', 'one_alloc_v2'],
          columns: [
            { column: 'bytes', from: 'n' },
            { column: 'ptr', from: '*out, read at return' },
          ],
          where: [],
          settings: {},
        },
      ],
    });
    const { stdout } = await probes('show', 'cuda-runtime', '--yaml');
    expect(stdout).toBe(readFileSync(join(PACKAGE_ROOT, 'probes/cuda-runtime.yaml'), 'utf8'));
  });

  test('every built-in pack can be shown', async () => {
    const { packs } = await json<Listing>('list');
    for (const { name, probes: count } of packs) {
      const shown = await json<{ probes: unknown[] }>('show', String(name));
      expect(shown.probes).toHaveLength(Number(count));
    }
  });

  test('a name that is nearly right gets the right one', async () => {
    expect(await failure('show', 'cuda-runtme')).toMatchObject({
      exit: 8,
      code: 'unknown-pack',
      next: 'Did you mean cuda-runtime?',
    });
  });

  test('a broken pack is refused with its problems', async () => {
    const packs = folder({ 'b.yaml': BROKEN });
    const { exit, code, message } = await failure('show', 'broken', '--pack-dir', packs);
    expect([exit, code]).toEqual([8, 'bad-pack']);
    expect(message).toContain('b.yaml:14:16: error: broken_alloc has no argument m');
  });
});

describe('probes enable and disable', () => {
  beforeEach(() => {
    mkdirSync(join(config, 'probes.d'));
    for (const name of ['one', 'two']) {
      writeFileSync(join(config, 'probes.d', `${name}.yaml`), sitePack(name));
    }
    writeFileSync(join(config, 'probes.d/broken.yaml'), BROKEN);
  });
  const file = (): string => join(config, 'enabled.yaml');
  const enabledNow = async (): Promise<unknown[]> =>
    (await json<Listing>('list')).packs.filter((pack) => pack.enabled === true).map((pack) => pack.name);

  test('are kept', async () => {
    expect(await json('enable', 'two', 'one', 'two')).toEqual({
      enabled: ['cuda-runtime', 'two', 'one'],
      changed: ['two', 'one'],
      path: file(),
    });
    expect((await enabledNow()).sort()).toEqual(['cuda-runtime', 'one', 'two']);
    expect(readFileSync(file(), 'utf8')).toMatch(
      /^# .*\nenabled:\n {2}- cuda-runtime\n {2}- two\n {2}- one\n$/,
    );
    expect(await json('disable', 'cuda-runtime', 'two')).toMatchObject({ enabled: ['one'] });
    expect(await enabledNow()).toEqual(['one']);
  });

  test('twice is once', async () => {
    await json('enable', 'one');
    const before = statSync(file()).ino;
    expect(await json('enable', 'one')).toMatchObject({ enabled: ['cuda-runtime', 'one'], changed: [] });
    expect(await json('disable', 'two')).toMatchObject({ enabled: ['cuda-runtime', 'one'], changed: [] });
    expect(statSync(file()).ino).toBe(before);
  });

  test('say what is enabled now', async () => {
    const { stdout } = await probes('enable', 'one');
    expect(stdout).toContain(`Enabled: cuda-runtime, one\nWritten to ${file()}.`);
  });

  test('the file can be read by every user, and nothing else is left', async () => {
    const dir = join(config, 'new/nested');
    const { code } = await cli.run(['probes', 'disable', 'cuda-runtime'], {
      env: { INGERO_CONFIG_DIR: dir },
    });
    expect(code).toBe(0);
    expect(statSync(join(dir, 'enabled.yaml')).mode & 0o777).toBe(0o644);
    expect(readFileSync(join(dir, 'enabled.yaml'), 'utf8')).toContain('enabled: []');
  });

  test('all or none: a wrong name among them changes nothing', async () => {
    expect(await failure('enable', 'one', 'tvo')).toMatchObject({
      exit: 8,
      code: 'unknown-pack',
      next: 'Did you mean two?',
    });
    expect(await failure('enable', 'one', 'broken')).toMatchObject({ exit: 8, code: 'bad-pack' });
    expect(await failure('disable', 'cuda-runtime', 'tvo')).toMatchObject({ code: 'unknown-pack' });
    expect(await enabledNow()).toEqual(['cuda-runtime']);
  });

  test('trace uses what is enabled', async () => {
    // Without a program of that name it ends after it has chosen its packs, whoever runs it.
    const trace = (...args: string[]): Promise<RunResult> =>
      cli.run(['trace', '--json', '--out', join(config, 'x.duckdb'), ...args, '--', 'no-such-program'], {
        env: { INGERO_CONFIG_DIR: config },
      });
    const codeOf = async (...args: string[]): Promise<string> =>
      (JSON.parse((await trace(...args)).stdout) as { error: { code: string } }).error.code;
    expect(await codeOf()).toBe('command-not-found');
    await json('disable', 'cuda-runtime');
    expect(await codeOf()).toBe('no-pack-enabled');
    expect(await codeOf('--pack', 'one')).toBe('command-not-found');
    expect(await codeOf('--pack', 'broken')).toBe('bad-pack');
    expect(await codeOf('--pack', 'three', '--pack-dir', folder({ 'x.yaml': sitePack('three') }))).toBe(
      'command-not-found',
    );
    await json('enable', 'one');
    rmSync(join(config, 'probes.d/one.yaml'));
    const { code, stdout } = await trace();
    expect(code).toBe(8);
    expect(stdout).toContain(`${file()} enables one, and there is no such probe pack.`);
  });

  test('a name whose pack is gone is shown and can be disabled', async () => {
    await json('enable', 'one');
    rmSync(join(config, 'probes.d/one.yaml'));
    expect(await json('list')).toMatchObject({ missing: ['one'] });
    expect((await probes('list')).stdout).toContain('one is enabled');
    expect(await json('disable', 'one')).toMatchObject({ enabled: ['cuda-runtime'] });
  });

  test.each([
    ['not YAML', 'enabled: [one', 'yaml-syntax'],
    ['another shape', '- one\n', 'wrong-type'],
    ['no list', 'enabled: one\n', 'wrong-type'],
    ['no names', 'enabled: [one, 7, "../x"]\n', 'wrong-value'],
    ['another key', 'enabled: []\nenable: [one]\n', 'unknown-key'],
    ['nothing', '', 'wrong-type'],
  ])('a list that is %s is refused with its place', async (_, text, rule) => {
    writeFileSync(file(), text);
    const { exit, code, message } = await failure('list');
    expect([exit, code]).toEqual([8, 'bad-enabled-file']);
    expect(message).toMatch(new RegExp(`enabled\\.yaml:\\d+:\\d+: error: .* \\[${rule}\\]`));
  });

  test('a list that cannot be read is not replaced', async () => {
    writeFileSync(file(), 'enabled: [one');
    expect(await failure('enable', 'one')).toMatchObject({ exit: 8, code: 'bad-enabled-file' });
    expect(await failure('disable', 'one')).toMatchObject({ exit: 8, code: 'bad-enabled-file' });
    expect(readFileSync(file(), 'utf8')).toBe('enabled: [one');
  });

  test('a folder in place of the list is refused', async () => {
    mkdirSync(file());
    expect(await failure('list')).toMatchObject({ exit: 8, code: 'bad-enabled-file' });
  });
});

describe.skipIf(!isRoot)('another user', () => {
  const run = (args: readonly string[], env: Record<string, string>): Promise<RunResult> =>
    cli.run(['probes', ...args, '--json'], {
      env: { INGERO_CONFIG_DIR: '', XDG_CONFIG_HOME: '', ...env },
      uid: NOBODY,
    });
  const ofNobody = async (): Promise<string> => {
    const home = folder();
    chmodSync(home, 0o777);
    return home;
  };

  test('keeps the choice in the home directory', async () => {
    const home = await ofNobody();
    const { code, stdout } = await run(['disable', 'cuda-runtime'], { HOME: home });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ path: join(home, '.config/ingero/enabled.yaml') });
  });

  test('XDG_CONFIG_HOME goes before HOME', async () => {
    const [home, xdg] = [await ofNobody(), await ofNobody()];
    const { stdout } = await run(['disable', 'cuda-runtime'], { HOME: home, XDG_CONFIG_HOME: xdg });
    expect(JSON.parse(stdout)).toMatchObject({ path: join(xdg, 'ingero/enabled.yaml') });
  });

  test('cannot write to a folder of somebody else', async () => {
    const home = folder();
    const { code, stdout } = await run(['disable', 'cuda-runtime'], { HOME: home });
    expect(code).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'config-unwritable' } });
  });

  test('without a home can list and not choose', async () => {
    expect((await run(['list'], { HOME: '' })).code).toBe(0);
    const { code, stdout } = await run(['disable', 'cuda-runtime'], { HOME: '' });
    expect(code).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'no-config-directory' } });
  });
});

describe('probes validate', () => {
  test('every problem of every file, and the good ones', async () => {
    const files = folder({
      'good.yaml': sitePack('one'),
      'bad.yaml': BROKEN,
      'worse.yaml': 'name: [',
      'binary.yaml': '\0',
    });
    const paths = ['good', 'bad', 'worse', 'binary'].map((name) => join(files, `${name}.yaml`));
    const { code, stdout, stderr } = await probes('validate', ...paths);
    expect([code, stderr]).toEqual([8, '']);
    expect(stdout).toContain(`${paths[0]}: OK: one 1.0.0, 1 function\n`);
    expect(stdout).toContain(`${paths[1]}:14:16: error: broken_alloc has no argument m [unknown-argument]
    14 |       - { arg: m, column: bytes }
       |                ^`);
    expect(stdout).toContain('[yaml-syntax]');
    expect(stdout).toContain('[not-text]');
    expect(stdout).toMatch(/\d+ problems in 3 of 4 files\n$/);
  });

  test('--json has one shape', async () => {
    const files = folder({ 'good.yaml': sitePack('one'), 'bad.yaml': BROKEN });
    const [good, bad, absent] = ['good', 'bad', 'absent'].map((name) => join(files, `${name}.yaml`));
    const { code, stdout } = await probes('validate', '--json', good ?? '', bad ?? '', absent ?? '');
    expect(code).toBe(8);
    expect(JSON.parse(stdout)).toEqual({
      files: [
        { path: good, ok: true, problems: [] },
        {
          path: bad,
          ok: false,
          problems: [
            {
              rule: 'unknown-argument',
              message: 'broken_alloc has no argument m',
              line: 14,
              column: 16,
              snippet: '      - { arg: m, column: bytes }',
              suggestion: 'did you mean n?',
            },
            expect.objectContaining({ rule: 'unknown-column', line: 15, suggestion: 'did you mean ptr?' }),
          ],
        },
        { path: absent, ok: false, problems: [expect.objectContaining({ rule: 'unreadable' })] },
      ],
    });
  });

  test('good files only: exit status 0', async () => {
    const good = join(folder({ 'good.yaml': sitePack('one') }), 'good.yaml');
    expect((await probes('validate', good)).code).toBe(0);
    expect((await probes('validate')).code).toBe(2);
  });
});
