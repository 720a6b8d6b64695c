import { createHash } from 'node:crypto';
import { type AttachedCapture, splitTables, type Workspace } from '../capture/workspace.js';
import {
  type CanonicalTable,
  canonicalLines,
  catalogTable,
  eventTable,
  viewDefinitions,
} from './canonical.js';

/** The digest of one table. Field names are those of the seal. */
export interface TableDigest {
  table: string;
  rows: number;
  /** Column names in canonical order. */
  columns: string[];
  /** Hex. */
  sha256: string;
}

/** What is sealed of a capture: its catalog tables, event tables and the definitions of its views, by name. */
export function canonicalTables({ alias, tables }: AttachedCapture): CanonicalTable[] {
  const { catalog, events } = splitTables(tables);
  return [
    ...catalog.map((table) => catalogTable(alias, table)),
    ...events.map((table) => eventTable(alias, table)),
    viewDefinitions(alias),
  ].sort((a, b) => (a.table < b.table ? -1 : 1));
}

/**
 * The digest of a table: SHA-256 over the sorted list of the SHA-256 (hex) of its canonical lines, each with a line
 * feed. What does not fit into memory is sorted on disk.
 */
export async function digestTable(workspace: Workspace, table: CanonicalTable): Promise<TableDigest> {
  const hash = createHash('sha256');
  const result = await workspace.connection.stream(
    `SELECT sha256(line) AS digest FROM (${canonicalLines(table)}) ORDER BY digest`,
  );
  let rows = 0;
  for (;;) {
    const chunk = await result.fetchChunk();
    if (chunk === null || chunk.rowCount === 0) break;
    rows += chunk.rowCount;
    hash.update(`${chunk.getColumnValues(0).join('\n')}\n`);
    chunk.reset();
  }
  return {
    table: table.table,
    rows,
    columns: table.columns.map(({ name }) => name).sort(),
    sha256: hash.digest('hex'),
  };
}
