import { LEAF, PageSet, walkLeaf, walkTable } from './btree.js';
import { SqliteDamage } from './damage.js';
import type { SqliteTable } from './database.js';
import type { PageSource } from './page-source.js';
import { RowView } from './record.js';

/**
 * Pages with rows that belong to no table any more, because the page that led to them is damaged or gone, by the table
 * their rows have the shape of. Pages on the freelist are left out: their rows were deleted. A page whose rows
 * could be of several tables is left out too.
 */
export function findOrphans(
  source: PageSource,
  tables: readonly SqliteTable[],
): ReadonlyMap<string, readonly number[]> {
  const owned = ownedPages(source, tables);
  const orphans = new Map<string, number[]>();
  for (let page = 2; page <= source.pageCount; page++) {
    if (owned.has(page) || tryPage(source, page)?.[0] !== LEAF) continue;
    const [table, ...others] = tablesThatFit(source, page, tables);
    if (table === undefined || others.length > 0) continue;
    const pages = orphans.get(table) ?? [];
    pages.push(page);
    orphans.set(table, pages);
  }
  return orphans;
}

/** Pages that a table or the freelist leads to. */
function ownedPages(source: PageSource, tables: readonly SqliteTable[]): PageSet {
  const owned = new PageSet(source.pageCount);
  const ignore = (): void => {};
  for (const root of [1, ...tables.map(({ rootPage }) => rootPage)]) {
    const row = new RowView(source.encoding);
    for (const _page of walkTable({ source, row, seen: owned, onRow: ignore, onDamage: ignore }, root));
  }
  // Freelist trunk pages: the next one, how many leaves, the leaves.
  let trunk = tryPage(source, 1)?.readUInt32BE(32) ?? 0;
  while (trunk > 0 && trunk <= source.pageCount && !owned.has(trunk)) {
    owned.add(trunk);
    const content = tryPage(source, trunk);
    if (content === undefined) break;
    const leaves = Math.min(content.readUInt32BE(4), source.usable / 4 - 2);
    for (let leaf = 0; leaf < leaves; leaf++) {
      const page = content.readUInt32BE(8 + leaf * 4);
      if (page <= source.pageCount) owned.add(page);
    }
    trunk = content.readUInt32BE(0);
  }
  return owned;
}

function tryPage(source: PageSource, page: number): Buffer | undefined {
  try {
    return source.page(page);
  } catch (error) {
    if (error instanceof SqliteDamage) return undefined;
    throw error;
  }
}

/** Names of the tables that every readable row of a page could be a row of; those with as many columns, if there are any. */
function tablesThatFit(source: PageSource, page: number, tables: readonly SqliteTable[]): string[] {
  const row = new RowView(source.encoding);
  const shapes: string[][] = [];
  walkLeaf(
    {
      source,
      row,
      seen: new PageSet(source.pageCount),
      onRow: (view) => {
        const fitting = tables.filter((table) => fits(table, view));
        const exact = fitting.filter(({ columns }) => columns.length === view.columns);
        shapes.push((exact.length > 0 ? exact : fitting).map(({ name }) => name));
      },
      onDamage: () => {},
    },
    page,
  );
  const [first, ...rest] = shapes;
  return (first ?? []).filter((name) => rest.every((shape) => shape.includes(name)));
}

function fits(table: SqliteTable, row: RowView): boolean {
  if (row.columns === 0 || row.columns > table.columns.length) return false;
  for (let column = 0; column < row.columns; column++) {
    const kind = row.kind(column);
    const type = table.columns[column]?.type;
    if (kind === 'null') continue;
    if (column === table.rowidColumn) return false;
    if (type === 'INTEGER' && kind !== 'integer') return false;
    if (type === 'REAL' && kind !== 'real' && kind !== 'integer') return false;
    if (type === 'TEXT' && kind !== 'text') return false;
  }
  return true;
}
