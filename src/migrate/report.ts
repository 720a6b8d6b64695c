import { visible } from '../query/visible.js';
import type { MigrateReport } from './run.js';

const count = (n: number, what: string): string => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;

/** What a migration did, as lines for a reader. */
export function describeReport(report: MigrateReport): string[] {
  const file = visible(report.file);
  const output = report.output === null ? '' : visible(report.output);
  const step = `schema ${report.from_schema} to ${report.to_schema}`;
  const lost =
    report.not_copied.length === 0
      ? []
      : [`  not copied, as no schema version has them: ${report.not_copied.map(visible).join(', ')}`];
  const events = count(report.events, 'event');
  switch (report.state) {
    case 'current':
      return [`${file} has schema ${report.to_schema} already; nothing was written.`];
    case 'planned':
      return [`${file}: ${step}, ${events}; would be written to ${output}.`, ...lost];
    case 'migrated':
      return [
        `${file}: ${step}, ${events}, ${report.seconds.toFixed(1)} s`,
        `  ${count(report.tables.length, 'table')} verified: row counts and checksums equal the original's`,
        `  written to ${output}${output === file ? '' : '; the original is unchanged'}`,
        ...lost,
      ];
  }
}
