import { closing, type HeaderToken, splitTokens } from './header-lexer.js';
import { BASE_WORDS, QUALIFIERS } from './type-words.js';

/** A function as its header declares it. */
export interface HeaderFunction {
  returns: readonly HeaderToken[];
  params: readonly HeaderToken[];
  /** The header has its body: there is no such function in a library. */
  isInline: boolean;
}

/** A typedef, taken apart: `typedef struct x *name` is `struct x` and `*name`. */
export interface HeaderTypedef {
  specifiers: readonly HeaderToken[];
  declarator: readonly HeaderToken[];
}

/** The declarations of a header, by name. Structs, unions and enums by `struct x`. */
export interface HeaderDeclarations {
  functions: Map<string, HeaderFunction>;
  typedefs: Map<string, HeaderTypedef>;
  /** What is between the braces. */
  bodies: Map<string, readonly HeaderToken[]>;
}

/** Stands in a declaration whose layout an attribute changes (packed, aligned). */
export const LAYOUT_ATTRIBUTE = '__layout_attribute__';

const RECORDS = ['struct', 'union', 'enum'];
/** Words that say nothing about types. */
const STORAGE = new Set([
  ...['extern', 'static', 'inline', '__inline', '__inline__', '__forceinline', '__forceinline__'],
  ...['register', '__extension__', '_Noreturn', 'noexcept'],
]);
const ATTRIBUTES = new Set([
  ...[
    '__attribute__',
    '__attribute',
    '__declspec',
    '__asm__',
    '__asm',
    'asm',
    '_Alignas',
    'alignas',
    '__align__',
  ],
]);

/** Finds the declarations in a token list. What is none is passed over; of two declarations the first counts. */
export function readDeclarations(tokens: readonly HeaderToken[]): HeaderDeclarations {
  const declarations: HeaderDeclarations = { functions: new Map(), typedefs: new Map(), bodies: new Map() };
  for (const declaration of topLevel(withoutAttributes(tokens))) {
    if (declaration[0]?.text === 'typedef') addTypedef(declarations, declaration.slice(1));
    else addOther(declarations, declaration);
  }
  return declarations;
}

/** Attributes do not change how arguments are passed; those that change a layout leave a mark. */
function withoutAttributes(tokens: readonly HeaderToken[]): HeaderToken[] {
  const result: HeaderToken[] = [];
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as HeaderToken;
    const isKeyword = ATTRIBUTES.has(token.text) && tokens[index + 1]?.text === '(';
    if (!isKeyword && token.text !== '[[') {
      if (!STORAGE.has(token.text)) result.push(token);
      else if (token.text === 'extern' && tokens[index + 1]?.kind === 'string')
        index = linkage(tokens, index, result);
      else if (token.text === 'static' || token.text === 'inline')
        result.push({ kind: 'word', text: 'static' });
      continue;
    }
    const end = closing(tokens, isKeyword ? index + 1 : index);
    const changesLayout = tokens
      .slice(index, end)
      .some(({ text }) => /^(_*packed_*|_*aligned_*|_?alignas|__align__|vector_size|mode)$/i.test(text));
    if (changesLayout) result.push({ kind: 'word', text: LAYOUT_ATTRIBUTE });
    index = end;
  }
  return result;
}

/** `extern "C" {` opens no scope of its own; its `}` is passed over where no scope is open. */
function linkage(tokens: readonly HeaderToken[], index: number, result: HeaderToken[]): number {
  if (tokens[index + 2]?.text !== '{') return index + 1;
  result.push({ kind: 'punct', text: ';' });
  return index + 2;
}

/** Declarations without their `;`. A function's body stands for it as `{ }`. */
function topLevel(tokens: readonly HeaderToken[]): HeaderToken[][] {
  const found: HeaderToken[][] = [];
  let current: HeaderToken[] = [];
  const end = (): void => {
    if (current.length > 0) found.push(current);
    current = [];
  };
  for (let index = 0; index < tokens.length; index++) {
    const token = tokens[index] as HeaderToken;
    if (token.text === ';') end();
    else if (token.text === '}') current = [];
    else if ('([{'.includes(token.text)) {
      const close = closing(tokens, index);
      for (let inside = index; inside <= close && inside < tokens.length; inside++) {
        current.push(tokens[inside] as HeaderToken);
      }
      index = close;
      // A body that no `;` follows: of a function, a namespace, a C++ class ...
      if (token.text === '{' && !isRecord(current)) end();
    } else current.push(token);
  }
  end();
  return found;
}

/** Whether what is read so far ends in the body of a struct, union or enum. */
function isRecord(declaration: readonly HeaderToken[]): boolean {
  const body = declaration.findIndex(({ text }) => text === '{');
  return (
    declaration.slice(0, body).some(({ text }) => RECORDS.includes(text)) &&
    !declaration.slice(0, body).some(({ text }) => text === '(')
  );
}

