import { DuckDBInstance } from '@duckdb/node-api';
import { buildCapture } from './capture-builder.js';

const DAY_NS = 86_400n * 1_000_000_000n;

/**
 * Builds what merging the captures of `nodes` hosts gives: a run per host (`node-0001` ...) with `calls` calls, half of
 * them a day later. `captureId` gives the identity of a run.
 */
export async function buildNodes(
  path: string,
  nodes: number,
  calls: number,
  captureId: (run: number) => string,
): Promise<void> {
  await buildCapture(path, {
    capture: { capture_id: captureId(1), hostname: 'node-0001' },
    cudaEvents: [{ op: 'cudaMalloc', bytes: 1 }],
  });
  const ids = Array.from({ length: nodes - 1 }, (_, index) => `'${captureId(index + 2)}'`);
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  for (const statement of [
    `INSERT INTO capture SELECT * EXCLUDE (i) REPLACE (i AS run_id, [${ids.join(', ')}][i - 1]::UUID AS capture_id,
       'node-' || lpad(i::VARCHAR, 4, '0') AS hostname) FROM capture, range(2, ${nodes + 1}) t(i)`,
    `INSERT INTO store.cuda_events_args SELECT * EXCLUDE (i) REPLACE (i AS args_id, i AS run_id)
     FROM store.cuda_events_args, range(2, ${nodes + 1}) t(i)`,
    `INSERT INTO store.cuda_events SELECT * EXCLUDE (i, j) REPLACE (i AS args_id, i * 1000 + j AS call_id,
       make_timestamp_ns(epoch_ns(start_time) + (j % 2) * ${DAY_NS}) AS start_time)
     FROM store.cuda_events, range(2, ${nodes + 1}) t(i), range(${calls}) u(j) ORDER BY i`,
    'CHECKPOINT',
  ]) {
    await connection.run(statement);
  }
  connection.closeSync();
  instance.closeSync();
}
