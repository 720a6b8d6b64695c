/** Random C prototypes for comparing argument locations with what a compiler does. */

/** A number that can be captured: the text behind the name of its argument, e.g. `.m0[1]`. */
export interface Leaf {
  suffix: string;
}

interface GeneratedType {
  /** C declaration of a variable of this type. */
  declare: (name: string) => string;
  leaves: readonly Leaf[];
}

export interface GeneratedFunction {
  name: string;
  prototype: string;
  params: readonly { name: string; declaration: string; leaves: readonly Leaf[] }[];
}

export interface GeneratedProgram {
  /** Struct and union declarations, to be compiled and to be put under `types:`. */
  types: string;
  functions: readonly GeneratedFunction[];
}

/** Small seeded generator (mulberry32): the same programs in every run. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % below;
  };
}

const INTEGERS = [
  ...['char', 'signed char', 'unsigned char', 'short', 'unsigned short int', 'int', 'unsigned', 'enum color'],
  ...[
    'long',
    'unsigned long int',
    'long long',
    'long unsigned int',
    'void *',
    'const struct opaque *const *',
  ],
];
const FLOATS = ['float', 'double'];
const WIDE = ['__int128', 'unsigned __int128', 'long double'];

function scalar(text: string): GeneratedType {
  const captured = INTEGERS.includes(text);
  return { declare: (name) => `${text} ${name}`, leaves: captured ? [{ suffix: '' }] : [] };
}

/** `count` functions over structs, unions, integers and floating-point numbers, with up to 14 parameters. */
export function generateProgram(seed: number, count: number): GeneratedProgram {
  const below = random(seed);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const records: GeneratedType[] = [];
  const declarations: string[] = ['enum color { RED, GREEN };'];

  const anyScalar = (): GeneratedType => {
    const dice = below(20);
    if (dice < 12) return scalar(pick(INTEGERS));
    return scalar(pick(dice < 18 ? FLOATS : WIDE));
  };
  const member = (): GeneratedType => {
    if (records.length > 0 && below(6) === 0) return pick(records);
    const type = anyScalar();
    if (below(4) !== 0) return type;
    const length = 1 + below(3);
    return {
      declare: (name) => `${type.declare(name)}[${length}]`,
      leaves: Array.from({ length }, (_, index) =>
        type.leaves.map((leaf) => ({ suffix: `[${index}]${leaf.suffix}` })),
      ).flat(),
    };
  };
  for (let index = 0; index < 60; index++) {
    const kind = below(8) === 0 ? 'union' : 'struct';
    // A third are homogeneous floating-point aggregates or nearly so.
    const float = below(3) === 0 ? scalar(pick(FLOATS)) : undefined;
    const members = Array.from({ length: 1 + below(float === undefined ? 4 : 5) }, () => float ?? member());
    const body = members.map((type, at) => `${type.declare(`m${at}`)};`).join(' ');
    declarations.push(`${kind} S${index} { ${body} };`);
    records.push({
      declare: (name) => `${kind} S${index} ${name}`,
      leaves: members.flatMap((type, at) => type.leaves.map((leaf) => ({ suffix: `.m${at}${leaf.suffix}` }))),
    });
  }

  const functions = Array.from({ length: count }, (_, index): GeneratedFunction => {
    const params = Array.from({ length: below(15) }, (_, at) => {
      const type = below(5) < 2 ? pick(records) : anyScalar();
      return { name: `a${at}`, declaration: type.declare(`a${at}`), leaves: type.leaves };
    });
    const returns = below(4) === 0 ? pick(records) : scalar(pick(['void', 'int', 'double', 'long double']));
    const list = params.map((param) => param.declaration).join(', ') || 'void';
    return { name: `f${index}`, prototype: returns.declare(`f${index}(${list})`), params };
  });
  return { types: declarations.join('\n'), functions };
}