/** Takes a struct, union or enum at the start of a declaration apart, and remembers its body. */
function takeSpecifiers(
  declarations: HeaderDeclarations,
  tokens: readonly HeaderToken[],
  nameWithoutTag: (rest: readonly HeaderToken[]) => string | undefined,
): { specifiers: HeaderToken[]; rest: readonly HeaderToken[] } {
  const keyword = tokens.findIndex(({ text }) => RECORDS.includes(text));
  const first = tokens.findIndex(
    ({ text }) => !QUALIFIERS.has(text) && text !== LAYOUT_ATTRIBUTE && text !== 'static',
  );
  if (keyword < 0 || keyword !== first) return { specifiers: [], rest: tokens };
  const kind = tokens[keyword] as HeaderToken;
  let position = keyword + 1;
  let isMarked = tokens.slice(0, keyword).some(({ text }) => text === LAYOUT_ATTRIBUTE);
  // Unknown decorations may stand between the keyword and the tag: the tag is the last word.
  let tag: HeaderToken | undefined;
  const hasBody = tokens.slice(position).findIndex(({ text }) => text === '{');
  while (tokens[position]?.kind === 'word' && !QUALIFIERS.has(tokens[position]?.text ?? '')) {
    const word = tokens[position] as HeaderToken;
    if (word.text === LAYOUT_ATTRIBUTE) isMarked = true;
    else if (tag === undefined || hasBody >= 0) tag = word;
    else break;
    position++;
  }
  // C++ and C23 may give an enum its integer type: `enum x : int {`.
  if (tokens[position]?.text === ':' && hasBody >= 0) {
    isMarked = true;
    while (position < tokens.length && tokens[position]?.text !== '{') position++;
  }
  let body: HeaderToken[] | undefined;
  if (tokens[position]?.text === '{') {
    const end = closing(tokens, position);
    body = tokens.slice(position + 1, end);
    position = end + 1;
  }
  const rest = tokens.slice(position);
  if (rest.some(({ text }) => text === LAYOUT_ATTRIBUTE)) isMarked = true;
  const name = tag?.text ?? nameWithoutTag(rest);
  if (name === undefined) return { specifiers: [], rest };
  const key = `${kind.text} ${name}`;
  if (body !== undefined && !declarations.bodies.has(key)) {
    declarations.bodies.set(key, isMarked ? [{ kind: 'word', text: LAYOUT_ATTRIBUTE }, ...body] : body);
  }
  return {
    specifiers: [kind, { kind: 'word', text: name }],
    rest: rest.filter(({ text }) => text !== LAYOUT_ATTRIBUTE),
  };
}

function addTypedef(declarations: HeaderDeclarations, tokens: readonly HeaderToken[]): void {
  const named = (rest: readonly HeaderToken[]): string | undefined =>
    splitTokens(rest, ',')
      .map(declaredName)
      .find((name) => name !== undefined);
  const { specifiers, rest } = takeSpecifiers(declarations, tokens, named);
  const [first = [], ...others] = splitTokens(rest, ',');
  const whole = specifiers.length > 0 ? { base: specifiers, declarator: first } : splitDeclaration(first);
  for (const declarator of [whole.declarator, ...others]) {
    const name = declaredName(declarator);
    if (name !== undefined && !declarations.typedefs.has(name)) {
      declarations.typedefs.set(name, { specifiers: whole.base, declarator });
    }
  }
}

function addOther(declarations: HeaderDeclarations, tokens: readonly HeaderToken[]): void {
  const list = tokens.findIndex(({ text }) => text === '(');
  const isStatic = tokens.slice(0, Math.max(list, 0)).some(({ text }) => text === 'static');
  const { specifiers, rest } = takeSpecifiers(declarations, tokens, () => undefined);
  const words = [...specifiers, ...rest].filter(({ text }) => text !== 'static' && text !== LAYOUT_ATTRIBUTE);
  const open = words.findIndex(({ text }) => text === '(');
  const name = words[open - 1];
  if (open < 2 || name?.kind !== 'word') return;
  const close = closing(words, open);
  const hasBody = words.slice(close).some(({ text }) => text === '{');
  const known = declarations.functions.get(name.text);
  if (known !== undefined && !known.isInline) return;
  declarations.functions.set(name.text, {
    returns: words.slice(0, open - 1),
    params: words.slice(open + 1, close),
    isInline: isStatic || hasBody,
  });
}

/**
 * The name a declarator declares: `name` of `*name[3]` and of `(*name)(int)`. Undefined when it has none, as in
 * `void *` of a parameter list.
 */
export function declaredName(declarator: readonly HeaderToken[]): string | undefined {
  const open = declarator.findIndex(({ text }) => text === '(');
  const inner = open < 0 ? [] : declarator.slice(open + 1, closing(declarator, open));
  if (inner.some(({ text }) => text === '*')) return declaredName(inner);
  const end = declarator.findIndex(({ text }) => text === '[' || text === '(');
  return declarator
    .slice(0, end < 0 ? undefined : end)
    .findLast(({ kind, text }) => kind === 'word' && !QUALIFIERS.has(text))?.text;
}

/**
 * Splits a declaration into the words of its type and its declarator: at the first `*` or `(`, else before the
 * last word. A type of one word alone has no name behind it.
 */
export function splitDeclaration(tokens: readonly HeaderToken[]): {
  base: HeaderToken[];
  declarator: HeaderToken[];
} {
  const bracket = tokens.findIndex(({ text }) => text === '[');
  const star = tokens.findIndex(({ text }) => text === '*' || text === '(');
  if (star >= 0 && (bracket < 0 || star < bracket)) {
    const before = tokens.slice(0, star);
    // `typedef int fn(int)` declares a function type by its last word.
    const isCall = tokens[star]?.text === '(' && tokens[star + 1]?.text !== '*' && before.length > 1;
    const split = isCall ? star - 1 : star;
    return { base: tokens.slice(0, split), declarator: tokens.slice(split) };
  }
  const end = bracket < 0 ? tokens.length : bracket;
  const isTag = RECORDS.includes(tokens[end - 2]?.text ?? '');
  const types = tokens.slice(0, end).filter(({ text }) => !QUALIFIERS.has(text));
  const isType = isTag || BASE_WORDS.has(types.at(-1)?.text ?? '');
  const split = isType || types.length < 2 ? end : end - 1;
  return { base: tokens.slice(0, split), declarator: tokens.slice(split) };
}
