import type { HeaderToken } from './header-lexer.js';

const BINARY: readonly Readonly<Record<string, (a: number, b: number) => number>>[] = [
  { '||': (a, b) => Number(a !== 0 || b !== 0) },
  { '&&': (a, b) => Number(a !== 0 && b !== 0) },
  { '|': (a, b) => a | b },
  { '^': (a, b) => a ^ b },
  { '&': (a, b) => a & b },
  { '==': (a, b) => Number(a === b), '!=': (a, b) => Number(a !== b) },
  {
    '<': (a, b) => Number(a < b),
    '>': (a, b) => Number(a > b),
    '<=': (a, b) => Number(a <= b),
    '>=': (a, b) => Number(a >= b),
  },
  { '<<': (a, b) => a * 2 ** b, '>>': (a, b) => Math.floor(a / 2 ** b) },
  { '+': (a, b) => a + b, '-': (a, b) => a - b },
  { '*': (a, b) => a * b, '/': (a, b) => Math.trunc(a / b), '%': (a, b) => a % b },
];

/** Deepest nesting of brackets and signs that is followed. */
const MAX_DEPTH = 50;

/**
 * The value of a constant integer expression; undefined when it is none that can be worked out. `lookUp` gives
 * the value of a name, undefined when it has none.
 */
export function constantValue(
  tokens: readonly HeaderToken[],
  lookUp: (name: string) => number | undefined,
): number | undefined {
  let position = 0;
  let depth = 0;
  const accept = (text: string): boolean => tokens[position]?.text === text && ++position > 0;

  function binary(level: number): number | undefined {
    const operators = BINARY[level];
    if (operators === undefined) return unary();
    let left = binary(level + 1);
    for (;;) {
      const operate = operators[tokens[position]?.text ?? ''];
      if (operate === undefined || left === undefined) return left;
      position++;
      const right = binary(level + 1);
      left = right === undefined ? undefined : operate(left, right);
    }
  }

  function unary(): number | undefined {
    if (++depth > MAX_DEPTH) return undefined;
    const value = operand();
    depth--;
    return value;
  }

  function operand(): number | undefined {
    if (accept('!')) return negated(unary());
    if (accept('-')) return minus(unary());
    if (accept('+')) return unary();
    if (accept('(')) {
      const value = binary(0);
      return accept(')') ? value : undefined;
    }
    const token = tokens[position++];
    if (token?.kind === 'word') return lookUp(token.text);
    const digits = /^(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*$/.exec(token?.text ?? '')?.[1];
    if (digits === undefined) return undefined;
    return /^0[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number(digits);
  }

  const value = binary(0);
  return position === tokens.length && value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}

function negated(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Number(value === 0);
}

function minus(value: number | undefined): number | undefined {
  return value === undefined ? undefined : -value;
}
