import type { NamedQuery } from './named-query.js';
import { rangeText } from './param-type.js';

const tableCell = (text: string): string => text.replaceAll('|', '\\|');
const codes = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');

const SAMPLING: Readonly<Record<NamedQuery['sampling'], string>> = {
  weighted: 'counts and sums are weighted: each recorded call stands for `sample_weight` calls.',
  rows: 'those that were left out are not shown.',
  pairs: 'calls are related to each other; do not rely on it for operations that were sampled.',
  none: 'it reads nothing that is sampled.',
};

const row = (cells: readonly string[]): string => `| ${cells.map(tableCell).join(' | ')} |`;

/** One query as Markdown: everything its header says. `heading` is the level of its title. */
export function renderQuery(query: NamedQuery, heading = 2): string {
  const lines = [
    `${'#'.repeat(heading)} ${query.name}`,
    '',
    `**${query.title}.** ${query.question}`,
    '',
    `- Reads: ${codes(query.requires.tables)} (schema ${query.requires.schema} or newer)${query.packs.length === 0 ? '' : `, recorded by ${codes(query.packs)}`}`,
    `- Fidelity: ${query.fidelity.level}. ${query.fidelity.why}`,
  ];
  if (query.ops.length > 0) lines.push(`- Applies when one of these was probed: ${codes(query.ops)}`);
  if (query.discovery !== undefined)
    lines.push(`- Applies unless this gives a reason: \`${query.discovery}\``);
  lines.push(`- Sampled calls: ${SAMPLING[query.sampling]}`);
  if (query.nsys !== undefined) lines.push(`- Nsight Systems: \`${query.nsys}\``);
  if (query.next.length > 0) lines.push(`- Next: ${query.next.map((name) => `\`${name}\``).join(', ')}`);
  if (query.interpret !== undefined) lines.push('', query.interpret);
  if (query.params.length > 0) {
    lines.push('', row(['parameter', 'type', 'default', 'range', 'unit', '']), '|---|---|---|---|---|---|');
    for (const param of query.params) {
      lines.push(
        row([
          `\`${param.name}\``,
          param.type,
          param.default ?? 'null',
          param.range === undefined ? '' : rangeText(param.range),
          param.unit ?? '',
          param.doc,
        ]),
      );
    }
  }
  lines.push('', row(['column', 'unit', '']), '|---|---|---|');
  for (const column of query.columns) lines.push(row([`\`${column.name}\``, column.unit ?? '', column.doc]));
  return `${lines.join('\n')}\n`;
}

/** docs/queries.md: the whole library. Regenerate it with `npx vitest run test/query/docs.test.ts -u`. */
export function renderQueriesDoc(library: ReadonlyMap<string, NamedQuery>): string {
  const queries = [...library.values()];
  const index = queries.map((query) => row([`[${query.name}](#${query.name})`, query.question]));
  return `${[
    '# Named queries',
    '',
    '<!-- Generated from the headers of queries/*.sql; the test in test/query/docs.test.ts keeps it fresh. -->',
    '',
    'Run one with `ingero run-query NAME FILE`, its parameters as flags of their own (`--min-ms 5`) or as `--param min_ms=5`.',
    '`ingero queries show NAME` prints its documentation and SQL, `ingero queries --capture FILE` says which ones apply to a capture.',
    '[writing-queries.md](writing-queries.md) says how to write one of your own.',
    '',
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
