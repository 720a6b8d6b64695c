import {
  type CType,
  FUNCTION,
  type IntType,
  isComplete,
  layOut,
  type RecordType,
  sizeOf,
  spell,
} from './ctype.js';
import type { Token } from './lexer.js';
import { didYouMean } from './suggest.js';
import { DeclarationError, MAX_NESTING, TokenCursor } from './token-cursor.js';
import { ARITHMETIC, ATTRIBUTES, BASE_WORDS, canonical, DECORATIONS, int, QUALIFIERS } from './type-words.js';

export interface Param {
  /** Absent when the declaration leaves it out; such a parameter cannot be captured. */
  name?: string;
  type: CType;
}

/** A function declaration, reduced to what an ABI needs. */
export interface Prototype {
  name: string;
  returns: CType;
  params: readonly Param[];
}

/** Types a prototype may use: the built-in ones and those of the pack's `types:` block. */
export interface TypeTable {
  /** By name. As in C++ the tag of a struct, union or enum is a name too, unless a typedef takes it. */
  names: Map<string, CType>;
  /** By `struct X`, `union X`, `enum X`. */
  tags: Map<string, CType>;
  /** Names from declarations that are wrong: using one of them is not reported again. */
  broken: Set<string>;
}

/** Largest object a declaration may describe; offsets must stay far from any overflow. */
const MAX_OBJECT = 2 ** 30;

interface ArraySuffix {
  kind: 'array';
  length: number;
  at: Token;
}
interface FunctionSuffix {
  kind: 'function';
  params: Param[];
}

interface Declarator {
  name?: Token;
  pointers: number;
  inner?: Declarator;
  suffixes: (ArraySuffix | FunctionSuffix)[];
}

/** The name a declarator declares: `name` in `(*name)(int)`. */
function declaredName({ name, inner }: Declarator): Token | undefined {
  return name ?? (inner === undefined ? undefined : declaredName(inner));
}

/** Recursive-descent reader of C declarations (C11 6.7 without bit-fields, initialisers and attributes). */
export class DeclarationReader extends TokenCursor {
  /** Set when the declaration uses a type that is unknown or could not be read. */
  spoiled = false;
  /** Names the declaration being read gives to types. */
  private declared: string[] = [];

  constructor(
    tokens: readonly Token[],
    private readonly types: TypeTable,
    private readonly where: 'types' | 'prototype',
  ) {
    super(tokens);
  }

  /** Reads every declaration of a `types:` block. */
  readTypes(): void {
    while (this.token.kind !== 'end') {
      const start = this.position;
      this.nesting = 0;
      this.spoiled = false;
      this.declared = [];
      try {
        this.typeDeclaration();
      } catch (error) {
        if (!(error instanceof DeclarationError)) throw error;
        this.issues.push(error.issue);
        this.skipDeclaration(start);
        this.spoiled = true;
      }
      if (this.spoiled) for (const name of this.declared) this.types.broken.add(name);
    }
  }

  /** Moves behind the `;` that ends the declaration begun at `start`, remembering the names it spoils. */
  private skipDeclaration(start: number): void {
    this.position = start;
    let depth = 0;
    while (this.token.kind !== 'end') {
      const token = this.take();
      if (token.kind === 'word' && !this.types.names.has(token.text)) this.types.broken.add(token.text);
      if (token.text === '{') depth++;
      if (token.text === '}') depth--;
      if (token.text === ';' && depth <= 0) return;
    }
  }

  private typeDeclaration(): void {
    if (this.token.text === '#') {
      this.fail('c-syntax', 'preprocessor line in types', this.token, 'write the declarations only');
    }
    const isTypedef = this.accept('typedef');
    const base = this.specifiers();
    if (this.accept(';')) return;
    do {
      const declarator = this.declarator();
      const type = this.apply(declarator, base);
      const name = declaredName(declarator);
      if (name === undefined) this.fail('c-syntax', 'expected a name', this.token);
      if (!isTypedef) {
        this.fail(
          'c-syntax',
          `${name.text} is not a type`,
          name,
          'types holds struct, union, enum and typedef declarations; functions go under probes',
        );
      }
      if (type.kind === 'record' && !type.name.includes(' ')) type.name = name.text;
      this.declare(name.text, type);
    } while (this.accept(','));
    this.expect(';');
  }

