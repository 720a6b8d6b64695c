import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ElfFile, isFunctionFragment } from '../../src/discovery/elf.js';
import { ElfError } from '../../src/discovery/elf-error.js';
import { locate } from '../../src/discovery/probe-sites.js';
import { readProcLink } from '../../src/discovery/procfs.js';
import { compile, output, scratch, shared } from './build.js';

const folder = scratch();
const SOURCE = `
  __attribute__((noinline)) static int hidden(int a) { return a * 3; }
  int first(int a) { return hidden(a) + 1; }
  int second(int a) { return a - 1; }
  int variable = 4;
  int fiction_first(int a) { return a; }
  static void *pick(void) { return (void *)second; }
  int chosen(int) __attribute__((ifunc("pick")));
`;

/** Addresses as nm prints them: the independent reader our results are compared with. */
function nm(path: string, ...flags: string[]): Map<string, bigint> {
  const symbols = new Map<string, bigint>();
  for (const line of output('nm', ...flags, path).split('\n')) {
    const match = /^([0-9a-f]{16}) [TtWV] ([^@\s]+)(@@\S+)?$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) symbols.set(match[2], BigInt(`0x${match[1]}`));
  }
  return symbols;
}

/** Functions of a file as nm lists them: name, first address, and the one behind. */
function functionsOf(path: string, ...flags: string[]): { name: string; start: bigint; end: bigint }[] {
  return output('nm', '-S', ...flags, path)
    .split('\n')
    .flatMap((line) => {
      const [, address, size, name] = /^([0-9a-f]{16}) ([0-9a-f]{16}) [TtWi] ([^@\s]+)/.exec(line) ?? [];
      if (name === undefined) return [];
      const start = BigInt(`0x${address}`);
      return [{ name, start, end: start + BigInt(`0x${size}`) }];
    });
}

function withElf<T>(path: string, use: (elf: ElfFile) => T): T {
  const elf = ElfFile.open(path);
  try {
    return use(elf);
  } finally {
    elf.close();
  }
}

describe('a library built by gcc', () => {
  const path = compile(
    `${folder}/libone.so`,
    SOURCE,
    ...shared(
      'libone.so.1',
      '-Wl,--build-id=0x0123456789abcdef',
      '-Wl,--enable-new-dtags',
      '-Wl,-rpath,$ORIGIN/x:/opt/y',
      '-Wl,--no-as-needed',
      '-lm',
    ),
  );

  test('headers, build-id and dynamic entries', () => {
    withElf(path, (elf) => {
      expect(elf.machine).toBe('x64');
      expect(elf.type).toBe('dyn');
      expect(elf.buildId).toBe('0123456789abcdef');
      expect(elf.soname).toBe('libone.so.1');
      expect(elf.needed).toContain('libm.so.6');
      expect(elf.runpath).toEqual(['$ORIGIN/x', '/opt/y']);
      expect(elf.rpath).toEqual([]);
      expect(elf.interpreter).toBeNull();
      expect(elf.hasSymtab).toBe(true);
      expect(elf.hasSection('.text')).toBe(true);
      expect(elf.hasSection('.nv_fatbin')).toBe(false);
    });
  });

  test('functions, local ones too, at the addresses nm gives', () => {
    const expected = nm(path);
    withElf(path, (elf) => {
      const names = new Set(['first', 'second', 'hidden', 'fiction_first']);
      const found = elf.findSymbols(names);
      expect([...found.keys()].sort()).toEqual([...names].sort());
      for (const [name, symbol] of found) {
        expect(symbol.address, name).toBe(expected.get(name));
        expect(symbol.size).toBeGreaterThan(0);
      }
    });
  });

  test('what must not be probed is refused with a reason, what is not there is in neither map', () => {
    withElf(path, (elf) => {
      const { found, refused } = elf.lookup(new Set(['variable', 'chosen', 'first.cold', 'irst', 'nothing']));
      expect(found.size).toBe(0);
      expect(refused.get('variable')).toBe('not a function');
      expect(refused.get('chosen')).toMatch(/IFUNC/);
      expect(refused.get('first.cold')).toMatch(/fragment/);
      expect([...refused.keys()].sort()).toEqual(['chosen', 'first.cold', 'variable']);
    });
  });

  test('stripped: exported functions remain, local ones are gone', () => {
    const stripped = `${folder}/libstripped.so`;
    execFileSync('strip', ['-o', stripped, path]);
    withElf(stripped, (elf) => {
      expect(elf.hasSymtab).toBe(false);
      expect([...elf.findSymbols(new Set(['first', 'hidden'])).keys()]).toEqual(['first']);
      expect(elf.buildId).toBe('0123456789abcdef');
    });
  });

  test("without section headers the loader's own tables are used", () => {
    const bytes = readFileSync(path);
    bytes.fill(0, 40, 48);
    bytes.fill(0, 58, 64);
    const bare = `${folder}/libbare.so`;
    writeFileSync(bare, bytes);
    withElf(bare, (elf) => {
      expect(elf.soname).toBe('libone.so.1');
      expect(elf.findSymbols(new Set(['first', 'hidden'])).get('first')?.address).toBe(nm(path).get('first'));
    });
    const sysv = compile(`${folder}/libsysv.so`, SOURCE, ...shared('libsysv.so', '-Wl,--hash-style=sysv'));
    const table = readFileSync(sysv);
    table.fill(0, 40, 48);
    table.fill(0, 58, 64);
    writeFileSync(`${folder}/libbaresysv.so`, table);
    withElf(`${folder}/libbaresysv.so`, (elf) => {
      expect(elf.findSymbols(new Set(['second'])).get('second')?.address).toBe(nm(sysv).get('second'));
    });
  });

  test('addresses become file offsets through PT_LOAD', () => {
    const shifted = compile(
      `${folder}/libshifted.so`,
      SOURCE,
      ...shared('libshifted.so', '-Wl,-Ttext-segment=0x70000'),
    );
    withElf(shifted, (elf) => {
      const address = elf.findSymbols(new Set(['first'])).get('first')?.address ?? 0n;
      expect(address).toBeGreaterThan(0x70000n);
      expect(elf.fileOffset(address)).toBe(Number(address) - 0x70000);
      expect(elf.readAt(address, 4)).toEqual(
        readFileSync(shifted).subarray(elf.fileOffset(address)).subarray(0, 4),
      );
      expect(() => elf.fileOffset(1n)).toThrow(ElfError);
    });
  });
});

