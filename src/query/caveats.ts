import { tablesOf } from './applies.js';
import {
  fullRingTimes,
  type MissingTimes,
  samplingTimes,
  type TimeSpan,
  tellTimes,
} from './missing-times.js';
import type { NamedQuery } from './named-query.js';
import type { OpenCapture } from './open.js';
import { visible } from './visible.js';

/** What a reader of a result has to know. */
export interface Caveat {
  text: string;
  /** When the calls it is about can have gone missing, where that is known. */
  during?: MissingTimes | undefined;
}

/** A caveat as a sentence. `shown`: when the calls a result lists began, if it lists some. Pure. */
export function caveatText({ text, during }: Caveat, shown: TimeSpan | undefined): string {
  return during === undefined ? text : `${text} This was ${tellTimes(during, shown)}.`;
}

const SAMPLED: Readonly<Record<NamedQuery['sampling'], string | undefined>> = {
  weighted:
    'Some calls were sampled: counts and sums are estimates (each recorded call stands for sample_weight calls).',
  rows: 'Some calls were sampled: those that were left out are not shown.',
  pairs: 'Some calls were sampled: what follows from which call cannot be told for those operations.',
  none: undefined,
};

/** Event tables behind the views of the schema. */
export const BEHIND_VIEWS: Readonly<Record<string, readonly string[]>> = {
  cuda_allocations: ['cuda_events'],
  nccl_communicators: ['nccl_events'],
  nccl_calls: ['nccl_events'],
};

/** Whether operations a query reads are among the probes of a pack: by its table, and by its globs where it has some. */
const READ_BY_QUERY = `
  list_has_any(string_split($tables, ','), [k.event_table, 'events'])
  AND ($globs = '' OR len(list_filter(string_split($globs, ','), lambda g: p.op GLOB g)) > 0)`;

/**
 * What a reader of a result has to know of the capture: calls of the operations it reads that were lost or sampled,
 * a recorder that was cut off, and a conversion from another format. Empty when there is nothing to say.
 */
export async function caveats(capture: OpenCapture, query: NamedQuery): Promise<Caveat[]> {
  const tables = await tablesOf(capture.connection);
  if (!['packs', 'probes', 'probe_accounting'].every((table) => tables.has(table))) return [];
  const result = await capture.connection.runAndReadAll(
    `SELECT
       coalesce(sum(a.hits), 0)::DOUBLE,
       coalesce(sum(a.lost_ring_full + a.lost_too_deep + a.lost_no_memory + a.lost_not_written), 0)::DOUBLE,
       coalesce(sum(a.sampled), 0)::DOUBLE,
       coalesce(sum(a.lost_ring_full), 0)::DOUBLE,
       (SELECT bool_or(end_reason = 'cut-off') FROM capture)
     FROM probe_accounting a
     JOIN probes p USING (probe_id)
     JOIN (SELECT DISTINCT pack, event_table FROM packs) k USING (pack)
     WHERE ${READ_BY_QUERY}`,
    {
      tables: query.requires.tables.flatMap((table) => BEHIND_VIEWS[table] ?? [table]).join(','),
      globs: query.ops.join(','),
    },
  );
  const [hits = 0, lost = 0, sampled = 0, ringFull = 0, cutOff = false] = result.getRows()[0] ?? [];
  const found: Caveat[] = [];
  const { connection } = capture;
  if (cutOff === true)
    found.push({ text: 'The recorder was cut off: what is missing at the end is not known.' });
  if (Number(lost) > 0) {
    const share = (100 * Number(lost)) / Number(hits);
    found.push({
      text: `${Number(lost).toLocaleString('en')} of ${Number(hits).toLocaleString('en')} calls this query reads were lost (${share < 0.1 ? '< 0.1' : share.toFixed(1)} %): totals are lower bounds. \`ingero run-query what-was-lost ${capture.path}\` says where.`,
      // Of the reasons for a loss only a full ring has a time.
      during:
        lost === ringFull && tables.has('self_observations') ? await fullRingTimes(connection) : undefined,
    });
  }
  const sampling = SAMPLED[query.sampling];
  if (Number(sampled) > 0 && sampling !== undefined) {
    found.push({
      text: sampling,
      during: tables.has('governor_steps') ? await samplingTimes(connection) : undefined,
    });
  }
  const notes = tables.has('imports') ? await importNotes(capture) : [];
  return [...found, ...notes.map((text) => ({ text }))];
}

/** What to know of a capture that was converted from the Go agent's (docs/old-captures.md). */
async function importNotes({ connection }: OpenCapture): Promise<string[]> {
  const result = await connection.runAndReadAll(
    `SELECT DISTINCT unnest(
       ['Converted from a capture of the Go agent (schema ' || format_version ||
          '), which stored part of the calls only: counts and sums are lower bounds.']
       || CASE WHEN is_partial THEN ['The converted file was damaged: import_salvage says what is missing.'] ELSE [] END
       || list_transform(notes, lambda note: note || '.')) AS note
     FROM imports ORDER BY note DESC`,
  );
  return result.getRows().map(([note]) => visible(String(note)));
}
