import { type TextIssue, withSuggestion } from './issue.js';
import type { Token } from './lexer.js';

/** Longest chain of nested declarators, parameter lists and structs that is followed. */
export const MAX_NESTING = 24;

const END: Token = { kind: 'end', text: '', offset: 0 };

/** Ends the declaration being read; caught where declarations begin. */
export class DeclarationError extends Error {
  constructor(readonly issue: TextIssue) {
    super(issue.message);
  }
}

/** A place in a list of tokens, and the defects found so far. */
export class TokenCursor {
  readonly issues: TextIssue[] = [];
  protected position = 0;
  protected nesting = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  get token(): Token {
    return this.ahead(0);
  }

  protected ahead(distance = 1): Token {
    return this.tokens[this.position + distance] ?? END;
  }

  protected take(): Token {
    const token = this.token;
    if (token.kind !== 'end') this.position++;
    return token;
  }

  protected accept(text: string): boolean {
    if (this.token.kind === 'end' || this.token.text !== text) return false;
    this.position++;
    return true;
  }

  protected expect(text: string): void {
    if (this.accept(text)) return;
    if (this.token.text === '::') {
      this.fail(
        'c-syntax',
        'C++ name in a C declaration',
        this.token,
        'give the function a plain name and its mangled name under symbols',
      );
    }
    const found = this.token.kind === 'end' ? 'the end of the text' : JSON.stringify(this.token.text);
    this.fail('c-syntax', `expected ${JSON.stringify(text)}, found ${found}`, this.token);
  }

  /** Gives the declaration up. */
  protected fail(rule: string, message: string, at: Token, suggestion?: string): never {
    throw new DeclarationError(withSuggestion({ rule, message, offset: at.offset }, suggestion));
  }

  /** Notes a defect that does not keep the rest from being read. */
  protected report(rule: string, message: string, at: Token, suggestion?: string): void {
    this.issues.push(withSuggestion({ rule, message, offset: at.offset }, suggestion));
  }

  /** Counts the levels of what can contain itself: hostile text must not exhaust the stack. */
  protected nested<T>(read: () => T): T {
    if (++this.nesting > MAX_NESTING) this.fail('c-syntax', 'declaration is nested too deeply', this.token);
    const result = read();
    this.nesting--;
    return result;
  }
}