test('no build-id, DT_RPATH, no soname', () => {
  const path = compile(
    `${folder}/libplain.so`,
    'int plain(void) { return 1; }',
    '-shared',
    '-fPIC',
    '-Wl,--build-id=none',
    '-Wl,--disable-new-dtags',
    '-Wl,-rpath,/opt/z',
  );
  withElf(path, (elf) => {
    expect(elf.buildId).toBeNull();
    expect(elf.soname).toBeNull();
    expect(elf.rpath).toEqual(['/opt/z']);
    expect(elf.runpath).toEqual([]);
  });
});

test('executables: static-pie, static, dynamic', () => {
  const source = 'int carried(int a) { return a + 1; } int main(int c, char **v) { return carried(c); }';
  withElf(compile(`${folder}/staticpie`, source, '-static-pie'), (elf) => {
    expect([elf.type, elf.interpreter, elf.needed.length]).toEqual(['dyn', null, 0]);
    expect(elf.findSymbols(new Set(['carried'])).size).toBe(1);
  });
  withElf(compile(`${folder}/static`, source, '-static'), (elf) => {
    expect([elf.type, elf.soname, elf.needed.length]).toEqual(['exec', null, 0]);
    expect(elf.findSymbols(new Set(['carried'])).size).toBe(1);
  });
  withElf(compile(`${folder}/dynamic`, source), (elf) => {
    expect(elf.interpreter).toMatch(/ld-linux/);
    expect(elf.needed).toContain('libc.so.6');
  });
});

test('a name shared by several local functions is refused; a visible one wins over local ones', () => {
  const one = compile(
    `${folder}/a.o`,
    '__attribute__((used,noinline)) static int twice(int a) { return a + 1; }',
    '-c',
    '-fPIC',
  );
  const two = compile(
    `${folder}/b.o`,
    '__attribute__((used,noinline)) static int twice(int a) { return a + 2; }',
    '-c',
    '-fPIC',
  );
  const three = compile(`${folder}/c.o`, 'int twice(int a) { return a + 3; }', '-c', '-fPIC');
  execFileSync('gcc', ['-shared', '-o', `${folder}/liblocals.so`, one, two]);
  execFileSync('gcc', ['-shared', '-o', `${folder}/libmixed.so`, one, two, three]);
  withElf(`${folder}/liblocals.so`, (elf) => {
    expect(elf.lookup(new Set(['twice'])).refused.get('twice')).toBe('2 local functions have this name');
  });
  withElf(`${folder}/libmixed.so`, (elf) => {
    const global = output('nm', `${folder}/libmixed.so`)
      .split('\n')
      .find((line) => line.endsWith(' T twice'));
    expect(elf.findSymbols(new Set(['twice'])).get('twice')?.address).toBe(
      BigInt(`0x${global?.slice(0, 16)}`),
    );
  });
});

