import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { sizeOf } from '../../src/packs/ctype.js';
import { type Arch, type CompiledPack, compilePack, loadBuiltinPacks } from '../../src/packs/index.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { typesOf } from './support/machine.js';
import { available } from './support/tools.js';

const found = loadBuiltinPacks().find((candidate) => candidate.name === 'cuda-runtime');
if (found === undefined) throw new Error('no cuda-runtime pack');
const pack = found;

const CUDA = process.env.CUDA_HOME ?? '/usr/local/cuda';
const LIBRARY = ['lib64', 'lib', 'targets/x86_64-linux/lib']
  .map((folder) => join(CUDA, folder, 'libcudart.so'))
  .find(existsSync);
const haveHeaders = existsSync(join(CUDA, 'include/cuda_runtime_api.h')) && available('gcc', '--version');

/** Probed functions that CUDA 13 no longer declares. */
const GONE = [
  'cudaMemPrefetchAsync_v2',
  'cudaMemAdvise_v2',
  'cudaLaunchCooperativeKernelMultiDevice',
  'cudaThreadSynchronize',
  'cudaThreadExit',
];

function gcc(source: string, ...args: string[]): string {
  const includes = '#include <cuda_runtime_api.h>\n#include <cuda_profiler_api.h>\n';
  return execFileSync('gcc', ['-xc', '-I', join(CUDA, 'include'), ...args, '-'], {
    input: includes + source,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
}

/** One spelling for one declaration: single blanks, none beside punctuation. */
function normal(declaration: string): string {
  return declaration
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?([(),*]) ?/g, '$1')
    .trim();
}

describe.skipIf(!haveHeaders)('against the CUDA headers', () => {
  const headers = haveHeaders ? gcc('', '-E', '-P') : '';

  it('every prototype is the declared one', () => {
    const declared = new Map(
      [...headers.replaceAll(/\s+/g, ' ').matchAll(/cudaError_t (cuda\w+) ?\([^;{}]*\)(?= ?;)/g)].map(
        ([declaration, name]) => [name as string, normal(declaration)],
      ),
    );
    for (const { name, prototype } of compilePack(pack, 'x64').probes) {
      if (!GONE.includes(name)) expect(normal(prototype)).toBe(declared.get(name));
    }
  });

  it('every struct has the declared layout', () => {
    const records = [...typesOf(pack.types).tags.values()].flatMap((type) =>
      type.kind === 'record' && type.members !== undefined ? [type] : [],
    );
    expect(records.length).toBeGreaterThan(8);
    const checks = records.flatMap((record) => [
      `_Static_assert(sizeof(${record.name}) == ${sizeOf(record)}, "size of ${record.name}");`,
      ...(record.members ?? []).flatMap(({ name, offset, type }) => [
        `_Static_assert(__builtin_offsetof(${record.name}, ${name}) == ${offset}, "${record.name}.${name}");`,
        `_Static_assert(sizeof(((${record.name} *)0)->${name}) == ${sizeOf(type)}, "${record.name}.${name}");`,
      ]),
    ]);
    gcc(checks.join('\n'), '-fsyntax-only');
  });

  it('every error and every direction has the declared number', () => {
    const body = /enum cudaError\s*\{([^}]*)\}/.exec(headers)?.[1] ?? '';
    const errors = [...body.matchAll(/(\w+)\s*=\s*(\d+)/g)].map(([, name, value]) => [value, name]);
    expect(errors.length).toBeGreaterThan(100);
    expect(pack.enums.cuda_error).toMatchObject(Object.fromEntries(errors));
    const { memcpy_kind: kinds = {}, capture_mode: modes = {} } = pack.enums;
    const number = (table: Readonly<Record<number, string>>, name: string) =>
      Object.keys(table).find((key) => table[Number(key)] === name);
    gcc(
      `
      _Static_assert(cudaMemcpyHostToHost == ${number(kinds, 'h2h')}, "");
      _Static_assert(cudaMemcpyHostToDevice == ${number(kinds, 'h2d')}, "");
      _Static_assert(cudaMemcpyDeviceToHost == ${number(kinds, 'd2h')}, "");
      _Static_assert(cudaMemcpyDeviceToDevice == ${number(kinds, 'd2d')}, "");
      _Static_assert(cudaMemcpyDefault == ${number(kinds, 'default')}, "");
      _Static_assert(cudaStreamCaptureModeGlobal == ${number(modes, 'global')}, "");
      _Static_assert(cudaStreamCaptureModeThreadLocal == ${number(modes, 'thread_local')}, "");
      _Static_assert(cudaStreamCaptureModeRelaxed == ${number(modes, 'relaxed')}, "");
    `,
      '-fsyntax-only',
    );
  });
});

