import type { CaptureSpec, CompiledProbe, ConditionSpec, Field, Pack, ProbeSpec } from '../packs/model.js';

/** A path of a probe, the number to pass there, and how a compiler is to print it. */
export interface Leaf {
  path: string;
  value: bigint;
  signed: boolean;
  /** Filled by the function, not by its caller. */
  isResult: boolean;
  /** In place of the number: a string, of ASCII characters. */
  text?: string;
  /** Whether the string lies in an array there, and not where a pointer leads. */
  isArray?: boolean;
}

/** The path of what a function returns. */
export const RESULT = 'result';

/** Paths whose values decide a column. */
export function pathsOf({ arg, of, product }: CaptureSpec): readonly string[] {
  return product ?? (of === undefined ? (arg === undefined ? [] : [arg]) : [RESULT]);
}

/** What a capture needs of a path. */
interface Use {
  path: string;
  field: Field;
  isResult: boolean;
  /** The only numbers that mean something there. */
  known?: readonly number[];
  /** Multiplied with others: must stay small. */
  isFactor?: boolean;
  /** Must be zero, or the column is NULL. */
  isCondition?: boolean;
  /** A string, of which this many bytes are recorded. */
  string?: { bytes: number; isArray: boolean };
}

/**
 * Numbers for every path a probe captures, none like another. `round` 0: values the pack has names and sizes for.
 * `round` 1: values it does not know, and conditions that are not met.
 */
export function chooseValues(
  pack: Pack,
  spec: ProbeSpec,
  compiled: CompiledProbe,
  round: 0 | 1,
  next: () => number,
): Leaf[] {
  const byPath = new Map<string, Use[]>();
  for (const use of usesOf(pack, spec, compiled))
    byPath.set(use.path, [...(byPath.get(use.path) ?? []), use]);
  return [...byPath].map(([path, uses]) => {
    const [{ field, isResult, string }] = uses as [Use, ...Use[]];
    if (string !== undefined) {
      const { isArray } = string;
      const text = stringFor(string, round, next());
      return { path, value: 0n, signed: false, isResult, text, isArray };
    }
    const conditions = (spec.where ?? []).filter((condition) => condition.arg === path);
    const value = candidates(uses, round, next()).find((number) => conditions.every((c) => holds(c, number)));
    if (value === undefined) throw new Error(`${compiled.op}: no number for ${path} passes where`);
    return { path, value, signed: field.signed, isResult };
  });
}

/** One that fits, then one that is longer than what is recorded of it; an array has no room for that. */
function stringFor(
  { bytes, isArray }: { bytes: number; isArray: boolean },
  round: 0 | 1,
  unique: number,
): string {
  const text = `text-${unique}`;
  return round === 0 || isArray ? text : text.padEnd(bytes + 3, '.');
}

function usesOf(pack: Pack, spec: ProbeSpec, compiled: CompiledProbe): Use[] {
  return (spec.capture ?? []).flatMap((capture, position): Use[] => {
    const column = compiled.columns[position];
    if (column === undefined) throw new Error(`${compiled.op}: no column ${capture.column}`);
    const use = (path: string, field: Field | undefined, more: Partial<Use>): Use => {
      if (field === undefined) throw new Error(`${compiled.op}: no field for ${path}`);
      const isBehindPointer = /^\*|->|^\w+\[/.test(path);
      const isResult = path === RESULT || (capture.at === 'return' && isBehindPointer);
      return { path, field, isResult, ...more };
    };
    const paths = pathsOf(capture);
    if (column.redact === 'drop') return [];
    if (column.text !== undefined) {
      const { slot } = column.text;
      const isArray = compiled.slots[slot]?.deref === undefined && /->/.test(paths[0] as string);
      const field: Field = { slot, offset: 0, size: 8, signed: false };
      return [use(paths[0] as string, field, { string: { bytes: column.text.maxBytes, isArray } })];
    }
    const isFactor =
      capture.product !== undefined || column.times !== undefined || column.scale !== undefined;
    const known = capture.enum === undefined ? undefined : keysOf(pack.enums[capture.enum]);
    return [
      ...paths.map((path, at) =>
        use(path, column.fields[at], { isFactor, ...(known === undefined ? {} : { known }) }),
      ),
      ...(capture.unless ?? []).map((path, at) => use(path, column.unless?.[at], { isCondition: true })),
      ...(capture.scale === undefined
        ? []
        : [use(capture.scale.arg, column.scale?.field, { known: keysOf(pack.sizes[capture.scale.sizes]) })]),
    ];
  });
}

function keysOf(table: Readonly<Record<number, unknown>> | undefined): number[] {
  return Object.keys(table ?? {}).map(Number);
}

/** Numbers that suit every use of a path, in the order they are preferred. */
function candidates(uses: readonly Use[], round: 0 | 1, unique: number): bigint[] {
  const [{ field }] = uses as [Use, ...Use[]];
  if (uses.some((use) => use.isCondition)) return [round === 0 ? 0n : distinctive(field, unique)];
  const tables = uses.flatMap(({ known }) => (known === undefined ? [] : [known]));
  if (tables.length > 0) {
    const common = (tables[0] as readonly number[]).filter((key) => tables.every((t) => t.includes(key)));
    const limit = 2 ** (field.size * 8 - 1);
    const unknown = [103, 30_583].filter((n) => n < limit && tables.every((table) => !table.includes(n)));
    const list = round === 0 ? rotated(common, unique) : [...unknown, ...rotated(common, unique)];
    return list.map(BigInt);
  }
  return [uses.some((use) => use.isFactor) ? BigInt(1000 + (unique % 60_000)) : distinctive(field, unique)];
}

function rotated<T>(list: readonly T[], by: number): T[] {
  return list.map((_, index) => list[(index + by) % list.length] as T);
}

/** A number that shows when bytes are missing, of another argument, or read with the wrong sign. */
function distinctive({ size, signed }: Field, unique: number): bigint {
  switch (size) {
    case 1:
      return signed ? -1n - BigInt(unique % 100) : BigInt(150 + (unique % 100));
    case 2:
      return signed ? -1000n - BigInt(unique % 10_000) : BigInt(40_000 + (unique % 20_000));
    case 4:
      return signed ? -100_000n - BigInt(unique) : 0xf000_0000n + BigInt(unique);
    default:
      return signed ? -0x1234_5678_0000_0000n - BigInt(unique) : 0xfedc_0000_0000_0000n + BigInt(unique);
  }
}

/** A number with which a condition does not hold. */
export function violation(condition: ConditionSpec): bigint {
  const near = BigInt(condition.value ?? condition.values?.[0] ?? 0);
  const found = [near, near + 1n, near - 1n, 0n, 1n].find((number) => !holds(condition, number));
  if (found === undefined) throw new Error(`a condition that always holds: ${JSON.stringify(condition)}`);
  return found;
}

/** Whether the kernel would let a call with this argument or result through. */
export function holds({ is, value = 0, values = [] }: ConditionSpec, number: bigint): boolean {
  const other = BigInt(value);
  switch (is) {
    case 'eq':
      return number === other;
    case 'ne':
      return number !== other;
    case 'lt':
      return number < other;
    case 'le':
      return number <= other;
    case 'gt':
      return number > other;
    case 'ge':
      return number >= other;
    case 'in':
      return values.some((candidate) => number === BigInt(candidate));
    case 'mask':
      return (number & other) !== 0n;
  }
}
