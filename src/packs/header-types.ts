import { constantValue } from './constant.js';
import { declaredName, type HeaderDeclarations, LAYOUT_ATTRIBUTE, splitDeclaration } from './header.js';
import { closing, type HeaderToken, outsideBrackets, splitTokens, tokensText } from './header-lexer.js';
import { parseTypes } from './prototype.js';
import { BASE_WORDS, QUALIFIERS, STANDARD_NAMES } from './type-words.js';

/** A type or function that cannot be written into a pack. */
export class HeaderProblem extends Error {}

/**
 * How much of a type a pack needs: `opaque` - it is only pointed to; `members` - its members too where they can be
 * had, so that captures can name them; `complete` - it is passed by value.
 */
export type Need = 'opaque' | 'members' | 'complete';

const STANDARD = new Set(STANDARD_NAMES.map(([name]) => name));
const TAGGED = ['struct', 'union', 'enum'];

/** Collects the declarations a pack's `types:` needs for the types of some prototypes. */
export class TypeCollector {
  /** Lines of `types:`, each declaration behind those it builds on. */
  readonly lines: string[] = [];
  /** Types the header does not declare, and that are only pointed to. */
  readonly unknown: string[] = [];
  private done = new Set<string>();

  constructor(private readonly declarations: HeaderDeclarations) {}

  /**
   * Makes sure that a type can be used, and returns its words as a pack writes them. Throws HeaderProblem when it
   * is passed by value and its layout is not known.
   */
  use(base: readonly HeaderToken[], need: Need): HeaderToken[] {
    const words = this.typeWords(base);
    const core = words.filter(({ text }) => !QUALIFIERS.has(text));
    const [first, tag] = core;
    if (first === undefined) throw new HeaderProblem('has no type');
    if (TAGGED.includes(first.text)) this.useTag(first.text, tag?.text ?? '', need);
    else if (!core.every(({ text }) => BASE_WORDS.has(text))) this.useName(first.text, need);
    return words;
  }

  /** The enumerators of an enum type: value -> name; undefined when it is no enum or they cannot be worked out. */
  enumerators(base: readonly HeaderToken[]): { name: string; values: Map<number, string> } | undefined {
    const core = this.typeWords(base).filter(({ text }) => !QUALIFIERS.has(text));
    const [first, tag] = core;
    if (first?.text !== 'enum') {
      const typedef = this.declarations.typedefs.get(first?.text ?? '');
      if (core.length !== 1 || typedef === undefined || typedef.declarator.length !== 1) return undefined;
      return this.enumerators(typedef.specifiers);
    }
    const body = this.declarations.bodies.get(`enum ${tag?.text}`);
    if (body === undefined) return undefined;
    const values = new Map<number, string>();
    const named = new Map<string, number>();
    let next = 0;
    for (const [name, equals, ...expression] of splitTokens(body, ',')) {
      if (name === undefined) continue;
      const value = equals === undefined ? next : constantValue(expression, (word) => named.get(word));
      if (value === undefined || Math.abs(value) >= 2 ** 32) return undefined;
      named.set(name.text, value);
      if (!values.has(value)) values.set(value, name.text);
      next = value + 1;
    }
    return { name: tag?.text ?? '', values };
  }

  /** An array length as a number; null when it is not known. */
  arrayLength(tokens: readonly HeaderToken[]): number | null {
    const expression = tokens.filter(({ text }) => text !== 'static');
    return constantValue(expression, () => undefined) ?? null;
  }

  /** The words of a type without decorations: words that mean nothing beside one that is a type. */
  private typeWords(base: readonly HeaderToken[]): HeaderToken[] {
    const words = base.filter(
      ({ kind, text }) => kind === 'word' && text !== LAYOUT_ATTRIBUTE && text !== 'static',
    );
    const tagAt = words.findIndex(({ text }) => TAGGED.includes(text));
    const isType = ({ text }: HeaderToken, index: number): boolean =>
      BASE_WORDS.has(text) || (tagAt >= 0 ? index === tagAt || index === tagAt + 1 : this.isKnown(text));
    if (words.some(isType)) {
      return words.filter((word, index) => isType(word, index) || QUALIFIERS.has(word.text));
    }
    // Of unknown words the last is the type: decorations are written in front.
    const last = words.findLast(({ text }) => !QUALIFIERS.has(text));
    return words.filter((word) => word === last || QUALIFIERS.has(word.text));
  }

  private isKnown(name: string): boolean {
    return (
      STANDARD.has(name) ||
      this.declarations.typedefs.has(name) ||
      TAGGED.some((kind) => this.declarations.bodies.has(`${kind} ${name}`))
    );
  }

  private useName(name: string, need: Need): void {
    if (STANDARD.has(name)) return;
    const typedef = this.declarations.typedefs.get(name);
    if (typedef === undefined) {
      this.useUndeclared(name, need);
      return;
    }
    const { specifiers, declarator } = typedef;
    const isPointer = mentions(declarator, '*', '(');
    if (mentions(declarator, '(')) {
      this.once(name, () => this.lines.push(`typedef void *${name}; // a function pointer`));
      return;
    }
    const words = this.use(specifiers, isPointer ? 'opaque' : need);
    this.once(name, () => {
      const written = this.declarator(declarator, need === 'complete');
      this.lines.push(`typedef ${tokensText([...words, ...written])};`);
    });
  }

