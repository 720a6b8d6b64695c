/** A column of an SQLite table as its CREATE TABLE statement declares it. */
export interface SqliteColumn {
  name: string;
  /** The declared type, upper case; '' when there is none. */
  type: string;
}

export interface TableDefinition {
  columns: readonly SqliteColumn[];
  /** Column that is another name of the rowid (INTEGER PRIMARY KEY), whose value is not in the record; -1: none. */
  rowidColumn: number;
}

/** Words that begin a table constraint rather than a column. */
const CONSTRAINTS = new Set(['CONSTRAINT', 'PRIMARY', 'UNIQUE', 'CHECK', 'FOREIGN']);
const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|\s+|"(?:[^"]|"")*"|'(?:[^']|'')*'|`(?:[^`]|``)*`|\[[^\]]*\]|[(),]|[^\s(),"'`[]+|./gu;

/**
 * Reads the columns of a CREATE TABLE statement as SQLite stores it, columns that ALTER TABLE has added included.
 * undefined when it is not such a statement.
 */
export function parseCreateTable(sql: string): TableDefinition | undefined {
  const tokens = (sql.match(TOKEN) ?? []).filter((token) => !/^(--|\/\*|\s)/.test(token));
  const open = tokens.indexOf('(');
  if (open < 0 || tokens[0]?.toUpperCase() !== 'CREATE') return undefined;
  const columns: SqliteColumn[] = [];
  let rowidColumn = -1;
  for (const item of splitItems(tokens.slice(open + 1))) {
    const words = item.map((token) => token.toUpperCase());
    const [first, second] = item;
    if (first === undefined) continue;
    if (!CONSTRAINTS.has(words[0] as string)) {
      const type = second === undefined || isClause(words[1] as string) ? '' : (words[1] as string);
      const primary = words.indexOf('PRIMARY');
      if (type === 'INTEGER' && primary > 0 && words[primary + 2] !== 'DESC') rowidColumn = columns.length;
      columns.push({ name: unquote(first), type });
      continue;
    }
    // PRIMARY KEY (name): of one INTEGER column it is the rowid as well.
    const primary = words.indexOf('PRIMARY');
    if (primary < 0) continue;
    const list = item.slice(item.indexOf('(', primary) + 1, item.indexOf(')', primary));
    if (list.length !== 1) continue;
    const named = columns.findIndex(
      ({ name }) => name.toLowerCase() === unquote(list[0] as string).toLowerCase(),
    );
    if (columns[named]?.type === 'INTEGER') rowidColumn = named;
  }
  return columns.length === 0 ? undefined : { columns, rowidColumn };
}

/** Splits what stands between the outer parentheses at its commas. */
function splitItems(tokens: readonly string[]): string[][] {
  const items: string[][] = [[]];
  let depth = 0;
  for (const token of tokens) {
    if (token === ')' && depth === 0) break;
    if (token === '(') depth++;
    if (token === ')') depth--;
    if (token === ',' && depth === 0) items.push([]);
    else items.at(-1)?.push(token);
  }
  return items;
}

function isClause(word: string): boolean {
  return [
    'PRIMARY',
    'NOT',
    'NULL',
    'UNIQUE',
    'CHECK',
    'DEFAULT',
    'COLLATE',
    'REFERENCES',
    'CONSTRAINT',
  ].includes(word);
}

function unquote(token: string): string {
  const quote = token[0];
  if (quote === '[') return token.slice(1, -1);
  if (quote !== '"' && quote !== '`' && quote !== "'") return token;
  return token.slice(1, -1).replaceAll(quote + quote, quote);
}
