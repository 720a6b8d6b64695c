/** SQL text cut at the semicolons that end statements. */
export interface SplitSql {
  /** Complete statements, without their semicolons; empty lines before them, so that line numbers are those of the text. */
  statements: string[];
  /** What follows the last semicolon, an unfinished statement; empty when it is only white space and comments. */
  rest: string;
}

/** What a semicolon means nothing in: text, quoted names, comments. Unfinished ones reach to the end. */
const OPAQUE: readonly RegExp[] = [
  /[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)/y,
  /'(?:[^']|'')*(?:'|$)/y,
  /"(?:[^"]|"")*(?:"|$)/y,
  /\$(\w*)\$[\s\S]*?(?:\$\1\$|$)/y,
  /--[^\n]*/y,
];

/** Cuts SQL text at its semicolons. */
export function splitSql(sql: string): SplitSql {
  const statements: string[] = [];
  let from = 0;
  for (let at = 0; at < sql.length; ) {
    if (sql[at] === ';') {
      if (hasSql(sql.slice(from, at))) statements.push(linesBefore(sql, from) + sql.slice(from, at));
      from = ++at;
    } else {
      at = opaqueEnd(sql, at) ?? wordEnd(sql, at);
    }
  }
  return { statements, rest: hasSql(sql.slice(from)) ? linesBefore(sql, from) + sql.slice(from) : '' };
}

const linesBefore = (sql: string, at: number): string => sql.slice(0, at).replace(/[^\n]/g, '');

/** Whether there is anything but white space and comments. */
export function hasSql(sql: string): boolean {
  for (let at = 0; at < sql.length; ) {
    const end = sql.startsWith('--', at) || sql.startsWith('/*', at) ? opaqueEnd(sql, at) : undefined;
    if (end === undefined && !/\s/.test(sql[at] ?? '')) return true;
    at = end ?? at + 1;
  }
  return false;
}

/** A name is stepped over whole: the e of `make'...` is part of it. */
function wordEnd(sql: string, at: number): number {
  const word = /\w+/y;
  word.lastIndex = at;
  // A lone e may begin an escape string.
  return word.test(sql) ? word.lastIndex : at + 1;
}

function opaqueEnd(sql: string, at: number): number | undefined {
  if (sql.startsWith('/*', at)) return commentEnd(sql, at);
  for (const pattern of OPAQUE) {
    pattern.lastIndex = at;
    if (pattern.test(sql)) return pattern.lastIndex;
  }
  return undefined;
}

/** Block comments nest. */
function commentEnd(sql: string, at: number): number {
  let depth = 0;
  for (let i = at; i < sql.length; ) {
    if (sql.startsWith('/*', i)) {
      depth++;
      i += 2;
    } else if (sql.startsWith('*/', i)) {
      depth--;
      i += 2;
      if (depth === 0) return i;
    } else i++;
  }
  return sql.length;
}
