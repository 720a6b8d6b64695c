/**
 * C++ names from the symbols of the Itanium ABI (itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling), spelled as
 * c++filt spells them. What is not understood gives null, never a guess: expressions, function types with references to
 * outer parameters, and vendor extensions are left out.
 */

/** Longest symbol that is read, and deepest nesting: what a made-up symbol can cost is bounded. */
const MAX_SYMBOL = 4096;
const MAX_DEPTH = 128;
/** Longest result: substitutions let a short symbol stand for an endless name. */
const MAX_NAME = 64 * 1024;

const BUILTINS: Readonly<Record<string, string>> = {
  v: 'void',
  w: 'wchar_t',
  b: 'bool',
  c: 'char',
  a: 'signed char',
  h: 'unsigned char',
  s: 'short',
  t: 'unsigned short',
  i: 'int',
  j: 'unsigned int',
  l: 'long',
  m: 'unsigned long',
  x: 'long long',
  y: 'unsigned long long',
  n: '__int128',
  o: 'unsigned __int128',
  f: 'float',
  d: 'double',
  e: 'long double',
  g: '__float128',
  z: '...',
};
const TWO_LETTER_BUILTINS: Readonly<Record<string, string>> = {
  Da: 'auto',
  Dc: 'decltype(auto)',
  Dn: 'decltype(nullptr)',
  Di: 'char32_t',
  Ds: 'char16_t',
  Du: 'char8_t',
  Dh: 'half',
};
const OPERATORS: Readonly<Record<string, string>> = {
  nw: ' new',
  na: ' new[]',
  dl: ' delete',
  da: ' delete[]',
  ps: '+',
  ng: '-',
  ad: '&',
  de: '*',
  co: '~',
  pl: '+',
  mi: '-',
  ml: '*',
  dv: '/',
  rm: '%',
  an: '&',
  or: '|',
  eo: '^',
  aS: '=',
  pL: '+=',
  mI: '-=',
  mL: '*=',
  dV: '/=',
  rM: '%=',
  aN: '&=',
  oR: '|=',
  eO: '^=',
  ls: '<<',
  rs: '>>',
  lS: '<<=',
  rS: '>>=',
  eq: '==',
  ne: '!=',
  lt: '<',
  gt: '>',
  le: '<=',
  ge: '>=',
  ss: '<=>',
  nt: '!',
  aa: '&&',
  oo: '||',
  pp: '++',
  mm: '--',
  cm: ',',
  pm: '->*',
  pt: '->',
  cl: '()',
  ix: '[]',
  qu: '?',
};
const STANDARD: Readonly<Record<string, string>> = {
  t: 'std',
  a: 'std::allocator',
  b: 'std::basic_string',
  s: 'std::basic_string<char, std::char_traits<char>, std::allocator<char> >',
  i: 'std::basic_istream<char, std::char_traits<char> >',
  o: 'std::basic_ostream<char, std::char_traits<char> >',
  d: 'std::basic_iostream<char, std::char_traits<char> >',
};
/** The name of a C++ function; null for other symbols and for names that are not understood. */
export function demangle(symbol: string): string | null {
  if (!symbol.startsWith('_Z') || symbol.length > MAX_SYMBOL || symbol.includes('.')) return null;
  try {
    return new Reader(symbol).symbol();
  } catch (error) {
    if (error instanceof NotUnderstood) return null;
    throw error;
  }
}

class NotUnderstood extends Error {}

/** A type as C++ writes it around a name: `int (*` name `)[3]`. */
interface TypeText {
  before: string;
  after: string;
  /** A function or an array: a `*` in front of it needs brackets. */
  isDeclarator?: boolean;
  /** The arguments a parameter pack stands for. */
  pack?: readonly TypeText[];
}

/**
 * What was read and can be named again. Where a template parameter is part of it, it means something else in another
 * function's signature: only the parameter itself is then looked up anew.
 */
