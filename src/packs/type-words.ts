import { type CType, type IntType, VOID } from './ctype.js';

/** An integer type. */
export const int = (size: IntType['size'], signed: IntType['signed']): IntType => ({
  kind: 'int',
  size,
  signed,
});

/** Names <stdint.h>, <stddef.h> and <sys/types.h> declare. */
export const STANDARD_NAMES: readonly [string, CType][] = [
  ...[8, 16, 32, 64].flatMap((bits): [string, CType][] => [
    [`int${bits}_t`, int((bits / 8) as 1 | 2 | 4 | 8, true)],
    [`uint${bits}_t`, int((bits / 8) as 1 | 2 | 4 | 8, false)],
  ]),
  ['size_t', int(8, false)],
  ['ssize_t', int(8, true)],
  ['ptrdiff_t', int(8, true)],
  ['intptr_t', int(8, true)],
  ['uintptr_t', int(8, false)],
  ['off_t', int(8, true)],
  ['pid_t', int(4, true)],
  ['bool', int(1, false)],
];

/** Words that change nothing about how a value is passed. */
export const QUALIFIERS = new Set(['const', 'volatile', 'restrict', '__restrict', '__restrict__', '__const']);

/** Words vendor headers put around declarations that do not change the ABI. */
export const DECORATIONS = new Set([
  ...['extern', 'inline', 'register', '__extension__', '__inline__'],
  ...['__host__', '__device__', '__device_builtin__', '__cudart_builtin__'],
  ...['CUDARTAPI', 'CUDARTAPI_CDECL', 'CUDART_CB', 'CUDAAPI', 'CUDA_CB'],
]);

/** Words that change sizes or alignments: declarations with one are refused. */
export const ATTRIBUTES = new Set([
  '__attribute__',
  '__attribute',
  '_Alignas',
  'alignas',
  '__align__',
  '__declspec',
]);

/** Canonical (sorted) sets of base type words and what they mean under LP64. */
export const ARITHMETIC: ReadonlyMap<string, CType> = new Map(
  Object.entries({
    void: VOID,
    _Bool: int(1, false),
    char: int(1, 'plain'),
    'char signed': int(1, true),
    'char unsigned': int(1, false),
    ...spellings('short', 2),
    ...spellings('', 4),
    ...spellings('long', 8),
    ...spellings('long long', 8),
    __int128: int(16, true),
    '__int128 signed': int(16, true),
    '__int128 unsigned': int(16, false),
    float: { kind: 'float', size: 4 },
    double: { kind: 'float', size: 8 },
    'double long': { kind: 'float', size: 16 },
  } satisfies Record<string, CType>),
);

/** Every way to write one integer type: `long`, `long int`, `signed long`, `unsigned long int` ... */
function spellings(base: string, size: 2 | 4 | 8): Record<string, CType> {
  const found: Record<string, CType> = {};
  for (const sign of ['', 'signed', 'unsigned']) {
    for (const suffix of ['', 'int']) {
      const key = canonical(`${sign} ${base} ${suffix}`.split(' ').filter(Boolean));
      if (key !== '') found[key] = int(size, sign !== 'unsigned');
    }
  }
  return found;
}

/** Words of a type in one order: C allows any. */
export function canonical(words: readonly string[]): string {
  return [...words].sort().join(' ');
}

/** Words a basic type is made of. */
export const BASE_WORDS = new Set([...ARITHMETIC.keys()].flatMap((key) => key.split(' ')));
