import type { CaptureSchema, ColumnSpec } from '../capture/schema.js';
import { EXIT, IngeroError } from '../errors.js';
import type { Pack, SiteColumn } from './model.js';

/** A site's table as a part of the schema. `bytes` differs from call to call; other values tend to repeat. */
export function siteTable(description: string, columns: readonly SiteColumn[]) {
  return {
    description,
    columns: columns.map(
      (column): ColumnSpec => ({
        ...column,
        nullable: true,
        ...(column.name === 'bytes' && column.type !== 'VARCHAR' ? { storage: 'row' as const } : {}),
      }),
    ),
  };
}

/**
 * The capture schema with the tables the packs define themselves. Throws `table-conflict` when two packs define
 * one table differently.
 */
export function withSiteTables(schema: CaptureSchema, packs: readonly Pack[]): CaptureSchema {
  const defined = new Map<string, Pack>();
  for (const pack of packs) {
    if (pack.columns === undefined) continue;
    const other = defined.get(pack.table);
    if (other !== undefined && JSON.stringify(other.columns) !== JSON.stringify(pack.columns)) {
      throw new IngeroError(`Packs ${other.name} and ${pack.name} define table ${pack.table} differently.`, {
        code: 'table-conflict',
        exitCode: EXIT.badPack,
        expected: 'the same columns in both, or two table names',
        next: 'Trace them one at a time, or rename one table.',
      });
    }
    defined.set(pack.table, pack);
  }
  const tables = [...defined].map(
    ([table, pack]) => [table, siteTable(pack.description, pack.columns ?? [])] as const,
  );
  return { ...schema, event_tables: { ...schema.event_tables, ...Object.fromEntries(tables) } };
}