  /** A name no typedef declares: the tag of a struct, as C++ allows, or nothing the header knows. */
  private useUndeclared(name: string, need: Need): void {
    const kind = TAGGED.find((candidate) => this.declarations.bodies.has(`${candidate} ${name}`));
    if (kind !== undefined) {
      this.useTag(kind, name, need);
      this.once(name, () => {
        if (!this.done.has(`${kind} ${name}`)) this.lines.push(`${kind} ${name};`);
      });
      return;
    }
    if (need === 'complete') {
      throw new HeaderProblem(`uses ${name}, which neither the header nor what it includes declares`);
    }
    this.once(name, () => {
      this.unknown.push(name);
      this.lines.push(`typedef struct ${name} ${name}; // not declared in the header`);
    });
  }

  private useTag(kind: string, tag: string, need: Need): void {
    const key = `${kind} ${tag}`;
    if (this.done.has(key)) return;
    const body = this.declarations.bodies.get(key);
    if (kind === 'enum') {
      // Its sign is all that matters here, and its size when it is not an int.
      if (body?.[0]?.text === LAYOUT_ATTRIBUTE && need === 'complete') {
        throw new HeaderProblem(`passes enum ${tag}, whose size is not that of an int`);
      }
      if (body?.some(({ text }) => text === '-')) {
        this.once(key, () => this.lines.push(`enum ${tag} { ${tag}_is_signed = -1 };`));
      }
      return;
    }
    if (need === 'opaque' || (need === 'members' && body === undefined)) return;
    if (body === undefined)
      throw new HeaderProblem(`passes ${key} by value, whose members the header does not declare`);
    const before = { lines: this.lines.length, unknown: this.unknown.length, done: new Set(this.done) };
    try {
      this.done.add(key);
      this.lines.push(`${key} { ${this.members(key, body)} };`);
      const [issue] = parseTypes(this.lines.join('\n')).issues;
      if (issue !== undefined) throw new HeaderProblem(`uses ${key}: ${issue.message}`);
    } catch (error) {
      if (!(error instanceof HeaderProblem)) throw error;
      this.lines.length = before.lines;
      this.unknown.length = before.unknown;
      this.done = before.done;
      if (need === 'complete') throw error;
    }
  }

  private members(key: string, body: readonly HeaderToken[]): string {
    if (body.some(({ text }) => text === LAYOUT_ATTRIBUTE)) {
      throw new HeaderProblem(`uses ${key}, whose layout an attribute changes`);
    }
    return splitTokens(body, ';')
      .filter((member) => member.length > 0)
      .map((member) => `${this.member(key, member)};`)
      .join(' ');
  }

  private member(key: string, member: readonly HeaderToken[]): string {
    const open = member.findIndex(({ text }) => text === '{');
    if (open >= 0) {
      const close = closing(member, open);
      const head = tokensText(member.slice(0, open));
      const inner = head.startsWith('enum')
        ? tokensText(member.slice(open + 1, close))
        : this.members(key, member.slice(open + 1, close));
      return `${head} { ${inner} } ${tokensText(member.slice(close + 1))}`.trimEnd();
    }
    const [first = [], ...others] = splitTokens(member, ',');
    const { base, declarator } = splitDeclaration(first);
    if (member.some(({ text }) => text === ':')) throw new HeaderProblem(`uses ${key}, which has bit-fields`);
    const declarators = [declarator, ...others];
    const words = this.use(
      base,
      declarators.every((part) => mentions(part, '*', '(')) ? 'opaque' : 'complete',
    );
    const written = declarators.map((part) =>
      mentions(part, '(') ? functionPointer(part) : tokensText(this.declarator(part, true)),
    );
    // A function pointer keeps its place as a pointer; its result type is then of no use to the members beside it.
    if (declarators.some((part) => mentions(part, '('))) {
      if (declarators.length > 1)
        throw new HeaderProblem(`uses ${key}, with function pointers in one declaration`);
      return `void ${written.join('')}`;
    }
    return `${tokensText(words)} ${written.join(', ')}`;
  }

  /** A declarator with its array lengths as numbers. Without `exact` a length that is not known is left out. */
  declarator(tokens: readonly HeaderToken[], exact: boolean): HeaderToken[] {
    const result: HeaderToken[] = [];
    for (let index = 0; index < tokens.length; index++) {
      const token = tokens[index] as HeaderToken;
      if (token.text !== '[') {
        result.push(token);
        continue;
      }
      const end = closing(tokens, index);
      const length = this.arrayLength(tokens.slice(index + 1, end));
      if (length === null && exact) {
        throw new HeaderProblem(`uses an array whose length is not known: ${tokensText(tokens)}`);
      }
      result.push(token);
      if (length !== null) result.push({ kind: 'number', text: String(length) });
      result.push({ kind: 'punct', text: ']' });
      index = end;
    }
    return result;
  }

  private once(name: string, add: () => void): void {
    if (this.done.has(name)) return;
    this.done.add(name);
    add();
  }
}

/** Whatever it points to, a function pointer is passed as a pointer. */
export function functionPointer(declarator: readonly HeaderToken[]): string {
  return `*${declaredName(declarator) ?? ''}`;
}

/** Whether a declarator holds one of these, array lengths aside. */
export function mentions(declarator: readonly HeaderToken[], ...texts: readonly string[]): boolean {
  return outsideBrackets(declarator).some(({ text }) => texts.includes(text));
}
