import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { planDdl } from '../../src/capture/ddl.js';
import { readCaptureSchema } from '../../src/capture/schema.js';

const schema = readCaptureSchema();
const plan = [
  {
    table: 'cuda_events',
    names: { op: ['cudaMalloc', "it's"], error: ['cudaErrorNoDevice'], layer: ['runtime'] },
  },
];

async function capture() {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  for (const statement of planDdl(schema, plan)) await connection.run(statement);
  return connection;
}

test('every column of every table and view in the main schema carries a comment', async () => {
  const connection = await capture();
  const bare = await connection.runAndReadAll(
    "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' AND comment IS NULL AND NOT internal",
  );
  expect(bare.getRows()).toEqual([]);
  const tables = await connection.runAndReadAll(
    'SELECT table_name FROM duckdb_tables() WHERE comment IS NULL UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL',
  );
  expect(tables.getRows()).toEqual([]);
});

test('the tables the schema names exist, and an event row is read back through its view by name', async () => {
  const connection = await capture();
  await connection.run(
    `INSERT INTO store.cuda_events_args (args_id, op, status, layer, pid, process_id, probe_id, sample_weight, run_id, kind)
     VALUES (1, 'it''s', 'ok', 'runtime', 1, 1, 0, 1, 1, 'h2d')`,
  );
  await connection.run(
    `INSERT INTO store.cuda_events (start_time, duration_ns, tid, call_id, bytes, args_id)
     VALUES (make_timestamp_ns(1), 5, 2, 3, 4, 1)`,
  );
  const rows = await connection.runAndReadAll('SELECT op, kind, bytes, stream, parent_id FROM cuda_events');
  expect(rows.getRowsJson()).toEqual([["it's", 'h2d', '4', null, null]]);
  const events = await connection.runAndReadAll('SELECT event_table, op, bytes FROM events');
  expect(events.getRowsJson()).toEqual([['cuda_events', "it's", '4']]);
});
