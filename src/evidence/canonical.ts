import { ident } from '../capture/sql-text.js';
import { qualified, type StoredColumn, type StoredEvents, type StoredTable } from '../capture/workspace.js';

/**
 * The canonical form of a table, which its digest is made from (docs/evidence.md): a line per row, values in the order
 * of the column names, separated by tabs. It depends on what a table says and not on how a file stores it.
 */
export interface CanonicalTable {
  table: string;
  columns: readonly StoredColumn[];
  /** What to select rows from; columns are unique by their names. */
  source: string;
}

const byName = (a: StoredColumn, b: StoredColumn): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/** Backslash, tab and line feed as `\\`, `\t` and `\n`. */
const escaped = (value: string): string =>
  `replace(replace(replace(${value}, '\\', '\\\\'), chr(9), '\\t'), chr(10), '\\n')`;

/** SQL for a value's canonical text; NULL is `\N`. */
function canonicalValue({ name, type }: StoredColumn): string {
  const column = ident(name);
  const text = ((): string => {
    if (type.startsWith('TIMESTAMP')) return `epoch_ns(${column})::VARCHAR`;
    if (type.endsWith('[]')) {
      const element = `'"' || replace(${escaped('e::VARCHAR')}, '"', '\\"') || '"'`;
      return `'[' || array_to_string(list_transform(${column}, lambda e: coalesce(${element}, '\\N')), ',') || ']'`;
    }
    if (type === 'VARCHAR' || type.startsWith('ENUM')) return escaped(`${column}::VARCHAR`);
    return /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|BOOLEAN|UUID|FLOAT|DOUBLE)$/.test(type)
      ? `${column}::VARCHAR`
      : escaped(`${column}::VARCHAR`);
  })();
  return `coalesce(${text}, '\\N')`;
}

/** SQL that gives the canonical line of every row, in column `line`. */
export function canonicalLines({ columns, source }: CanonicalTable): string {
  const values = [...columns].sort(byName).map(canonicalValue);
  return `SELECT concat_ws(chr(9), ${values.join(', ')}) AS line FROM ${source}`;
}

/** A catalog table. */
export function catalogTable(alias: string, table: StoredTable): CanonicalTable {
  return { table: table.name, columns: table.columns, source: qualified(alias, table) };
}

/** An event table as its view shows it. */
export function eventTable(alias: string, { name, rows, args }: StoredEvents): CanonicalTable {
  const own = (columns: readonly StoredColumn[]): StoredColumn[] =>
    columns.filter((column) => column.name !== 'args_id');
  return {
    table: name,
    columns: [...own(rows.columns), ...own(args.columns)],
    source: `${qualified(alias, rows)} LEFT JOIN ${qualified(alias, args)} USING (args_id)`,
  };
}

/** What the views of a capture say: changing one would change what readers see. */
export function viewDefinitions(alias: string): CanonicalTable {
  return {
    table: 'views',
    columns: [
      { name: 'view_name', type: 'VARCHAR' },
      { name: 'sql', type: 'VARCHAR' },
    ],
    source: `(SELECT view_name, sql FROM duckdb_views() WHERE database_name = '${alias}' AND NOT internal)`,
  };
}
