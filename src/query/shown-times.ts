import { type DuckDBDataChunk, DuckDBTimestampNanosecondsValue } from '@duckdb/node-api';
import type { TimeSpan } from './missing-times.js';
import type { LimitedResult } from './write.js';

/** The column in which a result that lists calls says when each began. */
const BEGAN = 'start_time';

/**
 * A result that remembers, as it is read, from when to when the calls it lists began. `shown` is undefined where it lists none:
 * buckets and sums say nothing about single calls.
 */
export function watchTimes(result: LimitedResult): { result: LimitedResult; shown(): TimeSpan | undefined } {
  const index = result.columns.findIndex(({ name }) => name === BEGAN);
  let span: TimeSpan | undefined;
  const see = (value: unknown): void => {
    if (!(value instanceof DuckDBTimestampNanosecondsValue)) return;
    const ns = value.nanos;
    if (span === undefined) span = { fromNs: ns, toNs: ns };
    else if (ns < span.fromNs) span.fromNs = ns;
    else if (ns > span.toNs) span.toNs = ns;
  };
  const chunks = async function* (): AsyncGenerator<DuckDBDataChunk, void, undefined> {
    for await (const chunk of result.chunks()) {
      chunk.getColumnValues(index).forEach(see);
      yield chunk;
    }
  };
  return {
    shown: () => span,
    result:
      index < 0
        ? result
        : {
            ...result,
            get truncated() {
              return result.truncated;
            },
            chunks,
          },
  };
}
