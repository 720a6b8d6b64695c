import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  visit,
} from 'yaml';
import type { PackIssue, PackPath } from './issue.js';
import type { PackProblem } from './model.js';

/** Aliases a file may use before it is taken for an attack ("billion laughs"). */
const MAX_ALIASES = 100;
/** Longest line that is repeated in a problem. */
const MAX_SNIPPET = 400;

/** A YAML text whose values can be traced back to lines and columns. */
export class PackDocument {
  readonly #path: string;
  readonly #text: string;
  readonly #lines = new LineCounter();
  #parsed: Document | undefined;

  constructor(text: string, path: string) {
    this.#text = text;
    this.#path = path;
  }

  /** YAML 1.2, parsed when it is first needed. Throws RangeError when the text is nested too deeply for the parser. */
  get #document(): Document {
    this.#parsed ??= parseDocument(this.#text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      // The library compares every pair of keys; duplicateKeys() below takes one pass.
      uniqueKeys: false,
      logLevel: 'error',
    });
    // The library turns a stack overflow into an error of the document.
    if (this.#parsed.errors.some((error) => error.message.includes('call stack'))) throw new RangeError();
    return this.#parsed;
  }

  /** Syntax errors, and warnings such as unknown tags. */
  syntaxProblems(): PackProblem[] {
    return [...this.#document.errors, ...this.#document.warnings].map((error) =>
      this.problem('yaml-syntax', error.message, error.pos[0]),
    );
  }

  /** Keys written twice in one mapping: YAML forbids it and all but one would be ignored. */
  duplicateKeys(): PackProblem[] {
    const problems: PackProblem[] = [];
    visit(this.#document, {
      Map: (_, map) => {
        const seen = new Set<string>();
        for (const pair of map.items) {
          const name = keyName(pair);
          if (seen.has(name)) {
            problems.push(this.problem('duplicate-key', `key ${name} is given twice`, startOf(pair.key)));
          }
          seen.add(name);
        }
      },
    });
    return problems;
  }

  /** Aliases without an anchor before them; usually a path such as *devPtr that was not quoted. */
  brokenAliases(): PackProblem[] {
    const problems: PackProblem[] = [];
    const anchors = new Set<string>();
    visit(this.#document, {
      Value: (_, node) => {
        if (node.anchor !== undefined) anchors.add(node.anchor);
      },
      Alias: (_, alias) => {
        if (anchors.has(alias.source)) return;
        const message = `*${alias.source} is a YAML alias without an anchor`;
        const suggestion = `to name what a pointer points to, put the path in quotes: '*${alias.source}'`;
        problems.push(this.problem('yaml-syntax', message, startOf(alias), suggestion));
      },
    });
    return problems;
  }

  /** A scalar directly under the root. */
  topLevel(key: string): unknown {
    return isMap(this.#document.contents) ? this.#document.get(key) : undefined;
  }

  /** The plain value. Throws ReferenceError when it has broken aliases or too many of them. */
  value(): unknown {
    return this.#document.toJS({ maxAliasCount: MAX_ALIASES });
  }

  /** Ties an issue to the line it is on. */
  locate(issue: PackIssue): PackProblem {
    const node = this.find(issue.at, issue.key === true);
    const offset = node === undefined ? 0 : this.offsetIn(node, issue.offset ?? 0);
    return this.problem(issue.rule, issue.message, offset, issue.suggestion);
  }

  /** A problem at a character of the text. */
  problem(rule: string, message: string, offset: number, suggestion?: string): PackProblem {
    const { line, col } = this.#lines.linePos(Math.min(offset, this.#text.length));
    return makeProblem(
      rule,
      message,
      this.#path,
      Math.max(line, 1),
      Math.max(col, 1),
      this.lineAt(line),
      suggestion,
    );
  }

  private lineAt(line: number): string {
    const { lineStarts } = this.#lines;
    return this.#text.slice(lineStarts[line - 1] ?? 0, lineStarts[line]).replace(/\r?\n?$/, '');
  }

  /** The node at a path, or the nearest one above it that exists. */
  private find(path: PackPath, key: boolean): Node | undefined {
    let node: Node | undefined = this.#document.contents ?? undefined;
    for (const [depth, segment] of path.entries()) {
      const container = isAlias(node) ? node.resolve(this.#document) : node;
      let next: Node | undefined;
      if (isMap(container)) {
        const pair = container.items.find((item) => keyName(item) === String(segment));
        const wantsKey = key && depth === path.length - 1;
        next = (wantsKey || pair?.value === null ? pair?.key : pair?.value) as Node | undefined;
      } else if (isSeq(container)) {
        next = container.items[Number(segment)] as Node | undefined;
      }
      if (next === undefined) return node;
      node = next;
    }
    return node;
  }

  /** Offset in the file of a character of a scalar's value. */
  private offsetIn(node: Node, character: number): number {
    const start = startOf(node);
    if (!isScalar(node) || typeof node.value !== 'string' || character === 0) return start;
    if (node.type === 'BLOCK_LITERAL') return this.offsetInBlock(start, node.value, character);
    const quoted = node.type === 'QUOTE_DOUBLE' || node.type === 'QUOTE_SINGLE' ? 1 : 0;
    const verbatim = this.#text.startsWith(node.value, start + quoted);
    return verbatim ? start + quoted + character : start;
  }

  /** A block literal keeps its lines: the nth line of the value is the nth line behind its `|`. */
  private offsetInBlock(start: number, value: string, character: number): number {
    const before = value.slice(0, character).split('\n');
    const line = this.#lines.linePos(start).line + before.length;
    const lineStart = this.#lines.lineStarts[line - 1];
    if (lineStart === undefined) return start;
    const content = value.split('\n')[before.length - 1] ?? '';
    const indent = this.lineAt(line).indexOf(content);
    return lineStart + Math.max(indent, 0) + (before.at(-1)?.length ?? 0);
  }
}

function keyName(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
}

function startOf(node: unknown): number {
  return (node as Node | null)?.range?.[0] ?? 0;
}

/** Characters that would move the cursor, hide or reorder text in a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNPRINTABLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** Builds a problem; text from the file is made safe to print. */
export function makeProblem(
  rule: string,
  message: string,
  path: string,
  line: number,
  column: number,
  snippet: string,
  suggestion?: string,
): PackProblem {
  return {
    rule,
    message: printable(message.replaceAll('\n', ' ')),
    path: printable(path),
    line,
    column,
    snippet: printable(snippet).slice(0, MAX_SNIPPET),
    ...(suggestion === undefined ? {} : { suggestion: printable(suggestion.replaceAll('\n', ' ')) }),
  };
}

function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, '\ufffd');
}