describe.skipIf(LIBRARY === undefined || !available('nm', '--version'))('against libcudart', () => {
  const exported = new Set(
    LIBRARY === undefined
      ? []
      : execFileSync('nm', ['-D', '--defined-only', LIBRARY], { encoding: 'utf8', maxBuffer: 1 << 26 })
          .split('\n')
          .map((line) => line.split(' ').at(-1)?.split('@')[0] ?? ''),
  );

  it('every symbol is exported', () => {
    const symbols = compilePack(pack, 'x64')
      .probes.filter(({ name }) => !GONE.includes(name))
      .flatMap((probe) => probe.symbols);
    expect(symbols.filter((symbol) => !exported.has(symbol))).toEqual([]);
  });

  it('no per-thread variant of a probed function is forgotten', () => {
    const probes = compilePack(pack, 'x64').probes;
    const symbols = new Set(probes.flatMap((probe) => probe.symbols));
    const variants = probes.flatMap(({ name }) => [`${name}_ptsz`, `${name}_ptds`]);
    expect(variants.filter((symbol) => exported.has(symbol) && !symbols.has(symbol))).toEqual([]);
  });
});

/** One line per slot and column: what a reviewer can compare with an ABI table. */
function listing({ probes, arch }: CompiledPack): string {
  const lines = [
    `# cuda-runtime for ${arch}: slot = location [+offset:size@time]; column = slot[offset:type]`,
  ];
  for (const probe of probes) {
    lines.push('', probe.prototype, `  ${probe.op} ${probe.mode} ${probe.symbols.join(' ')}`);
    for (const [index, { from, deref }] of probe.slots.entries()) {
      const read = deref === undefined ? '' : ` +${deref.offset}:${deref.size}@${deref.at}`;
      lines.push(`  slot ${index} = ${from.kind} ${from.index}${read}`);
    }
    for (const { column, fields, unless = [], enum: names } of probe.columns) {
      const text = (list: typeof fields) =>
        list.map(({ slot, offset, size, signed }) => `${slot}[${offset}:${signed ? 'i' : 'u'}${size * 8}]`);
      lines.push(
        `  ${column} = ${text(fields).join(' * ')}${unless.length === 0 ? '' : ` unless ${text(unless).join(' or ')}`}${names === undefined ? '' : ` as ${names}`}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

describe('compiled', () => {
  it.each<Arch>(['x64', 'arm64'])('%s', async (arch) => {
    await expect(listing(compilePack(pack, arch))).toMatchFileSnapshot(`fixtures/cuda-runtime.${arch}.txt`);
  });

  it.each<Arch>(['x64', 'arm64'])('every probe of %s returns a status of 32 bits', (arch) => {
    for (const probe of compilePack(pack, arch).probes) expect(probe.returnBits, probe.op).toBe(32);
  });
});

it('the pack names its schema for editors', () => {
  expect(pack.source.text).toContain('$schema=../schema/probe-pack.schema.json');
  expect(existsSync(join(PACKAGE_ROOT, 'schema/probe-pack.schema.json'))).toBe(true);
});