test('versioned symbols: the default version is taken, with and without .symtab', () => {
  writeFileSync(`${folder}/versions`, 'OLD { global: shape; local: *; }; NEW { global: shape; } OLD;');
  const path = compile(
    `${folder}/libversions.so`,
    `__asm__(".symver shape_old,shape@OLD"); __asm__(".symver shape_new,shape@@NEW");
     int shape_old(void) { return 1; } int shape_new(void) { return 2; }`,
    ...shared('libversions.so.1', `-Wl,--version-script,${folder}/versions`),
  );
  const expected = nm(path, '-D').get('shape');
  expect(expected).toBeDefined();
  withElf(path, (elf) => expect(elf.findSymbols(new Set(['shape'])).get('shape')?.address).toBe(expected));
  execFileSync('strip', [path]);
  withElf(path, (elf) => expect(elf.findSymbols(new Set(['shape'])).get('shape')?.address).toBe(expected));
});

test('libc: thousands of names agree with nm, IFUNCs are refused', () => {
  const libc = realpathSync(`/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libc.so.6`);
  const expected = nm(libc, '-D');
  withElf(libc, (elf) => {
    const { found, refused } = elf.lookup(new Set(expected.keys()));
    for (const [name, symbol] of found) expect(symbol.address, name).toBe(expected.get(name));
    expect(found.size).toBeGreaterThan(1500);
    expect(elf.lookup(new Set(['memcpy'])).refused.get('memcpy')).toMatch(/IFUNC/);
    expect([...refused.values()].every((reason) => reason !== '')).toBe(true);
  });
});

const CUDART = '/usr/local/cuda/lib64/libcudart.so.13';
test.skipIf(!existsSync(CUDART))(
  'libcudart 13: every exported API function is found, and cheap to probe',
  () => {
    const expected = [...nm(CUDART, '-D')].filter(([name]) => name.startsWith('cuda'));
    withElf(CUDART, (elf) => {
      expect(elf.soname).toBe('libcudart.so.13');
      expect(elf.buildId).toMatch(/^[0-9a-f]{40}$/);
      const { sites, missing } = locate(
        elf,
        expected.map(([name]) => name),
      );
      expect(missing.size).toBe(0);
      expect(sites.length).toBe(expected.length);
      expect(sites.filter((site) => site.cost === 'single-step').map((site) => site.symbol)).toEqual([]);
      for (const site of sites)
        expect(site.address).toBe(expected.find(([name]) => name === site.symbol)?.[1]);
    });
  },
);

test('one probe for names at one address, under the name without the profiling prefix', () => {
  const path = compile(
    `${folder}/libalias.so`,
    `int pncclSend(int a) { return a; } int ncclSend(int a) __attribute__((weak, alias("pncclSend")));
     int ncclRecv(int a) { return a + 1; }`,
    ...shared('libalias.so'),
  );
  withElf(path, (elf) => {
    const { sites, missing } = locate(elf, ['pncclSend', 'ncclSend', 'ncclRecv', 'ncclGone']);
    expect(sites.map(({ symbol, aliases }) => [symbol, aliases])).toEqual([
      ['ncclSend', ['pncclSend']],
      ['ncclRecv', undefined],
    ]);
    expect([...missing]).toEqual([['ncclGone', `not in ${path}`]]);
  });
});

test('CET: endbr64 before a push is passed over', () => {
  const path = compile(
    `${folder}/libcet.so`,
    'int deep(int); __attribute__((noinline)) int outer(int a) { return deep(a) + deep(a + 1) + a; } int deep(int a) { return a; }',
    ...shared('libcet.so', '-fcf-protection=full', '-fno-inline', '-fno-ipa-icf'),
  );
  withElf(path, (elf) => {
    const [site] = locate(elf, ['outer']).sites;
    expect([...elf.readAt(site?.address ?? 0n, 4)]).toEqual([0xf3, 0x0f, 0x1e, 0xfa]);
    expect(site).toMatchObject({ skip: 4, cost: 'emulated' });
    expect(site?.fileOffset).toBe(elf.fileOffset(site?.address ?? 0n) + 4);
  });
});

test('function fragments are told apart from functions', () => {
  for (const name of [
    'f.cold',
    'f.part.0',
    'f.isra.1',
    'f.constprop.0.isra.0',
    'f.localalias',
    'f.localalias.3',
    'f.cold.62',
  ]) {
    expect(isFunctionFragment(name), name).toBe(true);
  }
  for (const name of ['f', 'f.colder', 'cold', '_ZN1a4partEv', 'f.v1'])
    expect(isFunctionFragment(name), name).toBe(false);
});

