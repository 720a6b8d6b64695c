/** A macro that captures carry for SQL of the user's own. */
export interface Macro {
  /** Name and parameters. */
  signature: string;
  /** What it is, with units. */
  description: string;
  /** The expression it stands for. */
  sql: string;
  /** Tables and views it reads beside `capture`, which every capture has. */
  reads?: readonly string[];
}

/** The macros of a capture; docs/query.md lists them. Few, so that each is worth remembering. */
export const MACROS: readonly Macro[] = [
  { signature: 'us(ns)', description: 'Nanoseconds as microseconds', sql: 'ns / 1e3' },
  { signature: 'ms(ns)', description: 'Nanoseconds as milliseconds', sql: 'ns / 1e6' },
  { signature: 'sec(ns)', description: 'Nanoseconds as seconds', sql: 'ns / 1e9' },
  { signature: 'kib(bytes)', description: 'Bytes as KiB', sql: 'bytes / 1024' },
  { signature: 'mib(bytes)', description: 'Bytes as MiB', sql: 'bytes / 1048576' },
  { signature: 'gib(bytes)', description: 'Bytes as GiB', sql: 'bytes / 1073741824' },
  {
    signature: 'gb_per_s(bytes, ns)',
    description: 'Rate in GB/s (10^9 bytes a second); NULL for no time',
    sql: 'bytes / nullif(ns, 0)',
  },
  {
    signature: 'since_start(t)',
    description: 'Seconds from the start of the recording to t',
    sql: '(epoch_ns(t) - (SELECT min(epoch_ns(started_at)) FROM capture)) / 1e9',
  },
  {
    signature: 'between_s(t, from_s, to_s)',
    description:
      'Whether t lies from from_s up to, not including, to_s seconds after the start of the recording',
    sql: `epoch_ns(t) >= (SELECT min(epoch_ns(started_at)) FROM capture) + CAST(from_s * 1e9 AS BIGINT)
          AND epoch_ns(t) < (SELECT min(epoch_ns(started_at)) FROM capture) + CAST(to_s * 1e9 AS BIGINT)`,
  },
  {
    signature: 'call_site(stack, process, thread)',
    description:
      'Where a call was made, from its `stack_id`, `process_id` and `tid`: the function (view `call_sites`) or else `thread NAME`; NULL where neither is known',
    // A macro is pasted in: each parameter stands where no table is, so that no column of these tables can take its name.
    sql: `coalesce(
            (SELECT any_value(s.site) FROM (SELECT stack AS stack_id) c JOIN call_sites s USING (stack_id)),
            'thread ' || (
              SELECT any_value(t.name) FROM (SELECT process AS process_id, thread AS tid) c JOIN threads t USING (process_id, tid)
            )
          )`,
    reads: ['call_sites', 'threads'],
  },
];

/** Statement that creates a macro in the file (`''`), or for one connection (`TEMP`). */
export function macroDdl(macro: Macro, scope: '' | 'TEMP'): string {
  return `CREATE ${scope === '' ? '' : 'OR REPLACE TEMP '}MACRO ${macro.signature} AS (${macro.sql})`;
}
