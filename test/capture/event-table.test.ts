import { DuckDBInstance } from '@duckdb/node-api';
import { expect, test } from 'vitest';
import { planDdl } from '../../src/capture/ddl.js';
import { EventTable } from '../../src/capture/event-table.js';
import { ProcessIds } from '../../src/capture/process-ids.js';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { Stacks } from '../../src/capture/stacks.js';
import { CALL, RECORD_CALL } from '../../src/ring/record.js';

/** A call record of probe 7: when it began, which device was current. */
function record(startNs: bigint, device: number): Uint32Array {
  const words = new Uint32Array(CALL.slots + 4);
  words[CALL.head] = RECORD_CALL | (7 << 16);
  words[CALL.missing] = (device + 1) << 24;
  words[CALL.pid] = 100;
  words[CALL.tid] = 101;
  words[CALL.start] = Number(BigInt.asUintN(32, startNs));
  words[CALL.start + 1] = Number(startNs >> 32n);
  words[CALL.callId] = 1;
  return words;
}

test('rows of calls that began after recording was thinned stand for more, whenever they are read', async () => {
  const instance = await DuckDBInstance.create(':memory:');
  const [connection, appends] = [await instance.connect(), await instance.connect()];
  const schema = readCaptureSchema();
  const plan = { table: 'cuda_events', names: { op: ['cudaFree'], layer: ['runtime'] } };
  for (const statement of planDdl(schema, [plan])) await connection.run(statement);
  const table = await EventTable.open(appends, schema, plan, 0n, new ProcessIds(), new Stacks());
  table.addProbe({
    probeId: 7,
    table: 'cuda_events',
    op: 'cudaFree',
    layer: 'runtime',
    returnBits: 32,
    returnSigned: true,
    results: {},
    ok: [0],
    sampleWeight: 3,
    stackSlot: null,
    columns: [],
    enums: {},
  });
  const at = 0x1_0000_0000n;
  table.append(record(at - 5n, 0), 0);
  table.thin(at, 4, [7]);
  // Its record was still in a ring: it began before.
  table.append(record(at - 1n, 0), 0);
  table.append(record(at, 0), 0);
  table.append(record(at + 1n, 0), 0);
  table.thin(at + 100n, 64, [8]);
  table.append(record(at + 99n, 0), 0);
  // The second thinning is not of this probe, and takes the place of the first.
  table.append(record(at + 100n, 0), 0);
  const calls = new Map([[102, 3]]);
  table.takeCallsOfThreads(calls);
  expect([...calls]).toEqual([
    [102, 3],
    [101, 1],
  ]);
  table.close();
  const rows = await connection
    .runAndReadAll('SELECT sample_weight, current_device FROM cuda_events ORDER BY start_time')
    .then((reader) => reader.getRows());
  expect(rows).toEqual([
    [3, 0],
    [3, 0],
    // Which device is current cannot be told when calls that set it may be missing.
    [12, null],
    [12, null],
    [12, null],
    [3, 0],
  ]);
  instance.closeSync();
});
