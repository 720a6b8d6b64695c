/** DuckDB types a parameter may have. */
export const PARAM_TYPES = ['INTEGER', 'BIGINT', 'DOUBLE', 'VARCHAR', 'BOOLEAN'] as const;
export type ParamType = (typeof PARAM_TYPES)[number];

/** Values a parameter may take, beyond what its type says: a range of numbers, or a list of words. */
export type ParamRange = { from: number | undefined; to: number | undefined } | { words: readonly string[] };

export interface ParamDoc {
  name: string;
  type: ParamType;
  /** As it would be given with --param; undefined is NULL. */
  default: string | undefined;
  unit: string | undefined;
  range: ParamRange | undefined;
  doc: string;
}

const isNumeric = (type: ParamType): boolean => type === 'INTEGER' || type === 'BIGINT' || type === 'DOUBLE';

/** Reads `1..100`, `0..`, `..10` (numbers) or `a|b|c` (words). Undefined when it is neither, or does not suit the type. */
export function parseRange(type: ParamType, text: string): ParamRange | undefined {
  const numbers = /^(-?\d+(?:\.\d+)?)?\.\.(-?\d+(?:\.\d+)?)?$/.exec(text);
  if (numbers !== null) {
    const [from, to] = [numbers[1], numbers[2]].map((bound) =>
      bound === undefined ? undefined : Number(bound),
    );
    return isNumeric(type) && (from !== undefined || to !== undefined) ? { from, to } : undefined;
  }
  const words = text.split('|').map((word) => word.trim());
  return type === 'VARCHAR' && words.every((word) => word !== '') ? { words } : undefined;
}

/** A range as documentation shows it. */
export function rangeText(range: ParamRange): string {
  return 'words' in range ? range.words.join(' | ') : `${range.from ?? ''}..${range.to ?? ''}`;
}

function checkType(type: ParamType, value: string): string | undefined {
  switch (type) {
    case 'INTEGER':
    case 'BIGINT': {
      if (!/^[+-]?\d{1,20}$/.test(value)) return 'a whole number';
      const limit = 1n << (type === 'INTEGER' ? 31n : 63n);
      const number = BigInt(value);
      return number >= -limit && number < limit ? undefined : `a whole number that fits ${type}`;
    }
    case 'DOUBLE':
      return value.trim() !== '' && Number.isFinite(Number(value)) ? undefined : 'a number';
    case 'BOOLEAN':
      return value === 'true' || value === 'false' ? undefined : 'true or false';
    case 'VARCHAR':
      return undefined;
  }
}

function checkRange(range: ParamRange, value: string): string | undefined {
  if ('words' in range) return range.words.includes(value) ? undefined : `one of ${range.words.join(', ')}`;
  const number = Number(value);
  const { from = Number.NEGATIVE_INFINITY, to = Number.POSITIVE_INFINITY } = range;
  return number >= from && number <= to ? undefined : `in the range ${rangeText(range)}`;
}

/** Checks that a parameter value is one of its type and range. Returns what would be right, or undefined. */
export function checkParam(type: ParamType, value: string, range?: ParamRange): string | undefined {
  return checkType(type, value) ?? (range === undefined ? undefined : checkRange(range, value));
}
