import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { confinedProcesses } from '../../src/discovery/confined.js';
import { ElfFile, type SymbolLookup } from '../../src/discovery/elf.js';
import { findLibraries } from '../../src/discovery/libraries.js';
import { CALLBACK_IDS } from '../../src/discovery/stripped/callback-ids.js';
import { compilePack } from '../../src/packs/compile.js';
import { loadBuiltinPacks } from '../../src/packs/load.js';
import { fetchLibrary, type LibraryName } from '../support/debian-libraries.js';
import { compile, scratch } from './build.js';

const funnumbered = scratch();
const CUDA = '/usr/local/cuda';
const ARCHIVE = `${CUDA}/lib64/libcudart_static.a`;
const HEADER = `${CUDA}/include/cupti_runtime_cbid.h`;

/** No functions of the API, so no profiler is told of them and they have neither name nor number. */
const INTERNAL = /^__cuda/;

const functions = new Set(
  loadBuiltinPacks()
    .filter(({ name }) => name === 'cuda-runtime')
    .flatMap((pack) => compilePack(pack, 'x64').probes.flatMap(({ symbols }) => symbols))
    .filter((symbol) => !INTERNAL.test(symbol)),
);

function read(path: string, look: (elf: ElfFile) => SymbolLookup): SymbolLookup {
  const elf = ElfFile.open(path);
  try {
    return look(elf);
  } finally {
    elf.close();
  }
}

/** Names that are found without symbols and at another place than the symbols say, and those not found at all. */
function compare(
  withSymbols: string,
  without: string,
): { wrong: string[]; unfound: string[]; found: number } {
  const truth = read(withSymbols, (elf) => elf.lookup(functions)).found;
  const recovered = read(without, (elf) => elf.recover(functions));
  return {
    wrong: [...recovered.found]
      .filter(([name, { address }]) => truth.get(name)?.address !== address)
      .map(([n]) => n),
    unfound: [...truth.keys()].filter((name) => !recovered.found.has(name)).sort(),
    found: recovered.found.size,
  };
}

/** A program that calls the runtime, as C for a compiler without CUDA's headers. */
const PROGRAM = `int cudaMalloc(void **, unsigned long); int cudaFree(void *);
  int main(void) { void *p = 0; return cudaMalloc(&p, 4096) + cudaFree(p) == 0; }`;

test.skipIf(!existsSync(ARCHIVE))(
  'the runtime linked into a stripped program: every function is where its unstripped twin has it',
  () => {
    for (const flags of [['-no-pie'], ['-pie'], ['-pie', '-Wl,-z,pack-relative-relocs']]) {
      const whole = compile(
        `${funnumbered}/whole`,
        PROGRAM,
        '-w',
        ARCHIVE,
        ...flags,
        '-lpthread',
        '-ldl',
        '-lrt',
      );
      const stripped = `${funnumbered}/stripped`;
      copyFileSync(whole, stripped);
      execFileSync('strip', [stripped]);
      const { wrong, unfound, found } = compare(whole, stripped);
      expect(wrong).toEqual([]);
      expect(unfound).toEqual([]);
      expect(found).toBeGreaterThan(150);
    }
  },
);

const SHARED: readonly {
  library: LibraryName;
  /** Functions profilers know by another name. */
  unnumbered: readonly string[];
}[] = [
  { library: 'cudart11', unnumbered: [] },
  {
    library: 'cudart12',
    unnumbered: [
      'cudaGetDeviceProperties_v2',
      'cudaMemAdvise_v2',
      'cudaMemPrefetchAsync_v2',
      'cudaMemPrefetchAsync_v2_ptsz',
    ],
  },
];
const fetched = SHARED.map(({ library, unnumbered }) => {
  const { title, found } = fetchLibrary(library);
  return { title, path: 'path' in found ? found.path : undefined, unnumbered };
});

/** Older releases refer to their names through pointers. What the shared library exports tells the truth. */
describe.each(fetched.map((entry) => [entry.title, entry] as const))(
  'the real library: %s',
  (_, { path, unnumbered }) => {
    test.skipIf(path === undefined)('functions found by name strings are those it exports', () => {
      const { wrong, unfound, found } = compare(path as string, path as string);
      expect(wrong).toEqual([]);
      expect(unfound).toEqual(unnumbered);
      expect(found).toBeGreaterThan(130);
    });
  },
);

