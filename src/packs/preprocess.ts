import { readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { EXIT, IngeroError } from '../errors.js';
import { constantValue } from './constant.js';
import { closing, type HeaderToken, lexHeader, logicalLines, splitTokens } from './header-lexer.js';

/** A header and what it includes, after the preprocessor. */
export interface PreprocessedHeader {
  tokens: HeaderToken[];
  macros: ReadonlyMap<string, Macro>;
  /** Functions a `#define` gives another symbol: name -> symbols that are really called. */
  renamed: ReadonlyMap<string, readonly string[]>;
  /** Included files that were not found. */
  notFound: ReadonlySet<string>;
}

interface Macro {
  /** Names of the parameters; absent for a macro without a list. */
  params?: readonly string[];
  body: readonly HeaderToken[];
}

/** Largest file, most files and most tokens that are read: what goes on for ever has to end somewhere. */
const MAX_FILE_BYTES = 32 * 2 ** 20;
const MAX_FILES = 500;
const MAX_TOKENS = 4_000_000;
const MAX_EXPANSION = 16;

/** What a C compiler for 64-bit Linux defines by itself and headers ask for. */
const PREDEFINED: Readonly<Record<string, string>> = {
  __linux__: '1',
  __gnu_linux__: '1',
  __unix__: '1',
  __LP64__: '1',
  _LP64: '1',
  __GNUC__: '13',
  __GNUC_MINOR__: '0',
  __STDC__: '1',
  __STDC_VERSION__: '201112',
};

/** Headers whose types every pack knows, or that declare none a function is likely to take. */
const KNOWN_HEADERS = new Set([
  ...['stdint.h', 'stddef.h', 'stdbool.h', 'inttypes.h', 'sys/types.h', 'limits.h', 'stdlib.h', 'string.h'],
]);

/**
 * Reads a C header the way a C compiler does: conditions, includes found beside the file or in `includeDirs`, and
 * macros, except the names in `keep`. Throws `header-unreadable` when the header itself cannot be read.
 */
export function preprocessHeader(
  path: string,
  includeDirs: readonly string[],
  keep: ReadonlySet<string>,
): PreprocessedHeader {
  const reader = new Preprocessor(includeDirs, keep);
  try {
    reader.file(path);
  } catch (cause) {
    if (cause instanceof IngeroError || (cause as NodeJS.ErrnoException).code === undefined) throw cause;
    throw new IngeroError(`The header ${path} cannot be read: ${(cause as Error).message}`, {
      code: 'header-unreadable',
      exitCode: EXIT.usage,
      cause,
    });
  }
  return reader;
}

/** One `#if` ... `#endif`. */
interface Condition {
  /** Whether lines of the branch being read count. */
  active: boolean;
  /** Whether a branch has been taken, or the whole lies in one that is not. */
  done: boolean;
}

class Preprocessor implements PreprocessedHeader {
  readonly tokens: HeaderToken[] = [];
  readonly macros = new Map<string, Macro>();
  readonly renamed = new Map<string, string[]>();
  readonly notFound = new Set<string>();
  private readonly seen = new Set<string>();

  constructor(
    private readonly includeDirs: readonly string[],
    private readonly keep: ReadonlySet<string>,
  ) {
    for (const [name, value] of Object.entries(PREDEFINED)) this.macros.set(name, { body: lexHeader(value) });
  }

  file(path: string): void {
    if (this.seen.has(path) || this.seen.size >= MAX_FILES) return;
    this.seen.add(path);
    if (statSync(path).size > MAX_FILE_BYTES) {
      throw new IngeroError(`${path} is too large for a header.`, {
        code: 'header-unreadable',
        exitCode: EXIT.usage,
        expected: `at most ${MAX_FILE_BYTES} bytes`,
      });
    }
    const conditions: Condition[] = [];
    let code: string[] = [];
    const flush = (): void => {
      this.emit(lexHeader(code.join('\n')));
      code = [];
    };
    for (const line of logicalLines(readFileSync(path, 'utf8'))) {
      const isActive = conditions.every((condition) => condition.active);
      const directive = /^\s*#\s*(\w+)\s*(.*)$/.exec(line);
      if (directive === null) {
        if (isActive) code.push(line);
        continue;
      }
      const [, name = '', rest = ''] = directive;
      if (this.condition(name, rest, conditions)) continue;
      if (name === 'define') this.noteVariants(rest);
      if (!isActive) continue;
      flush();
      if (name === 'define') this.define(rest);
      else if (name === 'undef') this.macros.delete(rest.trim());
      else if (name === 'include') this.include(rest, path);
    }
    flush();
  }

  /** Whether the directive is one of the conditionals. */
  private condition(name: string, rest: string, conditions: Condition[]): boolean {
    const open = (holds: boolean): void => {
      const outside = conditions.every((condition) => condition.active);
      conditions.push({ active: outside && holds, done: !outside || holds });
    };
    const last = conditions.at(-1);
    const next = (holds: () => boolean): void => {
      if (last === undefined) return;
      last.active = !last.done && holds();
      last.done ||= last.active;
    };
    if (name === 'if') open(this.holds(rest));
    else if (name === 'ifdef') open(this.macros.has(rest.trim()));
    else if (name === 'ifndef') open(!this.macros.has(rest.trim()));
    else if (name === 'elif') next(() => this.holds(rest));
    else if (name === 'else') next(() => true);
    else if (name === 'endif') conditions.pop();
    else return false;
    return true;
  }

  private holds(expression: string): boolean {
    const known = expression.replaceAll(
      /\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))/g,
      (_, inner: string | undefined, bare: string | undefined) =>
        this.macros.has(inner ?? bare ?? '') ? '1' : '0',
    );
    // A name that is no number counts as 0; an expression that cannot be worked out does not hide declarations.
    return constantValue(this.expand(lexHeader(known), MAX_EXPANSION), () => 0) !== 0;
  }

  private define(text: string): void {
    const match = /^(\w+)(\([^)]*\))?\s*(.*)$/.exec(text);
    if (match === null) return;
    const [, name = '', list, body = ''] = match;
    const tokens = lexHeader(body);
    const only = tokens.length === 1 && tokens[0]?.kind === 'word' ? tokens[0].text : undefined;
    if (list === undefined && only !== undefined && only !== name) this.rename(name, only);
    const params = list
      ?.slice(1, -1)
      .split(',')
      .map((param) => param.trim());
    this.macros.set(name, { ...(params === undefined ? {} : { params }), body: tokens });
  }

  /**
   * CUDA's headers rename functions for programs that are compiled with a default stream per thread. Such
   * programs are traced too, so these lines count in every branch: `#define f MACRO_PTDS(f_v2)`.
   */
  private noteVariants(text: string): void {
    const match = /^(\w+)\s+\w+_PT(DS|SZ)\s*\(\s*(\w+)\s*\)\s*$/.exec(text);
    if (match === null) return;
    const [, name = '', suffix = '', symbol = ''] = match;
    this.rename(name, symbol, `${symbol}_pt${suffix.toLowerCase()}`);
  }

  private rename(name: string, ...symbols: string[]): void {
    this.renamed.set(name, [...new Set([...(this.renamed.get(name) ?? []), ...symbols])]);
  }

  private include(rest: string, from: string): void {
    const name = /^["<]([^">]+)[">]/.exec(rest.trim())?.[1];
    if (name === undefined) return;
    const path = [dirname(from), ...this.includeDirs]
      .map((folder) => join(folder, name))
      .find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile());
    if (path !== undefined) this.file(path);
    else if (!KNOWN_HEADERS.has(name)) this.notFound.add(name);
  }

  private emit(tokens: readonly HeaderToken[]): void {
    // Not spread into push(): a header has more tokens than a call may have arguments.
    for (const token of this.expand(tokens, MAX_EXPANSION)) {
      if (this.tokens.length < MAX_TOKENS) this.tokens.push(token);
    }
  }

  /** Replaces macros, `depth` levels deep. */
  private expand(tokens: readonly HeaderToken[], depth: number): HeaderToken[] {
    if (depth === 0) return [...tokens];
    const result: HeaderToken[] = [];
    for (let index = 0; index < tokens.length && result.length < MAX_TOKENS; index++) {
      const token = tokens[index] as HeaderToken;
      const macro =
        token.kind === 'word' && !this.keep.has(token.text) ? this.macros.get(token.text) : undefined;
      if (macro === undefined || (macro.params !== undefined && tokens[index + 1]?.text !== '(')) {
        result.push(token);
        continue;
      }
      let { body } = macro;
      if (macro.params !== undefined) {
        const end = closing(tokens, index + 1);
        body = this.substitute(macro, splitTokens(tokens.slice(index + 2, end), ','), depth);
        index = end;
      }
      // A macro that names itself stands for what it names.
      const namesItself = body.some(({ text }) => text === token.text);
      for (const part of namesItself ? body : this.expand(body, depth - 1)) result.push(part);
    }
    return result;
  }

  /** The body of a macro with its arguments in place: expanded first, except where `##` joins them. */
  private substitute(
    { params = [], body }: Macro,
    values: readonly HeaderToken[][],
    depth: number,
  ): HeaderToken[] {
    const result: HeaderToken[] = [];
    let isJoined = false;
    for (const [index, part] of body.entries()) {
      if (part.text === '##') {
        isJoined = true;
        continue;
      }
      const place = part.kind === 'word' ? params.indexOf(part.text) : -1;
      const value = place < 0 ? [part] : (values[place] ?? []);
      const joins = isJoined || body[index + 1]?.text === '##';
      const [first, ...rest] = place < 0 || joins ? value : this.expand(value, depth - 1);
      const last = result.at(-1);
      if (isJoined && last !== undefined && first !== undefined) {
        result.splice(-1, 1, ...lexHeader(last.text + first.text));
      } else if (first !== undefined) result.push(first);
      for (const token of rest) result.push(token);
      isJoined = false;
    }
    return result;
  }
}
