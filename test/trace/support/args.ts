import { probedSymbol, query, sharedColumns } from './capture.js';
import { truthLines } from './workload.js';

type Columns = Record<string, number | string | null>;

/** A line of the `args` scenario. */
interface ArgsTruth {
  op: string;
  symbol: string;
  return_code: number;
  columns: Record<string, number | string | null>;
}

/** Columns of the truth the pack leaves out on purpose: what the argument is depends on the CUDA version. */
const NOT_CAPTURED: Readonly<Record<string, readonly string[]>> = {
  cudaMemPrefetchAsync: ['device', 'stream'],
  cudaMemPrefetchAsync_v2: ['device'],
  cudaMemAdvise: ['device'],
  cudaMemcpyBatchAsync: ['stream'],
  cudaGraphInstantiate: ['flags'],
};
/** Row pitch of the stub library: width rounded up. */
const pitch = (width: number): number => Math.ceil(width / 512) * 512;
/** What a pitched allocation takes; the truth tells what was asked for. */
export const PITCHED: Readonly<Record<string, number>> = {
  cudaMallocPitch: pitch(1001) * 13,
  cudaMalloc3D: pitch(1003) * 11 * 7,
};

/** The row a line of the truth has to be; columns that are NULL are left out. */
function rowOf({ symbol, op: called, return_code, columns }: ArgsTruth): Columns {
  const op = symbol.includes('PrefetchAsync_v2') ? 'cudaMemPrefetchAsync_v2' : called;
  const kept = Object.entries(columns).filter(
    ([name, value]) => value !== null && NOT_CAPTURED[op]?.includes(name) !== true,
  );
  const row: Columns = {
    op,
    symbol: probedSymbol(symbol) ?? symbol,
    return_code,
    ...Object.fromEntries(kept),
  };
  if (!(op in PITCHED)) return row;
  const { bytes: _asked, ...rest } = row;
  // The pitch is a result; a call that failed has none.
  return return_code === 0 ? { ...rest, bytes: PITCHED[op] ?? null } : rest;
}

/**
 * The rows of a traced `args` scenario, and the rows its output says there must be; columns that are NULL are left
 * out of both.
 */
export async function compareArgs(
  capture: string,
  output: string,
): Promise<{ captured: Columns[]; told: Columns[] }> {
  const rows = await query(
    capture,
    `SELECT p.symbol, e.* EXCLUDE (${sharedColumns('op', 'return_code')})
     FROM cuda_events e JOIN probes p USING (probe_id) WHERE NOT starts_with(p.op, '__') ORDER BY start_time`,
  );
  const captured = rows.map(
    (row) =>
      Object.fromEntries(
        Object.entries(row)
          .filter(([, value]) => value !== null)
          .map(([name, value]) => [name, typeof value === 'bigint' ? Number(value) : value]),
      ) as Columns,
  );
  const told = truthLines<ArgsTruth>(output).filter(
    ({ symbol }) => symbol !== undefined && probedSymbol(symbol)?.startsWith('__') === false,
  );
  // Captured, but not told: the callback, and the flags inside a structure.
  for (const [index, { op, columns }] of told.entries()) {
    if (op === 'cudaLaunchHostFunc' && !('func' in columns)) delete captured[index]?.func;
    if (op === 'cudaGraphInstantiateWithParams' && !('flags' in columns)) delete captured[index]?.flags;
  }
  return { captured, told: told.map(rowOf) };
}
