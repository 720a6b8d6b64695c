import type { ColumnSpec } from '../capture/schema.js';

/** Keys that count from the start in every capture and must be unique in a merged one, with the column that defines them. */
export const KEYS = {
  run: 'capture.run_id',
  library: 'libraries.library_id',
  probe: 'probes.probe_id',
  process: 'processes.process_id',
  stack: 'stacks.stack_id',
} as const;

/** A key of {@link KEYS}; `call`: call_id of any event table; `args:TABLE`: the argument sets of one. */
export type Key = keyof typeof KEYS | 'call' | `args:${string}`;

const BY_COLUMN = new Map<string, Key>(Object.entries(KEYS).map(([key, column]) => [column, key as Key]));

/** The key a column holds, by itself or as a reference; undefined when it holds none. */
export function keyOf(table: string, { name, references }: ColumnSpec): Key | undefined {
  if (name === 'call_id' || name === 'parent_id') return 'call';
  if (name === 'args_id') return `args:${table}`;
  return BY_COLUMN.get(references ?? `${table}.${name}`);
}

/**
 * What is added to each key of each input, so that none occurs twice, from the largest value each has. The first input
 * keeps its keys. Runs begin at 1, all other keys may be 0.
 */
export function planOffsets(largest: readonly ReadonlyMap<Key, bigint>[]): Map<Key, bigint>[] {
  const next = new Map<Key, bigint>();
  return largest.map((keys) => {
    const offsets = new Map<Key, bigint>();
    for (const [key, value] of keys) {
      const offset = next.get(key) ?? 0n;
      offsets.set(key, offset);
      next.set(key, offset + value + (key === 'run' ? 0n : 1n));
    }
    return offsets;
  });
}

/** SQL for a value with its offset, in the type of its column. */
export function shifted(value: string, type: string, offset: bigint): string {
  return offset === 0n ? value : `(${value} + ${offset})::${type}`;
}
