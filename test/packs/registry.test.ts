import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readEnabled, writeEnabled } from '../../src/packs/enabled.js';
import { disablePacks, enablePacks } from '../../src/packs/enabling.js';
import { readPackFile } from '../../src/packs/load.js';
import { type ConfigDirs, configDirs, packPlaces } from '../../src/packs/places.js';
import { PackRegistry } from '../../src/packs/registry.js';

const work = mkdtempSync(join(tmpdir(), 'ingero-registry-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));
let next = 0;
function folder(files: Readonly<Record<string, string>> = {}): string {
  const path = join(work, String(next++));
  mkdirSync(path);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), text);
  }
  return path;
}

const pack = (name: string, version = '1.0.0'): string =>
  `{ name: ${name}, version: ${version}, description: x, layer: site, libraries: [{ soname: x.so }],
  table: cuda_events, probes: [{ prototype: int f(int a) }] }`;
const blockPack = (name: string): string =>
  `name: ${name}\nversion: 1.0.0\ndescription: x\nlayer: site\nlibraries: [{ soname: x.so }]\ntable: cuda_events\nprobes: [{ prototype: int f(int a) }]\n`;

/** Folders of a user that is not root. */
function dirs(
  user: Readonly<Record<string, string>> = {},
  system: Readonly<Record<string, string>> = {},
): ConfigDirs {
  const own = folder(user);
  return { user: own, system: folder(system), own };
}

describe('configuration folders', () => {
  const host = (env: Record<string, string>, uid = 1000) =>
    configDirs({ env, uid, systemDir: '/etc/ingero' });

  it('are those of XDG, else below HOME', () => {
    expect(host({ HOME: '/home/u' })).toEqual({
      user: '/home/u/.config/ingero',
      system: '/etc/ingero',
      own: '/home/u/.config/ingero',
    });
    expect(host({ HOME: '/home/u', XDG_CONFIG_HOME: '/x' }).user).toBe('/x/ingero');
    expect(host({ HOME: '/home/u', XDG_CONFIG_HOME: 'relative' }).user).toBe('/home/u/.config/ingero');
  });

  it("are the host's for root, who keeps a folder for packs", () => {
    expect(host({ HOME: '/root' }, 0)).toEqual({
      user: '/root/.config/ingero',
      system: '/etc/ingero',
      own: '/etc/ingero',
    });
  });

  it('may be missing', () => {
    expect(host({})).toEqual({ user: null, system: '/etc/ingero', own: null });
    expect(host({ HOME: '' }).user).toBe(null);
  });

  it('are one with INGERO_CONFIG_DIR', () => {
    expect(host({ HOME: '/home/u', INGERO_CONFIG_DIR: '/c' }, 0)).toEqual({
      user: '/c',
      system: null,
      own: '/c',
    });
    expect(host({ HOME: '/home/u', INGERO_CONFIG_DIR: 'c' }).user).toBe('/home/u/.config/ingero');
  });

  it('give the places in their order', () => {
    const places = packPlaces(['a', 'b'], { user: '/u', system: '/s', own: '/u' });
    expect(places.map(({ kind, path }) => `${kind} ${path}`).slice(0, 4)).toEqual([
      'pack-dir a',
      'pack-dir b',
      'user /u/probes.d',
      'system /s/probes.d',
    ]);
    expect(places.at(-1)?.kind).toBe('built-in');
  });
});

