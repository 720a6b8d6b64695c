import type { PackProblem } from './model.js';

/** Columns of a source line that are shown. */
const WINDOW = 120;

/**
 * Prints problems the way compilers do: place, rule, message, the source line with a caret, and a hint.
 */
export function formatProblems(problems: readonly PackProblem[]): string {
  return problems.map(formatProblem).join('\n\n');
}

function formatProblem(problem: PackProblem): string {
  const { path, line, column, rule, message, snippet, suggestion } = problem;
  const lines = [`${path}:${line}:${column}: error: ${message} [${rule}]`];
  if (snippet.trim() !== '') {
    const { text, caret } = windowed(snippet, column - 1);
    const gutter = String(line).padStart(6);
    lines.push(`${gutter} | ${text}`, `${' '.repeat(gutter.length)} | ${caret}^`);
  }
  if (suggestion !== undefined) lines.push(`${' '.repeat(7)}= ${suggestion}`);
  return lines.join('\n');
}

/** The part of a long line around a column, and the blanks that put a caret under it. */
function windowed(snippet: string, column: number): { text: string; caret: string } {
  const start = column < WINDOW ? 0 : column - WINDOW / 2;
  const text = snippet.slice(start, start + WINDOW);
  // Tabs are repeated so that the caret lines up whatever their width.
  const caret = snippet.slice(start, Math.min(column, snippet.length)).replaceAll(/[^\t]/g, ' ');
  return { text, caret };
}