interface Substitution {
  type: TypeText;
  /** The function whose parameters it depends on; null when it depends on none. */
  scope: object | null;
  /** Number of the parameter it is. */
  parameter: number | null;
}

/** A name, and what matters to a function that has it. */
interface NameText {
  text: string;
  /** The last part is a template: the first type of the signature is what the function returns. */
  isTemplate: boolean;
  /** Constructors, destructors and conversions: no return type. */
  isSpecial: boolean;
  /** ` const`, ` &` ... of a method. */
  qualifiers: string;
}

class Reader {
  #at = 2;
  #depth = 0;
  #length = 0;
  readonly #substitutions: Substitution[] = [];
  /** Arguments of the innermost template whose parameters are being read. */
  #arguments: TypeText[] = [];
  /** Within the expansion of a pack: which of its arguments is written, and how many there are once that is known. */
  #expansion: { index: number; size: number | null } | null = null;
  /** The function whose signature is being read. */
  #scope: object = {};
  /** Where the last template parameter was read. */
  #parameterAt = -1;

  constructor(readonly text: string) {}

  symbol(): string {
    const name = this.#encoding();
    if (this.#at !== this.text.length) this.#fail();
    return name;
  }

  /** A function or a variable. As the scope of a local name it is written without what it returns. */
  #encoding(withReturn = true): string {
    const name = this.#name();
    if (this.#at === this.text.length || this.#peek('E')) return name.text + name.qualifiers;
    const returns = name.isTemplate && !name.isSpecial ? this.#type() : null;
    const parameters = this.#parameters();
    const call = `${name.text}(${parameters})${name.qualifiers}`;
    if (returns === null || !withReturn) return call;
    const gap = returns.isDeclarator ? '' : ' ';
    return `${returns.before}${gap}${call}${returns.after}`;
  }

  #parameters(): string {
    const types: string[] = [];
    while (this.#at < this.text.length && !this.#peek('E') && !this.#peek('.'))
      types.push(join(this.#type()));
    if (types.length === 0) this.#fail();
    return types.length === 1 && types[0] === 'void' ? '' : types.filter((type) => type !== '').join(', ');
  }

  #name(): NameText {
    return this.#nested(() => {
      if (this.#peek('N')) return this.#nestedName();
      if (this.#peek('Z')) return this.#localName();
      if (this.#peek('S') && !this.#peek('St')) {
        const substituted = this.#substitution();
        return this.#withArguments({ text: join(substituted), isSpecial: false }, true);
      }
      const prefix = this.#take('St') ? 'std::' : '';
      const own = this.#unqualified(null);
      return this.#withArguments({ ...own, text: `${prefix}${own.text}` }, false);
    });
  }

  /** Template arguments behind a name that is not nested. `known`: the name is a substitution already. */
  #withArguments(own: { text: string; isSpecial: boolean }, known: boolean): NameText {
    if (!this.#peek('I')) {
      if (known) this.#fail();
      return { ...own, isTemplate: false, qualifiers: '' };
    }
    if (!known) this.#remember({ before: own.text, after: '' }, this.#at);
    return { ...own, text: this.#withTemplate(own.text), isTemplate: true, qualifiers: '' };
  }

  #nestedName(): NameText {
    this.#expect('N');
    const start = this.#at;
    const qualifiers = this.#qualifiers();
    const reference = this.#take('R') ? ' &' : this.#take('O') ? ' &&' : '';
    let text = '';
    let last = '';
    let isTemplate = false;
    let isSpecial = false;
    while (!this.#take('E')) {
      if (this.#peek('S') && !this.#peek('St')) {
        if (text !== '') this.#fail();
        text = join(this.#substitution());
        last = lastPart(text);
        isTemplate = false;
        continue;
      }
      if (this.#peek('I')) {
        if (text === '') this.#fail();
        text = this.#withTemplate(text);
        isTemplate = true;
      } else if (this.#peek('T')) {
        if (text !== '') this.#fail();
        text = join(this.#templateParameter());
        last = lastPart(text);
      } else if (this.#peek('D') && /^D[tT]/.test(this.#rest(2))) {
        this.#fail();
      } else {
        const isStd = text === '' && this.#take('St');
        if (isStd) {
          text = 'std';
          last = 'std';
          if (this.#peek('I') || this.#peek('E')) this.#fail();
          continue;
        }
        const own = this.#unqualified(last);
        text = text === '' ? own.text : `${text}::${own.text}`;
        last = own.bare ?? own.text;
        isSpecial = own.isSpecial;
        isTemplate = false;
      }
      this.#bound(text);
      if (!this.#peek('E')) this.#remember({ before: text, after: '' }, start);
    }
    if (text === '') this.#fail();
    return { text, isTemplate, isSpecial, qualifiers: qualifiers + reference };
  }

  #localName(): NameText {
    this.#expect('Z');
    const outerArguments = this.#arguments;
    const scope = this.#scope;
    this.#scope = {};
    const outer = this.#encoding(false);
    this.#scope = scope;
    this.#expect('E');
    if (this.#take('s')) {
      this.#discriminator();
      return { text: `${outer}::string literal`, isTemplate: false, isSpecial: false, qualifiers: '' };
    }
    if (this.#peek('d')) this.#fail();
    const inner = this.#name();
    this.#discriminator();
    this.#arguments = inner.isTemplate ? this.#arguments : outerArguments;
    return { ...inner, text: `${outer}::${inner.text}` };
  }

  #discriminator(): void {
    const match = /^_(?:\d|_\d+_)/.exec(this.text.slice(this.#at, this.#at + 16));
    if (match !== null) this.#at += match[0].length;
  }

  #unqualified(last: string | null): { text: string; isSpecial: boolean; bare?: string } {
    const start = this.text[this.#at] ?? '';
    if (start === 'L') this.#at++;
    const first = this.text[this.#at] ?? '';
    if (first >= '0' && first <= '9') {
      const name = this.#sourceName();
      return { text: this.#tagged(name), bare: name, isSpecial: false };
    }
    if (first === 'C' && last !== null) {
      if (!/^C[1-5]$/.test(this.#rest(2))) this.#fail();
      this.#at += 2;
      return { text: this.#tagged(last), isSpecial: true };
    }
    if (first === 'D' && last !== null && /^D[0-5]$/.test(this.#rest(2))) {
      this.#at += 2;
      return { text: this.#tagged(`~${last}`), isSpecial: true };
    }
    if (first === 'U') return { text: this.#unnamed(), isSpecial: false };
    if (first === 'c' && this.#rest(2) === 'cv') {
      this.#at += 2;
      // A conversion to a parameter of its own template would have to be read twice.
      if (this.#peek('T')) this.#fail();
      return { text: `operator ${join(this.#type())}`, isSpecial: true };
    }
    if (this.#rest(2) === 'li') {
      this.#at += 2;
      return { text: `operator"" ${this.#sourceName()}`, isSpecial: false };
    }
    const operator = OPERATORS[this.#rest(2)];
    if (operator === undefined) return this.#fail();
    this.#at += 2;
    return { text: this.#tagged(`operator${operator}`), isSpecial: false };
  }

  #tagged(name: string): string {
    let text = name;
    while (this.#take('B')) text += `[abi:${this.#sourceName()}]`;
    return text;
  }

  #sourceName(): string {
    const digits = /^\d{1,5}/.exec(this.text.slice(this.#at, this.#at + 6))?.[0];
    if (digits === undefined) return this.#fail();
    this.#at += digits.length;
    const name = this.text.slice(this.#at, this.#at + Number(digits));
    if (name.length !== Number(digits) || name === '') this.#fail();
    this.#at += name.length;
    return name.startsWith('_GLOBAL__N') ? '(anonymous namespace)' : name;
  }

  #unnamed(): string {
    if (this.#take('Ut')) return `{unnamed type#${this.#sequence()}}`;
    this.#expect('Ul');
    const parameters = this.#parameters();
    this.#expect('E');
    return `{lambda(${parameters})#${this.#sequence()}}`;
  }

  /** `_` is the first, `0_` the second. */
  #sequence(): number {
    const digits = /^(\d{0,6})_/.exec(this.text.slice(this.#at, this.#at + 8));
    if (digits === null) return this.#fail();
    this.#at += digits[0].length;
    return digits[1] === '' ? 1 : Number(digits[1]) + 2;
  }

  /** A name and its template arguments: `operator<< <char>`. */
  #withTemplate(name: string): string {
    return `${name}${name.endsWith('<') ? ' ' : ''}${this.#templateArguments()}`;
  }

  #templateArguments(): string {
    this.#expect('I');
    const list: TypeText[] = [];
    while (!this.#take('E')) list.push(this.#templateArgument());
    this.#arguments = list;
    const written = list
      .flatMap((argument) => argument.pack ?? [argument])
      .map(join)
      .filter((text) => text !== '')
      .join(', ');
    // c++filt writes no space behind an empty pack.
    const isApart = written.endsWith('>') && list.at(-1)?.pack?.length !== 0;
    return `<${written}${isApart ? ' ' : ''}>`;
  }

  #templateArgument(): TypeText {
    return this.#nested(() => {
      if (this.#take('J')) {
        const pack: TypeText[] = [];
        while (!this.#take('E')) pack.push(this.#templateArgument());
        if (pack.some((argument) => argument.pack !== undefined)) this.#fail();
        return { before: '', after: '', pack };
      }
      if (this.#peek('L')) return { before: this.#literal(), after: '' };
      if (this.#peek('X')) return this.#fail();
      return this.#type();
    });
  }

  #literal(): string {
    this.#expect('L');
    if (this.#take('_Z')) {
      const inner = this.#encoding();
      this.#expect('E');
      return inner;
    }
    const kind = this.text[this.#at] ?? '';
    const type = join(this.#type());
    const value = /^(n?)(\d+)E/.exec(this.text.slice(this.#at, this.#at + 48));
    if (value === null) return this.#fail();
    this.#at += value[0].length;
    const number = `${value[1] === 'n' ? '-' : ''}${value[2]}`;
    if (kind === 'b' && (number === '0' || number === '1')) return number === '1' ? 'true' : 'false';
    const suffix = { i: '', j: 'u', l: 'l', m: 'ul', x: 'll', y: 'ull' }[kind];
    return suffix === undefined ? `(${type})${number}` : `${number}${suffix}`;
  }

  /** A type. Parameters of templates in it are those of the function, whatever templates the type itself names. */
  #type(): TypeText {
    const own = this.#arguments;
    const type = this.#nested(() => this.#anyType());
    this.#arguments = own;
    return type;
  }

  #anyType(): TypeText {
    const first = this.text[this.#at] ?? '';
    const two = this.#rest(2);
    const builtin = BUILTINS[first];
    if (builtin !== undefined) {
      this.#at++;
      return { before: builtin, after: '' };
    }
    const builtin2 = TWO_LETTER_BUILTINS[two];
    if (builtin2 !== undefined) {
      this.#at += 2;
      return { before: builtin2, after: '' };
    }
    if (two === 'Dp') return this.#expandedPack();
    if (two === 'DF') return this.#floatN();
    if (first === 'S' && two !== 'St') return this.#substitutedType();
    const start = this.#at;
    const parameter = /^T(\d{0,4})_/.exec(this.#rest(6));
    const type = this.#compound(first);
    return this.#remember(type, start, parameter === null ? null : indexOf(parameter[1] as string));
  }

  /** `Dp` and a pattern: the pattern once for every argument of the pack that it names. */
  #expandedPack(): TypeText {
    if (this.#expansion !== null) this.#fail();
    this.#expect('Dp');
    const pattern = this.#at;
    const known = this.#substitutions.length;
    const texts: string[] = [];
    let size = 1;
    for (let index = 0; index < Math.max(1, size); index++) {
      this.#at = pattern;
      this.#substitutions.length = known;
      const expansion: { index: number; size: number | null } = { index, size: null };
      this.#expansion = expansion;
      const text = join(this.#type());
      this.#expansion = null;
      if (expansion.size === null) this.#fail();
      size = expansion.size ?? 0;
      if (size > 0) texts.push(text);
    }
    const type = { before: texts.join(', '), after: '' };
    // What the pattern made can be named again later, and would then be one of many: it belongs to no function.
    for (const made of this.#substitutions.slice(known)) Object.assign(made, { scope: {}, parameter: null });
    this.#substitutions.push({ type, scope: {}, parameter: null });
    return type;
  }

  /** What a parameter stands for; of a pack the argument whose turn it is. */
  #argumentOf(parameter: TypeText): TypeText {
    if (parameter.pack === undefined) return parameter;
    if (this.#expansion === null) return this.#fail();
    const { index, size } = this.#expansion;
    if (size !== null && size !== parameter.pack.length) this.#fail();
    this.#expansion.size = parameter.pack.length;
    return parameter.pack[index] ?? { before: '', after: '' };
  }

  #floatN(): TypeText {
    const match = /^DF(\d+)(_|x|b)/.exec(this.text.slice(this.#at, this.#at + 8));
    if (match === null) return this.#fail();
    this.#at += match[0].length;
    const [, bits, kind] = match;
    return {
      before: kind === 'b' ? 'std::bfloat16_t' : `_Float${bits}${kind === 'x' ? 'x' : ''}`,
      after: '',
    };
  }

  #substitutedType(): TypeText {
    const start = this.#at;
    const known = this.#substitution();
    if (!this.#peek('I')) return known;
    return this.#remember({ before: this.#withTemplate(join(known)), after: '' }, start);
  }

  #compound(first: string): TypeText {
    switch (first) {
      case 'P':
      case 'R':
      case 'O': {
        this.#at++;
        return pointerTo(this.#type(), { P: '*', R: '&', O: '&&' }[first]);
      }
      case 'r':
      case 'V':
      case 'K': {
        const qualifiers = this.#qualifiers();
        const inner = this.#type();
        if (inner.isDeclarator) return this.#fail();
        return { before: `${join(inner)}${qualifiers}`, after: '' };
      }
      case 'F': {
        this.#at++;
        if (this.#peek('Y')) this.#fail();
        const returns = this.#type();
        const parameters = this.#parameters();
        this.#expect('E');
        return { before: `${returns.before} `, after: `(${parameters})${returns.after}`, isDeclarator: true };
      }
      case 'A': {
        const count = /^A(\d+)_/.exec(this.text.slice(this.#at, this.#at + 24));
        if (count === null) return this.#fail();
        this.#at += count[0].length;
        const of = this.#type();
        return { before: of.before, after: ` [${count[1]}]${of.after.trimStart()}`, isDeclarator: true };
      }
      case 'T': {
        const parameter = this.#templateParameter();
        if (!this.#peek('I')) return parameter;
        return this.#fail();
      }
      case 'M':
      case 'D':
      case 'U':
      case 'u':
      case 'C':
      case 'G':
        return this.#fail();
      default: {
        const { text, qualifiers } = this.#name();
        if (qualifiers !== '') this.#fail();
        return { before: text, after: '' };
      }
    }
  }

  #templateParameter(): TypeText {
    const match = /^T(\d{0,4})_/.exec(this.text.slice(this.#at, this.#at + 8));
    if (match === null) return this.#fail();
    this.#at += match[0].length;
    return this.#parameter(indexOf(match[1] as string));
  }

  #parameter(index: number): TypeText {
    this.#parameterAt = this.#at;
    const parameter = this.#arguments[index];
    return parameter === undefined ? this.#fail() : this.#argumentOf(parameter);
  }

  #substitution(): TypeText {
    const standard = /^S([absiod])/.exec(this.#rest(2));
    if (standard !== null) {
      this.#at += 2;
      const name = STANDARD[standard[1] as string] as string;
      return { before: name, after: '' };
    }
    const match = /^S([0-9A-Z]{0,4})_/.exec(this.text.slice(this.#at, this.#at + 8));
    if (match === null) return this.#fail();
    this.#at += match[0].length;
    const index = match[1] === '' ? 0 : Number.parseInt(match[1] as string, 36) + 1;
    const known = this.#substitutions[index];
    if (known === undefined) return this.#fail();
    if (known.scope === null) return known.type;
    if (known.parameter !== null) return this.#parameter(known.parameter);
    if (known.scope !== this.#scope) return this.#fail();
    this.#parameterAt = this.#at;
    return known.type;
  }

  /** `r` restrict, `V` volatile, `K` const, in this order. */
  #qualifiers(): string {
    const written = /^r?V?K?/.exec(this.#rest(3))?.[0] ?? '';
    this.#at += written.length;
    return [...written]
      .reverse()
      .map((letter) => ({ K: ' const', V: ' volatile', r: ' __restrict__' })[letter] ?? '')
      .join('');
  }

  /** `start`: where the text of the type begins. */
  #remember(type: TypeText, start: number, parameter: number | null = null): TypeText {
    this.#bound(type.before + type.after);
    this.#substitutions.push({ type, scope: this.#parameterAt >= start ? this.#scope : null, parameter });
    return type;
  }

  #bound(text: string): void {
    this.#length += text.length;
    if (text.length > MAX_NAME || this.#length > MAX_NAME * 64) this.#fail();
  }

  #nested<T>(read: () => T): T {
    if (++this.#depth > MAX_DEPTH) this.#fail();
    const result = read();
    this.#depth--;
    return result;
  }

  #rest(count: number): string {
    return this.text.slice(this.#at, this.#at + count);
  }

  #peek(text: string): boolean {
    return this.text.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#at += text.length;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text)) this.#fail();
  }

  #fail(): never {
    throw new NotUnderstood();
  }
}

function join({ before, after }: TypeText): string {
  return before + after;
}

function pointerTo(type: TypeText, symbol: string): TypeText {
  if (type.isDeclarator) {
    const gap = type.before.endsWith(' ') ? '' : ' ';
    return { before: `${type.before}${gap}(${symbol}`, after: `)${type.after}` };
  }
  if (type.after !== '') return { before: `${type.before}${symbol}`, after: type.after };
  // A reference to a reference is the shorter one.
  if (symbol !== '*' && type.before.endsWith('&')) {
    return symbol === '&' && type.before.endsWith('&&')
      ? { before: type.before.slice(0, -1), after: '' }
      : type;
  }
  return { before: `${type.before}${symbol}`, after: '' };
}

/** The last part of a qualified name, without template arguments: `b` of `a::b<c>`. */
function lastPart(name: string): string {
  let depth = 0;
  let end = name.length;
  for (let at = name.length - 1; at >= 0; at--) {
    const character = name[at];
    if (character === '>' || character === ')') depth++;
    else if (character === '<' || character === '(') {
      depth--;
      if (depth === 0 && character === '<') end = at;
    } else if (character === ':' && depth === 0) return name.slice(at + 1, end);
  }
  return name.slice(0, end);
}

/** Number of a template parameter: `T_` is 0, `T0_` is 1. */
function indexOf(digits: string): number {
  return digits === '' ? 0 : Number(digits) + 1;
}
