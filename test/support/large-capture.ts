import { DuckDBInstance } from '@duckdb/node-api';
import type { CaptureSchema } from '../../src/capture/schema.js';
import { buildCapture } from './capture-builder.js';

const OPS = ['cudaMalloc', 'cudaFree', 'cudaMemcpyAsync', 'cudaLaunchKernel'];

/** Builds a capture of `events` events, a fifth as many argument sets, made by DuckDB itself. */
export async function buildLargeCapture(path: string, events: number, schema: CaptureSchema): Promise<void> {
  await buildCapture(path, { cudaEvents: OPS.map((op) => ({ op, ptr: 0 })) }, schema);
  const instance = await DuckDBInstance.create(path, { threads: '2', memory_limit: '1GB' });
  const connection = await instance.connect();
  const sets = Math.ceil(events / 5);
  try {
    await connection.run(
      `INSERT INTO store.cuda_events_args BY NAME
       SELECT a.* REPLACE (4 + i AS args_id, 139637976727552 + i * 512 AS ptr, 100 + i % 7 AS pid)
       FROM range(${sets}) t(i) JOIN store.cuda_events_args a ON a.args_id = i % 4`,
    );
    await connection.run(
      `INSERT INTO store.cuda_events BY NAME
       SELECT make_timestamp_ns(1700000000000000000 + i * 1000 + (hash(i) % 500)::BIGINT) AS start_time,
              500 + hash(i * 7) % 5000 AS duration_ns, 1024 * (i % 100) AS bytes, 100 + i % 9 AS tid,
              hash(i) AS call_id, hash(i + 1) AS parent_id, 4 + hash(i) % ${sets} AS args_id
       FROM range(${events}) t(i)`,
    );
    await connection.run('CHECKPOINT');
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}