  /** Reads the one declaration of a `prototype:`. */
  readPrototype(): Prototype {
    const start = this.token;
    if (start.kind === 'word' && this.ahead().text === '(' && !this.isTypeWord(start.text)) {
      this.fail('c-syntax', `${start.text} has no return type`, start);
    }
    const base = this.specifiers();
    const declarator = this.declarator();
    const [suffix, ...more] = declarator.suffixes;
    if (declarator.name === undefined || suffix?.kind !== 'function' || more.length > 0) {
      if (this.token.text === '::') this.expect('(');
      this.fail(
        'c-syntax',
        'not a function declaration',
        declarator.name ?? start,
        'write it as in the header: int f(void *p, size_t n)',
      );
    }
    this.accept(';');
    if (this.token.kind !== 'end') {
      this.fail(
        'c-syntax',
        `unexpected ${JSON.stringify(this.token.text)} after the declaration`,
        this.token,
      );
    }
    const returns = this.pointersTo(base, declarator.pointers);
    if (returns.kind !== 'void' && !isComplete(returns)) this.reportIncomplete(returns, start);
    return { name: declarator.name.text, returns, params: suffix.params };
  }

  private isTypeWord(word: string): boolean {
    return (
      BASE_WORDS.has(word) ||
      QUALIFIERS.has(word) ||
      DECORATIONS.has(word) ||
      ['struct', 'union', 'enum'].includes(word) ||
      this.types.names.has(word)
    );
  }

  /** Declaration specifiers: qualifiers, and one type. */
  private specifiers(): CType {
    const words: string[] = [];
    let named: CType | undefined;
    const start = this.token;
    while (this.token.kind === 'word') {
      const { text } = this.token;
      if (ATTRIBUTES.has(text)) {
        this.fail(
          'unsupported-attribute',
          `${text} is not supported`,
          this.token,
          'remove it, or spell out padding as members',
        );
      }
      if (QUALIFIERS.has(text) || DECORATIONS.has(text)) {
        this.take();
      } else if (named === undefined && BASE_WORDS.has(text)) {
        words.push(this.take().text);
      } else if (named === undefined && words.length === 0) {
        named = this.namedType();
      } else {
        break;
      }
    }
    if (named !== undefined) return named;
    if (words.length === 0) {
      if (this.token.text === '...')
        this.fail(
          'variadic',
          'variadic function',
          this.token,
          'the arguments behind ... cannot be located: remove the probe',
        );
      this.fail('c-syntax', 'expected a type', this.token);
    }
    const type = ARITHMETIC.get(canonical(words));
    if (type === undefined) this.fail('unknown-type', `no such type: ${words.join(' ')}`, start);
    return type;
  }

  /** A struct, union or enum (with or without its body), or a name. */
  private namedType(): CType {
    const token = this.take();
    if (token.text === 'struct' || token.text === 'union') return this.record(token.text);
    if (token.text === 'enum') return this.enumeration();
    if (this.types.broken.has(token.text)) this.spoiled = true;
    const type = this.types.names.get(token.text);
    if (type !== undefined) return type;
    if (this.token.text === '::') this.expect(token.text);
    this.spoiled = true;
    if (!this.types.broken.has(token.text)) {
      this.report(
        'unknown-type',
        `unknown type ${token.text}`,
        token,
        didYouMean(token.text, this.types.names.keys()) ?? `declare ${token.text} under types`,
      );
    }
    return int(8, false);
  }

  private tag(kind: 'struct' | 'union' | 'enum', make: () => CType): { type: CType; name: string } {
    while (DECORATIONS.has(this.token.text)) this.take();
    const name = this.token.kind === 'word' ? this.take().text : '';
    if (name === '') {
      if (this.token.text !== '{') this.fail('c-syntax', `expected a name behind ${kind}`, this.token);
      return { type: make(), name };
    }
    const key = `${kind} ${name}`;
    const type = this.types.tags.get(key) ?? make();
    this.types.tags.set(key, type);
    if (this.types.broken.has(name)) this.spoiled = true;
    if (!this.types.names.has(name)) this.declare(name, type);
    return { type, name };
  }

