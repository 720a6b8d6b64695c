import type { CaptureInfo, Fields } from './info.js';
import { humanize } from './units.js';
import { visible } from './visible.js';

const number = (value: number): string => value.toLocaleString('en');
const text = (value: unknown): string =>
  value === null || value === undefined ? 'unknown' : visible(String(value));
const count = (n: number, one: string, many: string): string => `${number(n)} ${n === 1 ? one : many}`;

/** What a capture file is, as lines for a reader. */
export function infoLines(info: CaptureInfo): string[] {
  const field = (name: string, value: string): string => `  ${name.padEnd(10)}${value}`;
  const size = humanize(info.bytes, 'bytes');
  const wal = info.wal_bytes === null ? '' : ` and ${humanize(info.wal_bytes, 'bytes')} in its .wal`;
  return [
    `${visible(info.file)}: ${size}${wal}, schema ${info.schema_version}${info.recording ? ', being recorded' : ''}`,
    ...info.runs.flatMap((run) => runLines(run, info).map(([name, value]) => field(name, value))),
    ...info.packs.map((pack) =>
      field(
        'pack',
        `${text(pack.pack)} ${text(pack.version)} (${text(pack.layer)}, into ${text(pack.event_table)})`,
      ),
    ),
    field('probes', states(info.probes)),
    field('libraries', states(info.libraries)),
    field('calls', accountingText(info)),
    ...info.schema_migrations
      .slice(1)
      .map((step) =>
        field(
          'migrated',
          `to schema ${text(step.version)} on ${time(step.applied_at)} by ingero ${text(step.ingero_version)}`,
        ),
      ),
    ...info.tables
      .filter(({ rows, kind }) => kind === 'events' || rows > 0)
      .map(({ table, kind, rows }) =>
        field(kind === 'events' ? 'events' : 'table', `${visible(table)}: ${count(rows, 'row', 'rows')}`),
      ),
    ...(info.missing.length === 0
      ? []
      : [field('missing', `${info.missing.join(', ')}: not a whole capture`)]),
  ];
}

function runLines(run: Fields, info: CaptureInfo): [string, string][] {
  const ended =
    run.end_detail === null ? text(run.end_reason) : `${text(run.end_reason)} (${text(run.end_detail)})`;
  const host = `${text(run.hostname)} (Linux ${text(run.kernel)}, ${text(run.arch)}, ${text(run.cpu_count)} CPUs)`;
  return [
    ...(info.runs.length > 1 ? [['run', text(run.run_id)] as [string, string]] : []),
    ['capture', text(run.capture_id)],
    [
      'recorded',
      `${time(run.started_at)} to ${time(run.ended_at)} UTC by ingero ${text(run.ingero_version)}`,
    ],
    ['host', host],
    ['target', text(run.target)],
    ['ended', run.end_reason === 'cut-off' && info.recording ? 'not yet' : ended],
  ];
}

/** Times come as `2026-11-24T22:42:28.408361442Z` or with a space; a second is enough here. */
function time(value: unknown): string {
  return value === null || value === undefined ? '?' : text(value).replace('T', ' ').slice(0, 19);
}

function states(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).map(([state, n]) => `${number(n)} ${visible(state)}`);
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function accountingText({ accounting }: CaptureInfo): string {
  if (accounting === null) return 'not counted: the recorder was cut off, or another tool recorded them';
  const { hits, rows, filtered, sampled, lost, balanced } = accounting;
  return `${number(hits)} hits = ${number(rows)} rows + ${number(filtered)} filtered + ${number(sampled)} sampled + ${number(lost)} lost${
    balanced ? '' : ' - DOES NOT ADD UP'
  }`;
}