describe('the registry', () => {
  it('takes the first pack of a name: --pack-dir, user, system, built-in', () => {
    const config = dirs(
      { 'probes.d/a.yaml': pack('one', '2.0.0'), 'probes.d/b.yaml': pack('two', '2.0.0') },
      {
        'probes.d/a.yaml': pack('one', '3.0.0'),
        'probes.d/b.yaml': pack('two', '3.0.0'),
        'probes.d/c.yaml': pack('cuda-runtime', '3.0.0'),
      },
    );
    const registry = PackRegistry.open([folder({ 'x.yaml': pack('one') })], config);
    expect(['one', 'two', 'cuda-runtime'].map((name) => registry.pack(name).version)).toEqual([
      '1.0.0',
      '2.0.0',
      '3.0.0',
    ]);
    expect(
      registry.shadowed.map(({ entry, by }) => `${entry.place.kind} ${entry.name} < ${by.place.kind}`),
    ).toEqual([
      'user one < pack-dir',
      'system one < pack-dir',
      'system two < user',
      'built-in cuda-runtime < system',
    ]);
  });

  it('a broken pack hides the good one behind it: nobody gets another pack than they wrote', () => {
    const config = dirs({ 'probes.d/cuda-runtime.yaml': 'name: cuda-runtime\nprobes: 3\n' });
    const registry = PackRegistry.open([], config);
    expect(() => registry.pack('cuda-runtime')).toThrow(/cuda-runtime\.yaml:2:9/);
    expect(() => registry.select(undefined)).toThrow(/problems in/);
  });

  it('only checks the packs that are asked for', () => {
    const packs = folder({
      'a.yaml': blockPack('one'),
      'b.yaml': 'name: two\nprobes: nonsense\n',
      'c.yaml': '[',
    });
    const registry = PackRegistry.open([packs], dirs());
    expect(registry.select(['one']).map(({ name }) => name)).toEqual(['one']);
    expect(registry.entries.map(({ name }) => name)).toEqual(expect.arrayContaining(['one', 'two', 'c']));
  });

  it('two packs of one name in one folder stand for none', () => {
    const packs = folder({ 'a.yaml': blockPack('one'), 'b.yaml': pack('one') });
    const registry = PackRegistry.open([packs], dirs());
    expect(() => registry.pack('one')).toThrow(
      /b\.yaml:1:1: error: pack one is already defined in .*a\.yaml/,
    );
  });

  it('other files and folders are no packs', () => {
    const packs = folder({ 'a.yaml': blockPack('one'), 'notes.txt': 'x', 'dir.yaml/x': 'x' });
    const registry = PackRegistry.open([packs], dirs());
    const here = registry.entries.filter(({ place }) => place.kind === 'pack-dir');
    expect(here.map(({ name, parsed }) => [name, parsed().problems[0]?.rule])).toEqual([
      ['one', undefined],
      ['dir', 'unreadable'],
    ]);
  });

  it('names of packs go before files; two packs of one name cannot be traced together', () => {
    const packs = folder({ 'a.yaml': blockPack('one') });
    const file = join(folder({ 'b.yaml': pack('one') }), 'b.yaml');
    const registry = PackRegistry.open([packs], dirs());
    expect(registry.select(['one', 'one', join(packs, 'a.yaml')])).toHaveLength(1);
    expect(registry.select([file])[0]?.source.path).toBe(file);
    expect(() => registry.select(['one', file])).toThrow(/duplicate-pack/);
  });
});

describe('readPackFile', () => {
  it.each([
    ['a folder', () => folder(), 'unreadable'],
    ['no file', () => join(work, 'none'), 'unreadable'],
    ['not text', () => join(folder({ 'x.yaml': '\0' }), 'x.yaml'), 'not-text'],
    ['a device', () => '/dev/zero', 'unreadable'],
  ])('%s is refused', (_, path, rule) => {
    expect(readPackFile(path()).problems[0]?.rule).toBe(rule);
  });

  it('bytes that are no UTF-8 are refused', () => {
    const path = join(folder(), 'x.yaml');
    writeFileSync(path, Buffer.from([0x6e, 0xff, 0xfe]));
    expect(readPackFile(path).problems[0]?.rule).toBe('not-text');
  });
});

describe('enabled packs', () => {
  it('are those of the user, else of the host, else the default', () => {
    const system = 'enabled: [one]\n';
    expect(readEnabled(dirs())).toEqual({ names: ['cuda-runtime'], path: null });
    expect(readEnabled(dirs({}, { 'enabled.yaml': system })).names).toEqual(['one']);
    const both = dirs({ 'enabled.yaml': 'enabled: []\n' }, { 'enabled.yaml': system });
    expect(readEnabled(both)).toEqual({ names: [], path: join(both.own ?? '', 'enabled.yaml') });
  });

  it('begin with what held before', () => {
    const config = dirs({ 'probes.d/a.yaml': pack('one') }, { 'enabled.yaml': 'enabled: [gone]\n' });
    expect(enablePacks(PackRegistry.open([], config), ['one']).enabled).toEqual(['gone', 'one']);
    expect(disablePacks(PackRegistry.open([], config), ['gone']).enabled).toEqual(['one']);
    expect(readFileSync(join(config.system ?? '', 'enabled.yaml'), 'utf8')).toBe('enabled: [gone]\n');
  });

  it('are replaced whole, also behind a link, and leave nothing beside them', () => {
    const config = dirs({ target: 'enabled: [kept]\n' });
    const own = config.own ?? '';
    symlinkSync(join(own, 'target'), join(own, 'enabled.yaml'));
    writeEnabled(config, ['one']);
    expect(readEnabled(config).names).toEqual(['one']);
    expect(readFileSync(join(own, 'target'), 'utf8')).toContain('kept');
    expect(readdirSync(own).sort()).toEqual(['enabled.yaml', 'target']);
  });

  it('twice in the file is once', () => {
    expect(readEnabled(dirs({ 'enabled.yaml': 'enabled: [a, b, a]\n' })).names).toEqual(['a', 'b']);
  });

  it.each([
    ['aliases without end', `a: &a [x]\n${'b: [*a,*a,*a,*a]\n'.repeat(40)}`],
    ['deep nesting', '['.repeat(20_000)],
    ['a huge file', `enabled: [${'a,'.repeat(100_000)}]`],
  ])('%s: refused', (_, text) => {
    expect(() => readEnabled(dirs({ 'enabled.yaml': text }))).toThrow(/cannot be used/);
  });
});