describe('nothing is guessed', () => {
  const recover = (name: string, source: string): SymbolLookup =>
    read(compile(`${funnumbered}/${name}`, source, '-s', '-ldl'), (elf) => elf.recover(functions));

  test('in a program that looks the functions up by name', () => {
    const { found, refused } = recover(
      'loader',
      `#include <dlfcn.h>
       int main(int n, char **v) { void *h = dlopen(v[n - 1], 1); return dlsym(h, "cudaMalloc") && dlsym(h, "cudaFree"); }`,
    );
    expect(found.size).toBe(0);
    expect([...refused.keys()].sort()).toEqual(['cudaFree', 'cudaMalloc']);
    for (const reason of refused.values())
      expect(reason).toBe('too few functions look like those of the runtime');
  });

  test('in wrappers named after what they call', () => {
    const { found, refused } = recover(
      'wrappers',
      `#include <stdio.h>
       __attribute__((noinline)) int first(int a) { puts("cudaMalloc"); return a + getchar(); }
       __attribute__((noinline)) int second(int a) { printf("%s %d", "cudaMalloc", a); return a + getchar(); }
       int main(int n, char **v) { return first(n) + second(n + 1); }`,
    );
    expect(found.size).toBe(0);
    expect(refused.get('cudaMalloc')).toBe('too few functions look like those of the runtime');
  });

  /** Functions in the form of the runtime's: each calls a helper, and tells its name and its number twice. */
  const imitation = (names: readonly string[], more: string): string =>
    `__attribute__((noinline)) void tell(int number, const char *name) { __asm__ volatile("" :: "r"(number), "r"(name)); }
     __attribute__((noinline)) void context(void) { __asm__ volatile(""); }
     #define FORM noinline, aligned(16), optimize("no-omit-frame-pointer")
     ${names
       .map((name, i) => {
         const id = CALLBACK_IDS.get(name)?.[0];
         return `__attribute__((FORM)) void f${i}(void) { context(); tell(${id}, "${name}"); tell(${id}, ""); context(); }`;
       })
       .join('\n')}
     ${more}
     int main(void) { ${names.map((_, i) => `f${i}();`).join(' ')} mine(); return 0; }`;
  const [first, second, ...others] = [...functions].filter((name) => CALLBACK_IDS.has(name)).slice(0, 42) as [
    string,
    string,
    ...string[],
  ];

  test('where two functions fit one name, or one function two names', () => {
    const [id, otherId] = [first, second].map((name) => CALLBACK_IDS.get(name)?.[0]);
    const both = `__attribute__((FORM)) void mine(void) {
      context(); tell(${id}, "${first}"); tell(${id}, ""); tell(${otherId}, "${second}"); tell(${otherId}, ""); context(); }`;
    const one = recover('one-for-two', imitation(others, both));
    expect([...one.found.keys()].sort()).toEqual([...others].sort());
    expect(one.refused.get(first)).toBe(`one function has the names ${first} and ${second}`);
    const two = recover('two-for-one', imitation([first, ...others], both));
    expect(two.refused.get(first)).toBe('2 functions have its name and number');
  });

  test('a function with the name and the number that does not call what the others call is none of them', () => {
    const id = CALLBACK_IDS.get(first)?.[0];
    const mine = `__attribute__((noinline)) void report(int number, const char *name) { __asm__ volatile("nop" :: "r"(number), "r"(name)); }
      __attribute__((FORM)) void mine(void) { report(${id}, "${first}"); report(${id}, ""); }`;
    const { found, refused } = recover('stranger', imitation(others, mine));
    expect(found.size).toBe(others.length);
    expect(refused.get(first)).toBe('no function of the runtime refers to its name');
  });

  test('a process of such a program behind a filter is one a trace counts as confined', async () => {
    const confine = `
      #include <linux/filter.h>
      #include <linux/seccomp.h>
      #include <sys/prctl.h>
      #include <unistd.h>
      void mine(void) {
        struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        struct sock_fprog filter = {1, &allow};
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) return;
        if (write(1, "confined", 8) == 8) pause();
      }`;
    const program = compile(`${funnumbered}/confined`, imitation(others, confine), '-s', '-ldl');
    const child = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      await once(child.stdout, 'data');
      const pid = child.pid as number;
      const search = { sonames: ['libcudart.so.*'], pids: [pid], embeddedSymbols: [...functions] };
      const confined = (scanStripped: boolean) =>
        confinedProcesses(
          findLibraries({ ...search, scanStripped }).files.filter(({ path }) => path === program),
        );
      expect(confined(true)).toEqual([{ pid, comm: 'confined', library: program }]);
      // It gets no probe then.
      expect(confined(false)).toEqual([]);
    } finally {
      child.kill('SIGKILL');
    }
  });

  test('in a file that names none of them', () => {
    const { found, refused } = read('/bin/true', (elf) => elf.recover(functions));
    expect([found.size, refused.size]).toEqual([0, 0]);
  });
});

test.skipIf(!existsSync(HEADER))('the numbers are those of the vendor header', () => {
  const header = new Map<string, number[]>();
  for (const [, name, id] of readFileSync(HEADER, 'utf8').matchAll(/TRACE_CBID_(\w+?)_v\d+\s*=\s*(\d+)/g)) {
    header.set(name as string, [...(header.get(name as string) ?? []), Number(id)]);
  }
  expect(Object.fromEntries(CALLBACK_IDS)).toEqual(Object.fromEntries(header));
});
