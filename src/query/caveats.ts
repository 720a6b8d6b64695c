import { tablesOf } from './applies.js';
import type { NamedQuery } from './named-query.js';
import type { OpenCapture } from './open.js';
import { visible } from './visible.js';

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
export async function caveats(capture: OpenCapture, query: NamedQuery): Promise<string[]> {
  const tables = await tablesOf(capture.connection);
  if (!['packs', 'probes', 'probe_accounting'].every((table) => tables.has(table))) return [];
  const result = await capture.connection.runAndReadAll(
    `SELECT
       coalesce(sum(a.hits), 0)::DOUBLE,
       coalesce(sum(a.lost_ring_full + a.lost_too_deep + a.lost_no_memory + a.lost_not_written), 0)::DOUBLE,
       coalesce(sum(a.sampled), 0)::DOUBLE,
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
  const [hits = 0, lost = 0, sampled = 0, cutOff = false] = result.getRows()[0] ?? [];
  const notes: string[] = [];
  if (cutOff === true) notes.push('The recorder was cut off: what is missing at the end is not known.');
  if (Number(lost) > 0) {
    const share = (100 * Number(lost)) / Number(hits);
    notes.push(
      `${Number(lost).toLocaleString('en')} of ${Number(hits).toLocaleString('en')} calls this query reads were lost (${share < 0.1 ? '< 0.1' : share.toFixed(1)} %): totals are lower bounds. \`ingero run-query what-was-lost ${capture.path}\` says where.`,
    );
  }
  const sampling = SAMPLED[query.sampling];
  if (Number(sampled) > 0 && sampling !== undefined) notes.push(sampling);
  return [...notes, ...(tables.has('imports') ? await importNotes(capture) : [])];
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