describe('files that are no library', () => {
  const cases: [string, Buffer, string][] = [
    ['empty', Buffer.alloc(0), 'elf-malformed'],
    ['text', Buffer.from(`GROUP ( libfoo.so.1 AS_NEEDED ( libbar.a ) )${' '.repeat(80)}`), 'elf-malformed'],
    [
      '32-bit',
      patched((b) => {
        b[4] = 1;
      }),
      'elf-unsupported',
    ],
    [
      'big-endian',
      patched((b) => {
        b[5] = 2;
      }),
      'elf-unsupported',
    ],
    ['another machine', patched((b) => b.writeUInt16LE(243, 18)), 'elf-unsupported'],
    ['a relocatable object', patched((b) => b.writeUInt16LE(1, 16)), 'elf-unsupported'],
    ['program headers outside', patched((b) => b.writeBigUInt64LE(1n << 40n, 32)), 'elf-malformed'],
    ['section headers at 2^60', patched((b) => b.writeBigUInt64LE(1n << 60n, 40)), 'elf-malformed'],
    ['65 535 program headers', patched((b) => b.writeUInt16LE(0xfffe, 56)), 'elf-malformed'],
  ];
  function patched(change: (bytes: Buffer) => void): Buffer {
    const bytes = readFileSync('/bin/true');
    change(bytes);
    return bytes;
  }
  test.each(cases)('%s', (name, bytes, code) => {
    const path = `${folder}/bad-${name.replaceAll(' ', '-')}`;
    writeFileSync(path, bytes);
    const error = (() => {
      try {
        ElfFile.open(path).close();
      } catch (e) {
        return e;
      }
      return null;
    })();
    expect(error).toBeInstanceOf(ElfError);
    expect((error as ElfError).code).toBe(code);
    expect((error as ElfError).message).toContain(path);
  });

  test('missing files, folders and FIFOs do not hang or crash', () => {
    execFileSync('mkfifo', [`${folder}/fifo`]);
    for (const path of [`${folder}/none`, folder, `${folder}/fifo`, '/dev/zero']) {
      expect(() => ElfFile.open(path)).toThrow(ElfError);
    }
  });
});

test('closing gives the descriptor back, also after a failed open', () => {
  const open = () =>
    readdirSync('/proc/self/fd').filter((fd) => readProcLink(`/proc/self/fd/${fd}`)?.startsWith(folder));
  copyFileSync('/bin/true', `${folder}/copy`);
  writeFileSync(`${folder}/notelf`, 'x'.repeat(200));
  const elf = ElfFile.open(`${folder}/copy`);
  expect(open()).toHaveLength(1);
  elf.close();
  elf.close();
  expect(() => ElfFile.open(`${folder}/notelf`)).toThrow(ElfError);
  expect(open()).toEqual([]);
  expect(() => elf.readAt(0n, 4)).toThrow(/closed/);
});

describe('the function an offset is in', () => {
  const own = compile(`${folder}/libown.so`, SOURCE, ...shared('libown.so.1'));
  const libc = realpathSync('/lib/x86_64-linux-gnu/libc.so.6');
  const cpp = realpathSync(output('gcc', '-print-file-name=libstdc++.so.6').trim());

  test.each([
    ['with local symbols', own, []],
    ['of C', libc, ['-D']],
    ['of C++', cpp, ['-D']],
  ])('is one nm has there: a library %s', (_, path, flags) => {
    const listed = functionsOf(path, ...flags).filter(({ start, end }) => end > start);
    expect(listed.length).toBeGreaterThan(2);
    withElf(path, (elf) => {
      const functions = elf.functions();
      for (const { start, end } of listed) {
        for (const address of [start, end - 1n]) {
          const found = elf.functionAt(functions, elf.fileOffset(address));
          if (found === null) throw new Error(`nothing at 0x${address.toString(16)} of ${path}`);
          const first = address - BigInt(found.offset);
          expect(listed.some(({ name, start }) => name === found.symbol && start === first)).toBe(true);
        }
      }
    });
  });

  test('is none where the file has no code, and none behind the last one', () => {
    withElf(own, (elf) => {
      const functions = elf.functions();
      const last = Math.max(...functions.ends);
      expect(elf.functionAt(functions, 0)).toBeNull();
      expect(elf.functionAt(functions, elf.fileOffset(BigInt(last)))?.symbol).not.toBe('second');
      expect(elf.functionAt(functions, elf.sizeBytes + 1)).toBeNull();
    });
  });
});
