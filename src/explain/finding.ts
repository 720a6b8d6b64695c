import type { NamedQuery } from '../query/named-query.js';
import type { Json } from '../query/values.js';

/** Named queries that look for a cause of trouble begin with this, and have the columns of {@link COLUMNS}. */
export const DETECTION_PREFIX = 'find-';

/** Columns of every detection, in order. */
export const COLUMNS = [
  'finding',
  'share_pct',
  'lost_ns',
  'calls',
  'pid',
  'process',
  'rank',
  'device',
  'op',
  'site',
  'first_time',
  'last_time',
  'evidence',
] as const;

/** One finding, as `ingero explain --json` prints it. */
export interface Finding {
  /** Place in the ranking, from 1. */
  place: number;
  /** Name of the query that found it. */
  detection: string;
  title: string;
  /** What was found, in one sentence. */
  finding: string;
  /** Part of what is at stake, %: of the time recorded, of the calls, or of the memory, as the detection says. */
  share_pct: number | null;
  lost_ns: number | string | null;
  calls: number | string;
  where: {
    pid: number;
    process: string | null;
    rank: number | null;
    device: number | null;
    op: string | null;
    site: string | null;
  };
  first_time: string;
  last_time: string;
  evidence: {
    /** SQL that lists the calls. */
    sql: string;
    /** Commands that show them. */
    commands: string[];
  };
  fidelity: { level: string; why: string };
  /** What it means and what to do. */
  advice: string;
}

/** A finding that has no place yet. */
export type Unranked = Omit<Finding, 'place'>;

/** A row of a detection as a finding. `files` are the captures, for the commands that show the evidence. */
export function toFinding(
  query: NamedQuery,
  row: Readonly<Record<string, Json>>,
  files: readonly string[],
): Unranked {
  const capture = files.map(shellWord).join(' ');
  const sql = String(row.evidence);
  return {
    detection: query.name,
    title: query.title,
    finding: String(row.finding),
    share_pct: row.share_pct as number | null,
    lost_ns: row.lost_ns as number | string | null,
    calls: row.calls as number | string,
    where: {
      pid: row.pid as number,
      process: row.process as string | null,
      rank: row.rank as number | null,
      device: row.device as number | null,
      op: row.op as string | null,
      site: row.site as string | null,
    },
    first_time: String(row.first_time),
    last_time: String(row.last_time),
    evidence: {
      sql,
      commands: [`ingero query ${capture} ${shellWord(sql)}`, `ingero run-query ${query.name} ${capture}`],
    },
    fidelity: query.fidelity,
    advice: query.interpret ?? '',
  };
}

/** An argument as it is typed at a shell. */
function shellWord(text: string): string {
  if (/^[\w./:@%+=-]+$/.test(text)) return text;
  return /[$"`\\!]/.test(text) ? `'${text.replaceAll("'", "'\\''")}'` : `"${text}"`;
}

/** Findings with the strongest evidence first: the largest share, then the time lost, then the calls. */
export function rankFindings(findings: readonly Unranked[]): Finding[] {
  const key = (value: number | string | null): number => Number(value ?? 0);
  return [...findings]
    .sort(
      (a, b) =>
        key(b.share_pct) - key(a.share_pct) ||
        key(b.lost_ns) - key(a.lost_ns) ||
        key(b.calls) - key(a.calls) ||
        a.detection.localeCompare(b.detection),
    )
    .map((finding, index) => ({ place: index + 1, ...finding }));
}