  private declare(name: string, type: CType): void {
    this.types.names.set(name, type);
    this.declared.push(name);
  }

  private record(kind: 'struct' | 'union'): RecordType {
    const at = this.token;
    const { type, name } = this.tag(kind, () => ({
      kind: 'record',
      name: kind,
      union: kind === 'union',
      size: 0,
      align: 1,
    }));
    const record = type as RecordType;
    if (name !== '') record.name = `${kind} ${name}`;
    if (!this.accept('{')) return record;
    if (record.members !== undefined) this.fail('duplicate-type', `${record.name} is declared twice`, at);
    const members = this.nested(() => this.members());
    if (members.length === 0) this.fail('c-syntax', `${record.name} has no members`, at);
    layOut(record, members);
    if (record.size > MAX_OBJECT) this.fail('c-syntax', `${record.name} is too large`, at);
    return record;
  }

  private members(): { name: string; type: CType }[] {
    const found = new Map<string, { name: string; type: CType }>();
    let unnamed = 0;
    while (!this.accept('}')) {
      const base = this.specifiers();
      if (base.kind === 'record' && this.accept(';')) {
        found.set(` ${unnamed++}`, { name: '', type: base });
        continue;
      }
      do {
        const declarator = this.declarator();
        if (this.token.text === ':')
          this.fail(
            'unsupported-bitfield',
            'bit-fields are not supported',
            this.token,
            'declare the whole integer as one member',
          );
        const token = declaredName(declarator);
        if (token === undefined) this.fail('c-syntax', 'expected the name of a member', this.token);
        const name = token.text;
        const type = this.apply(declarator, base);
        if (!isComplete(type))
          this.fail(
            'incomplete-type',
            `${name} has no complete type`,
            token,
            `declare the members of ${spell(type)} first`,
          );
        if (found.has(name)) this.fail('duplicate-member', `member ${name} is declared twice`, token);
        found.set(name, { name, type });
      } while (this.accept(','));
      this.expect(';');
    }
    return [...found.values()];
  }

  /** GCC and Clang give an enum `unsigned int` unless an enumerator is negative; the width is 4 bytes. */
  private enumeration(): CType {
    const { type } = this.tag('enum', () => int(4, false));
    if (!this.accept('{')) return type;
    while (!this.accept('}')) {
      const token = this.take();
      if (token.kind === 'end') this.fail('c-syntax', 'enum without }', token);
      if (token.text === '-') (type as IntType).signed = true;
    }
    return type;
  }

  private declarator(): Declarator {
    return this.nested(() => {
      const declarator: Declarator = { pointers: 0, suffixes: [] };
      const start = this.token;
      for (;;) {
        if (this.accept('*')) declarator.pointers++;
        else if (QUALIFIERS.has(this.token.text) || DECORATIONS.has(this.token.text)) this.take();
        else break;
      }
      if (this.token.text === '&')
        this.fail(
          'c-syntax',
          'C++ reference in a C declaration',
          this.token,
          'a reference is passed as a pointer: write *',
        );
      if (this.token.kind === 'word' && this.token.text !== '__dv') declarator.name = this.take();
      else if (this.token.text === '(' && ['*', '('].includes(this.skipDecorations().text)) {
        this.take();
        declarator.inner = this.declarator();
        this.expect(')');
      }
      this.suffixes(declarator);
      if (declarator.pointers + declarator.suffixes.length > MAX_NESTING) {
        this.fail('c-syntax', 'declaration is nested too deeply', start);
      }
      return declarator;
    });
  }

  /** First token behind `(` that is no decoration: `(CUDART_CB *name)` is a pointer to function. */
  private skipDecorations(): Token {
    let distance = 1;
    while (DECORATIONS.has(this.ahead(distance).text)) distance++;
    return this.ahead(distance);
  }

