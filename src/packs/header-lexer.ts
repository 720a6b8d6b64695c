/** A piece of C text. Unlike a pack's declarations a header may hold strings, characters and anything else. */
export interface HeaderToken {
  kind: 'word' | 'number' | 'string' | 'punct';
  text: string;
}

const TOKEN =
  /([A-Za-z_$][\w$]*)|(\.?[0-9](?:[eEpP][+-]|[\w.'])*)|((?:u8|[uUL])?"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(\.\.\.|##|::|->|<<|>>|<=|>=|==|!=|&&|\|\||\[\[|\]\]|\S)/g;

/** Splits text without comments into tokens. Never fails: what is no C is taken character by character. */
export function lexHeader(text: string): HeaderToken[] {
  return [...text.matchAll(TOKEN)].map(([found, word, number, string]) => ({
    kind:
      word !== undefined
        ? 'word'
        : number !== undefined
          ? 'number'
          : string !== undefined
            ? 'string'
            : 'punct',
    text: found,
  }));
}

/** Joins continued lines and takes comments out, as the first phases of a C compiler do. */
export function logicalLines(text: string): string[] {
  return text
    .replaceAll(/\\\r?\n/g, '')
    .replaceAll(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g, (found) =>
      found.startsWith('/') ? ' ' : found,
    )
    .split(/\r?\n/);
}

/** Tokens as C text, spaced the way headers are. */
export function tokensText(tokens: readonly HeaderToken[]): string {
  return tokens
    .map(({ text }) => text)
    .join(' ')
    .replaceAll(/\* (?=[*\w])/g, '*')
    .replaceAll(/\* (?=\))/g, '*')
    .replaceAll(/ (?=[,)\];[])/g, '')
    .replaceAll(/([([]) /g, '$1');
}

/** Position of the bracket that closes the one at `open`; the end when there is none. */
export function closing(tokens: readonly HeaderToken[], open: number): number {
  let depth = 0;
  for (let index = open; index < tokens.length; index++) {
    const text = tokens[index]?.text ?? '';
    if (text === '[[') depth += 2;
    else if (text === ']]') depth -= 2;
    else if ('([{'.includes(text)) depth++;
    else if (')]}'.includes(text)) depth--;
    if (depth <= 0) return index;
  }
  return tokens.length;
}

/** Splits tokens at a separator outside all brackets. */
export function splitTokens(tokens: readonly HeaderToken[], separator: string): HeaderToken[][] {
  const parts: HeaderToken[][] = [[]];
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as HeaderToken;
    if (token.text === separator) {
      parts.push([]);
      continue;
    }
    const end = '([{'.includes(token.text) || token.text === '[[' ? closing(tokens, index) : index;
    parts.at(-1)?.push(...tokens.slice(index, end + 1));
    index = end;
  }
  return parts;
}

/** The tokens outside `[` and `]`: array lengths may hold operators that mean something else there. */
export function outsideBrackets(tokens: readonly HeaderToken[]): HeaderToken[] {
  const result: HeaderToken[] = [];
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as HeaderToken;
    if (token.text === '[') index = closing(tokens, index);
    else result.push(token);
  }
  return result;
}
