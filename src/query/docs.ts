import type { NamedQuery } from './header.js';
import type { QueryLibrary } from './library.js';

const tableCell = (text: string): string => text.replaceAll('|', '\\|');
const row = (cells: readonly string[]): string => `| ${cells.map(tableCell).join(' | ')} |`;

/** One query as Markdown: everything its header says. `heading` is the level of its title. */
export function renderQuery(query: NamedQuery, heading = 2): string {
  const lines = [
    `${'#'.repeat(heading)} ${query.name}`,
    '',
    `**${query.title}.** ${query.question}`,
    '',
    `- Reads: ${query.requires.tables.map((table) => `\`${table}\``).join(', ')} (schema ${query.requires.schema} or newer)`,
    `- Fidelity: ${query.fidelity.level}. ${query.fidelity.why}`,
  ];
  if (query.nsys !== undefined) lines.push(`- Nsight Systems: \`${query.nsys}\``);
  if (query.next.length > 0) lines.push(`- Next: ${query.next.map((name) => `\`${name}\``).join(', ')}`);
  if (query.interpret !== undefined) lines.push('', query.interpret);
  if (query.params.length > 0) {
    lines.push('', row(['parameter', 'type', 'default', 'unit', '']), '|---|---|---|---|---|');
    for (const param of query.params) {
      lines.push(
        row([`\`${param.name}\``, param.type, param.default ?? 'null', param.unit ?? '', param.doc]),
      );
    }
  }
  lines.push('', row(['column', 'unit', '']), '|---|---|---|');
  for (const column of query.columns) lines.push(row([`\`${column.name}\``, column.unit ?? '', column.doc]));
  return `${lines.join('\n')}\n`;
}

/** docs/queries.md: the whole library. Regenerate it with `npx vitest run test/query/docs.test.ts -u`. */
export function renderQueriesDoc(library: QueryLibrary): string {
  const queries = [...library.values()];
  const index = queries.map((query) => row([`[${query.name}](#${query.name})`, query.question]));
  return `${[
    '# Named queries',
    '',
    '<!-- Generated from the headers of queries/*.sql; the test in test/query/docs.test.ts keeps it fresh. -->',
    '',
    'Run one with `ingero run-query NAME FILE [--param name=value]`. `ingero queries show NAME` prints its documentation and SQL.',
    'Durations are time in the call on the host; what the GPU does meanwhile is not seen.',
    '',
    'Fidelity: **exact** counts what was recorded; **derived** computes from it by the stated rule; **proxy** stands for',
    'something that cannot be seen from the host; **heuristic** may be wrong and says when.',
    '',
    row(['query', 'question']),
    '|---|---|',
    ...index,
  ].join('\n')}\n\n${queries.map((query) => renderQuery(query)).join('\n')}`;
}
