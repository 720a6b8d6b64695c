import { visible } from '../query/visible.js';
import type { ConvertReport } from './old-capture.js';
import type { MigrateReport } from './run.js';

const count = (n: number, what: string): string => `${n.toLocaleString('en')} ${what}${n === 1 ? '' : 's'}`;

/** What a migration did, as lines for a reader. */
export function describeReport(report: MigrateReport | ConvertReport): string[] {
  return 'accounting' in report ? describeConversion(report) : describeMigration(report);
}

function describeMigration(report: MigrateReport): string[] {
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

function describeConversion(report: ConvertReport): string[] {
  const file = visible(report.file);
  const output = visible(report.output);
  const from = `Go agent, schema ${report.from_schema}`;
  const events = count(report.events, 'event');
  const caveats = [
    ...report.salvage.map(
      ({ source_table, damaged_places, recovered_rows }) =>
        `  damaged: ${visible(source_table)}: ${count(damaged_places, 'place')} could not be read${
          recovered_rows === 0 ? '' : `, ${count(recovered_rows, 'row')} found elsewhere`
        }`,
    ),
    ...report.notes.map((note) => `  note: ${visible(note)}`),
  ];
  if (report.state === 'convertible') {
    return [
      `${file}: ${from}, ${count(report.runs, 'run')}, ${events}; would be written to ${output}.`,
      ...caveats,
    ];
  }
  const left = report.accounting.filter(({ reason }) => reason !== null);
  const sum = (lines: readonly { source_rows: number }[]): number =>
    lines.reduce((total, { source_rows }) => total + source_rows, 0);
  const rows = sum(report.accounting);
  return [
    `${file}: ${from}, ${count(report.runs, 'run')}, ${events}, ${report.seconds.toFixed(1)} s`,
    `  ${count(rows, 'row')} read = ${(rows - sum(left)).toLocaleString('en')} converted + ${sum(left).toLocaleString('en')} left out; counted again in the new file`,
    ...left.map(
      ({ source_table, source_rows, reason }) =>
        `  left out: ${source_rows.toLocaleString('en')} of ${visible(source_table)}: ${visible(reason ?? '')}`,
    ),
    ...caveats,
    `  written to ${output}; the original is unchanged`,
  ];
}
