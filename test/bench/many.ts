import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { exportCapture } from '../../src/export/export.js';
import { mergeCaptures } from '../../src/merge/merge.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildNodes } from '../support/nodes.js';

const id = (run: number): string => `00000000-0000-4000-8000-${String(run).padStart(12, '0')}`;

async function change(path: string, ...statements: string[]): Promise<void> {
  const instance = await DuckDBInstance.create(path);
  const connection = await instance.connect();
  for (const statement of [...statements, 'CHECKPOINT']) await connection.run(statement);
  connection.closeSync();
  instance.closeSync();
}

export interface MergeBench {
  captures: number;
  eventsEach: number;
  seconds: number;
}

/** Merges captures of `eventsEach` calls with a thousand argument sets each. */
export async function benchMerge(scratch: string, captures: number, eventsEach: number): Promise<MergeBench> {
  const first = join(scratch, 'merge-0.duckdb');
  await buildCapture(first, { cudaEvents: [{ op: 'cudaMemcpyAsync', bytes: 4096 }] });
  await change(
    first,
    'INSERT INTO store.cuda_events_args SELECT * EXCLUDE (i) REPLACE (i AS args_id, i * 512 AS ptr) FROM store.cuda_events_args, range(1, 1000) t(i)',
    `INSERT INTO store.cuda_events SELECT * EXCLUDE (i) REPLACE (
       make_timestamp_ns(epoch_ns(start_time) + i * 1000 + (hash(i) % 1000)::BIGINT) AS start_time, (hash(i) % 100000)::BIGINT AS duration_ns,
       i * 2 + 2 AS call_id, i % 1000 AS args_id) FROM store.cuda_events, range(${eventsEach - 1}) t(i)`,
  );
  const files = [first];
  for (let index = 1; index < captures; index++) {
    const path = join(scratch, `merge-${index}.duckdb`);
    copyFileSync(first, path);
    await change(path, `UPDATE capture SET capture_id = '${id(index + 1)}'`);
    files.push(path);
  }
  const started = performance.now();
  const { events } = await mergeCaptures(files, join(scratch, 'merged.duckdb'), 'bench');
  if (events !== captures * eventsEach) throw new Error(`merged ${events} events`);
  return { captures, eventsEach, seconds: (performance.now() - started) / 1000 };
}

export interface ExportBench {
  nodes: number;
  files: number;
  seconds: number;
  /** Files DuckDB opens for one host on one day, of all event files: `1/1999`. */
  opened: string;
}

/** Exports a merged capture of many hosts, and asks for one of them. */
export async function benchExport(scratch: string, nodes: number): Promise<ExportBench> {
  const path = join(scratch, 'nodes.duckdb');
  const lake = join(scratch, 'lake');
  mkdirSync(lake);
  await buildNodes(path, nodes, 20, id);
  const started = performance.now();
  await exportCapture(path, lake, 'bench', false);
  const seconds = (performance.now() - started) / 1000;
  const files = readdirSync(lake, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.parquet'),
  ).length;
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const plan = await connection.runAndReadAll(
    `EXPLAIN (ANALYZE, FORMAT json) SELECT sum(bytes)
     FROM read_parquet('${lake}/table=cuda_events/*/*/*.parquet', hive_partitioning = true)
     WHERE host = 'node-0050' AND date = DATE '2026-01-02'`,
  );
  connection.closeSync();
  const opened = /"Scanning Files": *"(\d+\/\d+)"/.exec(String(plan.getRows()[0]?.[1]))?.[1] ?? 'unknown';
  return { nodes, files, seconds, opened };
}
