import type { TextIssue } from './issue.js';

export interface Token {
  kind: 'word' | 'number' | 'punct' | 'end';
  text: string;
  offset: number;
}

const TOKEN = /([A-Za-z_]\w*)|([0-9]\w*)|(\.\.\.|::|->|[-{}()[\];:,*.=&+<>|~!/%^?"'#])/y;
const SPACE = /(?:\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y;

/**
 * Splits C text into tokens. The last token is always `end`. A character that cannot occur in a
 * declaration is reported and ends the list there.
 */
export function tokenize(text: string): { tokens: Token[]; issues: TextIssue[] } {
  const tokens: Token[] = [];
  let offset = 0;
  for (;;) {
    SPACE.lastIndex = offset;
    SPACE.test(text);
    offset = SPACE.lastIndex;
    if (offset >= text.length) break;
    TOKEN.lastIndex = offset;
    const match = TOKEN.exec(text);
    if (match === null) {
      const issue = {
        rule: 'c-syntax',
        message: `unexpected character ${JSON.stringify(text[offset])} in a C declaration`,
        offset,
      };
      return { tokens: [...tokens, { kind: 'end', text: '', offset }], issues: [issue] };
    }
    const kind = match[1] !== undefined ? 'word' : match[2] !== undefined ? 'number' : 'punct';
    tokens.push({ kind, text: match[0], offset });
    offset = TOKEN.lastIndex;
  }
  tokens.push({ kind: 'end', text: '', offset: text.length });
  return { tokens, issues: [] };
}