  private suffixes(declarator: Declarator): void {
    for (;;) {
      const at = this.token;
      if (this.accept('[')) declarator.suffixes.push({ kind: 'array', length: this.arrayLength(), at });
      else if (this.accept('(')) declarator.suffixes.push({ kind: 'function', params: this.parameters() });
      else return;
    }
  }

  private arrayLength(): number {
    if (this.accept(']')) return 0;
    const token = this.take();
    const match = /^(0[xX][0-9a-fA-F]+|[1-9][0-9]*|0)[uUlL]*$/.exec(token.text);
    if (match === null)
      this.fail('c-syntax', 'array length is not a number', token, 'write the number itself');
    this.expect(']');
    return Number(match[1]);
  }

  private parameters(): Param[] {
    const params: Param[] = [];
    if (this.accept(')')) return params;
    if (this.token.text === 'void' && this.ahead().text === ')') {
      this.position += 2;
      return params;
    }
    do {
      if (this.token.text === '...') {
        if (this.where === 'prototype') {
          this.report(
            'variadic',
            'variadic function',
            this.token,
            'its arguments cannot be located: remove the probe',
          );
        }
        this.take();
        break;
      }
      params.push(this.parameter(params));
    } while (this.accept(','));
    this.expect(')');
    return params;
  }

  private parameter(earlier: readonly Param[]): Param {
    const at = this.token;
    const base = this.specifiers();
    const declarator = this.declarator();
    this.skipDefault();
    const type = this.decay(this.apply(declarator, base));
    const name = declaredName(declarator)?.text;
    if (this.where === 'prototype') {
      if (declarator.inner !== undefined && type.kind === 'pointer') {
        this.report(
          'function-pointer',
          `parameter ${name ?? ''} is a function pointer written out`.replace('  ', ' '),
          at,
          'typedef it under types and use the name here',
        );
      }
      if (name !== undefined && earlier.some((param) => param.name === name)) {
        this.report('duplicate-parameter', `two parameters are named ${name}`, at);
      }
      if (!isComplete(type)) this.reportIncomplete(type, at);
    }
    return name === undefined ? { type } : { name, type };
  }

  private reportIncomplete(type: CType, at: Token): void {
    this.spoiled = true;
    const tag = type.kind === 'record' ? (type.name.split(' ')[1] ?? '') : '';
    if (this.types.broken.has(tag)) return;
    this.report(
      'incomplete-type',
      `${spell(type)} is passed by value but its members are not declared`,
      at,
      `declare ${spell(type)} under types`,
    );
  }

  /** A default argument, C++ (`= 0`) or CUDA (`__dv(0)`) style. */
  private skipDefault(): void {
    const first = this.token.text;
    if (first !== '=' && first !== '__dv') return;
    let depth = 0;
    while (this.token.kind !== 'end') {
      if (depth === 0 && (this.token.text === ',' || this.token.text === ')')) return;
      const { text } = this.take();
      if (text === '(') depth++;
      if (text === ')') depth--;
    }
  }

  private pointersTo(base: CType, count: number): CType {
    let type = base;
    for (let index = 0; index < count; index++) type = { kind: 'pointer', to: type };
    return type;
  }

  private apply(declarator: Declarator, base: CType): CType {
    let type = this.pointersTo(base, declarator.pointers);
    for (const suffix of [...declarator.suffixes].reverse()) {
      if (suffix.kind === 'function') {
        type = FUNCTION;
        continue;
      }
      type = { kind: 'array', of: type, length: suffix.length };
      if (sizeOf(type) > MAX_OBJECT) this.fail('c-syntax', 'array is too large', suffix.at);
    }
    return declarator.inner === undefined ? type : this.apply(declarator.inner, type);
  }

  /** Adjustment of parameters, C11 6.7.6.3: arrays and functions become pointers. */
  private decay(type: CType): CType {
    if (type.kind === 'array') return { kind: 'pointer', to: type.of };
    if (type.kind === 'function') return { kind: 'pointer', to: type };
    return type;
  }
}
