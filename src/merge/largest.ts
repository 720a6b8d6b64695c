import type { DuckDBConnection } from '@duckdb/node-api';
import { readCaptureSchema } from '../capture/schema.js';
import { ident } from '../capture/sql-text.js';
import { type AttachedCapture, qualified, splitTables } from '../capture/workspace.js';
import { KEYS, type Key } from './keys.js';

/** The largest value of every key in each input; -1 stands for no row. */
export async function largestKeys(
  connection: DuckDBConnection,
  inputs: readonly AttachedCapture[],
): Promise<Map<Key, bigint>[]> {
  const schema = readCaptureSchema();
  const all: Map<Key, bigint>[] = [];
  for (const { alias, tables } of inputs) {
    const keys = new Map<Key, bigint>();
    const raise = async (key: Key, value: string, source: string): Promise<void> => {
      const result = await connection.runAndReadAll(
        `SELECT coalesce(max(${value}), -1)::HUGEINT FROM ${source}`,
      );
      const found = BigInt(String(result.getRows()[0]?.[0] ?? -1));
      if (found > (keys.get(key) ?? -1n)) keys.set(key, found);
    };
    const { catalog, events } = splitTables(tables);
    for (const [key, place] of Object.entries(KEYS)) {
      const [name, column] = place.split('.') as [string, string];
      const table = catalog.find((candidate) => candidate.name === name);
      if (table === undefined) continue;
      const isThere = table.columns.some((has) => has.name === column);
      // Of an older schema: what a migration would fill in.
      const rule = schema.tables[name]?.columns.find((spec) => spec.name === column)?.migrate;
      await raise(key as Key, isThere ? ident(column) : (rule ?? '-1'), qualified(alias, table));
    }
    for (const { name, rows, args } of events) {
      await raise('call', 'call_id', qualified(alias, rows));
      await raise(`args:${name}`, 'args_id', qualified(alias, args));
    }
    all.push(keys);
  }
  return all;
}
