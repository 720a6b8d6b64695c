import type { DuckDBConnection } from '@duckdb/node-api';

/** A span of time, in ns since the epoch. */
export interface TimeSpan {
  fromNs: bigint;
  toNs: bigint;
}

/** When calls can have gone missing, and when the recording they are missing from began. */
export interface MissingTimes extends TimeSpan {
  startedNs: bigint;
}

/**
 * A record is lost to a full ring when it does not fit. What the recorder then reads is a ring that lacks less than one record of
 * being full, and a record is far smaller than a tenth of a ring.
 */
const NEARLY_FULL = 0.9;

/** A loss shortly before an observation may be seen by the next one only: the ring is read after it. */
const LATE_NS = 1_000_000_000n;

/** The times of one row (from, to, start of the recording), when all of them are known. */
async function knownTimes(connection: DuckDBConnection, sql: string): Promise<MissingTimes | undefined> {
  const [fromNs, toNs, startedNs] = (await connection.runAndReadAll(sql)).getRows()[0] ?? [];
  const areKnown = typeof fromNs === 'bigint' && typeof toNs === 'bigint' && typeof startedNs === 'bigint';
  return areKnown ? { fromNs, toNs, startedNs } : undefined;
}

const latest = (a: bigint, b: bigint): bigint => (a > b ? a : b);

/**
 * When rings were full, as far as `self_observations` tell: between the observation before and the one that saw it. Undefined for
 * several runs, and where no observation saw a full ring.
 */
export async function fullRingTimes(connection: DuckDBConnection): Promise<MissingTimes | undefined> {
  const times = await knownTimes(
    connection,
    `SELECT
       epoch_ns(min(since)),
       epoch_ns(max(until)),
       (SELECT epoch_ns(min(started_at)) FROM capture HAVING count(*) = 1)
     FROM (
       SELECT
         o.ring_high_water,
         lag(o.observed_at, 1, c.started_at) OVER (ORDER BY o.observed_at) AS since,
         CASE WHEN lead(o.observed_at) OVER (ORDER BY o.observed_at) IS NULL THEN greatest(c.ended_at, o.observed_at)
              ELSE o.observed_at END AS until
       FROM self_observations o
       JOIN capture c USING (run_id)
     )
     WHERE ring_high_water >= ${NEARLY_FULL}`,
  );
  return times && { ...times, fromNs: latest(times.fromNs - LATE_NS, times.startedNs) };
}

/**
 * From when on `--max-overhead` left calls out, to the end. Undefined for several runs, where it did not, and where a pack samples as
 * well, which it does all the time.
 */
export async function samplingTimes(connection: DuckDBConnection): Promise<MissingTimes | undefined> {
  return knownTimes(
    connection,
    `SELECT
       epoch_ns(min(g.stepped_at)),
       epoch_ns(max(coalesce(c.ended_at, g.stepped_at))),
       (SELECT epoch_ns(min(started_at)) FROM capture HAVING count(*) = 1)
     FROM governor_steps g
     JOIN capture c USING (run_id)
     WHERE (g.to_level LIKE 'sample %' OR g.to_level = 'counts')
       AND NOT EXISTS (SELECT 1 FROM packs WHERE concat(yaml, array_to_string(overlays, ' ')) LIKE '%sample:%')`,
  );
}

/** `12.3 s`, after the start of the recording. */
const seconds = (ns: bigint, { startedNs }: MissingTimes): string =>
  `${(Number(ns - startedNs) / 1e9).toFixed(1)} s`;

/**
 * Says when calls can have gone missing, and whether that is within the times of the calls a result lists, if it lists some. Pure.
 */
export function tellTimes(missing: MissingTimes, shown: TimeSpan | undefined): string {
  const when = `between ${seconds(missing.fromNs, missing)} and ${seconds(missing.toNs, missing)} after the start of the recording`;
  if (shown === undefined) return when;
  const range = `the calls shown, which began between ${seconds(shown.fromNs, missing)} and ${seconds(shown.toNs, missing)}`;
  const overlaps = shown.fromNs <= missing.toNs && missing.fromNs <= shown.toNs;
  return `${when}, ${overlaps ? 'within the time of' : 'outside the time of'} ${range}`;
}
