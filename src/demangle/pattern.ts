import { demangle } from './itanium.js';

/** Words of a demangled name that need not be in the symbol: it has letters for them. */
const ABBREVIATED = new Set(
  `std allocator basic_string char_traits basic_istream basic_ostream basic_iostream anonymous namespace operator
   lambda unnamed type void bool char short int long float double signed unsigned const volatile auto decltype
   nullptr true false`.split(/\s+/),
);

/** Functions of a library that a pattern on demangled names stands for. */
export interface PatternMatches {
  symbols: string[];
  /** Symbols with the pattern's words in them that could not be read. */
  unread: number;
}

/** Finds by a pattern on demangled C++ names, in which `*` stands for any characters. */
export class DemangledPattern {
  readonly #word: string;

  constructor(readonly pattern: string) {
    const words = (pattern.match(/[A-Za-z_]\w*/g) ?? []).filter((word) => !ABBREVIATED.has(word));
    this.#word = words.reduce((longest, word) => (word.length > longest.length ? word : longest), '');
  }

  /** Whether a symbol may fit, by a glance: it has the pattern's longest word in it. */
  mayMatch(symbol: string): boolean {
    return symbol.startsWith('_Z') && symbol.includes(this.#word);
  }

  /** Those of these symbols that fit. Pieces of functions (`.cold`, `.part.0`) never do. */
  matches(symbols: Iterable<string>): PatternMatches {
    const found: PatternMatches = { symbols: [], unread: 0 };
    for (const symbol of symbols) {
      if (!this.mayMatch(symbol) || symbol.includes('.')) continue;
      const name = demangle(symbol);
      if (name === null) found.unread += isFunctionName(symbol) ? 1 : 0;
      else if (matchesGlob(this.pattern, name)) found.symbols.push(symbol);
    }
    return found;
  }
}

/** Virtual tables, type names, guards and thunks are no functions a pattern could mean. */
function isFunctionName(symbol: string): boolean {
  return !/^_Z(T|GV|GR|GTt)/.test(symbol);
}

/** Whether a text is `pattern`, in which `*` stands for any characters. Takes at most length x length steps. */
export function matchesGlob(pattern: string, text: string): boolean {
  let at = 0;
  let place = 0;
  let star = -1;
  let retry = 0;
  while (at < text.length) {
    if (pattern[place] === '*') {
      star = place++;
      retry = at;
    } else if (pattern[place] === text[at]) {
      place++;
      at++;
    } else if (star >= 0) {
      place = star + 1;
      at = ++retry;
    } else return false;
  }
  while (pattern[place] === '*') place++;
  return place === pattern.length;
}
