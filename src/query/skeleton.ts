import { SCHEMA_VERSION } from '../capture/version.js';

/** The text of a new query file: a header that is right, and SQL that runs on any event table. */
export function skeletonQuery(name: string, table: string): string {
  return `-- @title ${name.replaceAll('-', ' ')}
-- @question Which question does it answer, in one sentence?
-- @requires tables=${table} schema>=${SCHEMA_VERSION}
-- @param pid INTEGER null - [1..] -- only this process
-- @param min_us DOUBLE 0 us [0..] -- only calls that took at least this long
-- @column run_id - -- Run the calls belong to
-- @column op - -- Operation
-- @column calls calls -- Calls
-- @column total_ns ns -- Time in the calls
-- @sampling weighted
-- @fidelity exact -- Counts and times of recorded calls.
-- @interpret What does a high number mean, and what can be done?
SELECT
  run_id,
  op::VARCHAR AS op,
  sum(sample_weight)::BIGINT AS calls,
  coalesce(sum(duration_ns * sample_weight), 0)::BIGINT AS total_ns
FROM ${table}
WHERE ($pid IS NULL OR pid = $pid)
  AND coalesce(duration_ns, 0) >= $min_us * 1000
GROUP BY run_id, op
ORDER BY total_ns DESC, op
`;
}
