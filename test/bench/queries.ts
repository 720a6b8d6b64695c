import { DuckDBInstance } from '@duckdb/node-api';
import { planDdl } from '../../src/capture/ddl.js';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { whyNot } from '../../src/query/applies.js';
import { Budget } from '../../src/query/budget.js';
import { readLibrary } from '../../src/query/library.js';
import { openCapture } from '../../src/query/open.js';
import { resolveParams } from '../../src/query/params.js';
import { runNamed } from '../../src/query/run.js';

/** Slots of a hundred consecutive calls of a process: what a training step calls, by how often. */
const CUDA_OPS: readonly (readonly [string, number])[] = [
  ['cudaLaunchKernel', 60],
  ['cudaMemcpyAsync', 14],
  ['cudaMemcpy', 5],
  ['cudaEventRecord', 8],
  ['cudaEventQuery', 3],
  ['cudaStreamSynchronize', 3],
  ['cudaEventSynchronize', 1],
  ['cudaMalloc', 1],
  ['cudaFree', 1],
  ['cudaGraphLaunch', 1],
  ['cudaGraphInstantiate', 1],
  ['cudaMemGetInfo', 1],
  ['cudaDeviceSynchronize', 1],
];
const SLOTS = CUDA_OPS.flatMap(([op, count]) => Array.from({ length: count }, () => op));
const VARIANTS = 16;

/** What a program that does without the runtime asks the driver for. */
const DIRECT_OPS = [
  'cuLaunchKernel',
  'cuMemcpyHtoDAsync_v2',
  'cuStreamSynchronize',
  'cuMemAlloc_v2',
  'cuMemFree_v2',
];

/** Who made the calls of a capture, and when. */
export interface CaptureShape {
  /** Each with one thread. */
  processes: number;
  /** Parts of the rows that are of these layers; the others are of the runtime. */
  driver: number;
  /** Calls of the driver past the runtime. */
  direct: number;
  nccl: number;
  torch: number;
  /** Pauses of 20 ms, evenly spread over the calls of the runtime; the call before each of them takes nearly as long. */
  pauses: number;
}

/**
 * 8 processes that launch, copy, wait and allocate; driver calls inside one call of ten and some past the runtime; NCCL
 * and PyTorch rows in between. 83 % of the rows are of the runtime.
 */
export const BUSY_HOST: CaptureShape = {
  processes: 8,
  driver: 1 / 10,
  direct: 1 / 50,
  nccl: 1 / 50,
  torch: 1 / 33,
  pauses: 0,
};
/** One thread makes all calls: what goes by process or thread is one group of all rows. */
export const ONE_THREAD: CaptureShape = {
  processes: 1,
  driver: 0,
  direct: 0,
  nccl: 0,
  torch: 0,
  pauses: 200,
};
/** Ranks that do without the runtime: collectives and, as a program past the runtime makes them, calls of the driver. */
export const NO_RUNTIME: CaptureShape = {
  processes: 8,
  driver: 0,
  direct: 2 / 5,
  nccl: 3 / 5,
  torch: 0,
  pauses: 0,
};

/** SQL for a list of names that is indexed from 1. */
const list = (names: readonly string[]): string => `[${names.map((name) => `'${name}'`).join(', ')}]`;

/** Writes a capture of `rows` events in which every operation is called as often as in a training step. */
export async function buildQueryCapture(
  path: string,
  rows: number,
  { processes, pauses, ...shares }: CaptureShape = BUSY_HOST,
): Promise<void> {
  const schema = readCaptureSchema();
  const part = (share: number): number => Math.floor(rows * share);
  const parts = {
    driver: part(shares.driver),
    direct: part(shares.direct),
    nccl: part(shares.nccl),
    torch: part(shares.torch),
  };
  const cuda = rows - parts.driver - parts.direct - parts.nccl - parts.torch;
  const errors = ['cudaErrorNotReady', 'cudaErrorMemoryAllocation'];
  const tables = [
    { table: 'cuda_events', names: { op: CUDA_OPS.map(([op]) => op), error: errors, layer: ['runtime'] } },
    { table: 'cuda_driver_events', names: { op: DIRECT_OPS, layer: ['driver'] } },
    {
      table: 'nccl_events',
      names: {
        op: ['ncclCommInitRank', 'ncclAllReduce', 'ncclAllGather'],
        datatype: ['float32'],
        redop: ['sum'],
        layer: ['nccl'],
      },
    },
    {
      table: 'torch_alloc_events',
      names: {
        op: ['reportMemoryUsageToProfiler', 'reportOutOfMemoryToProfiler'],
        layer: ['torch'],
        device_type: ['cuda'],
      },
    },
  ];
  const at = (step: string): string => `make_timestamp_ns(1767225600000000000 + ${step})`;
  const who = 'pid: 1000 + p, process_id: 1000 + p, sample_weight: 1, run_id: 1, probe_id: 0';
  const common = who.replaceAll(/(\w+): ([^,]+)/g, '$2 AS $1');
  const instance = await DuckDBInstance.create(path, { threads: '2' });
  const connection = await instance.connect();
  const run = (sql: string) => connection.run(sql);
  for (const statement of planDdl(schema, tables)) await run(statement);
  await run(`INSERT INTO capture BY NAME SELECT 1 AS run_id, uuid() AS capture_id, ${schema.version} AS schema_version, 'bench' AS ingero_version,
    'bench' AS hostname, '6.18' AS kernel, 'x64' AS arch, 2 AS cpu_count, ${at('0')} AS started_at, ${at(`${rows}::BIGINT * 6000`)} AS ended_at,
    'duration' AS end_reason, []::VARCHAR[] AS command_line, 'all' AS target, '' AS bpf_sha256, 0 AS ring_bytes, true AS accounting_balanced`);
  await run(`INSERT INTO processes BY NAME SELECT 1 AS run_id, 1000 + p AS process_id, 1000 + p AS pid, ${at('0')} AS first_seen,
    'train' AS comm, p AS rank, 'c' || (p // 4) AS container_id FROM range(${processes}) t (p)`);
  await run(`INSERT INTO threads BY NAME SELECT 1 AS run_id, 2000 + p AS tid, 1000 + p AS pid, 1000 + p AS process_id, 'main' AS name,
    ${at('0')} AS first_seen FROM range(${processes}) t (p)`);
  await run(`INSERT INTO probes BY NAME SELECT 1 AS run_id, 0 AS probe_id, 'cuda-runtime' AS pack, op, '' AS prototype, 'attached' AS state,
    'call' AS mode FROM (SELECT unnest(${list([...CUDA_OPS.map(([op]) => op), ...DIRECT_OPS, 'ncclCommInitRank', 'ncclAllReduce', 'ncclCommGetAsyncError', 'reportMemoryUsageToProfiler', 'reportOutOfMemoryToProfiler'])}) AS op)`);

  // One set of arguments for each slot, process and variant.
  await run(`INSERT INTO store.cuda_events_args BY NAME
    SELECT (slot * ${processes} + p) * ${VARIANTS} + v AS args_id, ${common},
      op, 'runtime' AS layer, v % 4 AS current_device,
      CASE WHEN (op = 'cudaEventQuery' AND v % 4 > 0) OR (op = 'cudaMalloc' AND v = 15) THEN 'error' ELSE 'ok' END AS status,
      CASE WHEN op = 'cudaEventQuery' AND v % 4 > 0 THEN 'cudaErrorNotReady' WHEN op = 'cudaMalloc' AND v = 15 THEN 'cudaErrorMemoryAllocation' END AS error,
      CASE WHEN op LIKE 'cudaMemcpy%' THEN ['h2d', 'd2h', 'd2d'][1 + v % 3] END AS kind,
      CASE WHEN op NOT LIKE '%Mal%' AND op NOT LIKE '%Free%' THEN 65536 + v % 4 END AS stream,
      CASE WHEN op IN ('cudaMalloc', 'cudaFree') THEN 1048576 * (1 + v) END AS ptr,
      CASE WHEN op LIKE 'cudaMemcpy%' THEN 7 + v END AS src_ptr, CASE WHEN op LIKE 'cudaMemcpy%' THEN 99 + v END AS dst_ptr,
      CASE WHEN op LIKE '%Event%' THEN 4096 + v END AS event,
      CASE WHEN op LIKE '%Graph%' THEN 8192 + v END AS graph_exec,
      CASE WHEN op = 'cudaLaunchKernel' THEN 100 + slot END AS func,
      CASE WHEN op = 'cudaLaunchKernel' THEN 1 << (v % 10) END AS grid_x, 1 AS grid_y, 1 AS grid_z,
      CASE WHEN op = 'cudaLaunchKernel' THEN 128 END AS block_x, 1 AS block_y, 1 AS block_z, 0 AS shared_mem_bytes,
      CASE WHEN op = 'cudaMemGetInfo' THEN 1073741824 * (1 + v) END AS free_bytes,
      CASE WHEN op = 'cudaMemGetInfo' THEN 25769803776 END AS total_bytes
    FROM (SELECT slot, p, v, ${list(SLOTS)}[slot + 1] AS op FROM range(${SLOTS.length}) s (slot), range(${processes}) t (p), range(${VARIANTS}) u (v))`);
  await run(`INSERT INTO store.cuda_events BY NAME
    SELECT ${at(`r * 6000 + r * ${pauses} // ${cuda} * 20000000`)} AS start_time, 2000 + p AS tid, r + 1 AS call_id, NULL::UBIGINT AS parent_id,
      (slot * ${processes} + p) * ${VARIANTS} + (r // ${SLOTS.length * processes}) % ${VARIANTS} AS args_id,
      CASE WHEN (r + 1) * ${pauses} // ${cuda} > r * ${pauses} // ${cuda} THEN 19000000
        WHEN slot >= 90 THEN 20000 + hash(r) % 200000 ELSE 1500 + hash(r) % 3000 END AS duration_ns,
      CASE WHEN ${list(SLOTS)}[slot + 1] LIKE 'cudaM%' THEN 1::UBIGINT << (6 + hash(r + 1) % 20)::INTEGER END AS bytes
    FROM (SELECT r, r % ${SLOTS.length} AS slot, (r // ${SLOTS.length}) % ${processes} AS p FROM range(${cuda}) t (r))`);
  await run(`INSERT INTO store.cuda_driver_events_args BY NAME
    SELECT p AS args_id, ${common}, 'cuLaunchKernel' AS op, 'driver' AS layer, 'ok' AS status FROM range(${processes}) t (p)`);
  await run(`INSERT INTO store.cuda_driver_events BY NAME
    SELECT ${at('r * 60000 + 200')} AS start_time, 2000 + p AS tid, 1000000000 + r AS call_id, r * 10 + 1 AS parent_id, p AS args_id,
      1000 + hash(r) % 1000 AS duration_ns
    FROM (SELECT r, (r * 10 // ${SLOTS.length}) % ${processes} AS p FROM range(${Math.min(parts.driver, Math.floor(cuda / 10))}) t (r))`);
  await run(`INSERT INTO store.cuda_driver_events_args BY NAME
    SELECT ${processes} * (1 + v) + p AS args_id, ${common}, op, 'driver' AS layer, 'ok' AS status, p % 4 AS current_device,
      CASE WHEN op LIKE 'cuMemcpy%' THEN 'h2d' END AS kind, CASE WHEN op LIKE 'cuMemcpy%' THEN 4096 * (1 + v) END AS src_ptr,
      CASE WHEN op LIKE 'cuMem%_v2' AND op NOT LIKE 'cuMemcpy%' THEN 1048576 * (1 + v // ${DIRECT_OPS.length}) END AS ptr
    FROM (SELECT v, p, ${list(DIRECT_OPS)}[1 + v % ${DIRECT_OPS.length}] AS op FROM range(${DIRECT_OPS.length * VARIANTS}) u (v), range(${processes}) t (p))`);
  await run(`INSERT INTO store.cuda_driver_events BY NAME
    SELECT ${at('r * 300000 + 900')} AS start_time, 2000 + p AS tid, 4000000000 + r AS call_id, NULL::UBIGINT AS parent_id,
      ${processes} * (1 + v) + p AS args_id, 2000 + hash(r) % 20000 AS duration_ns,
      CASE WHEN v % ${DIRECT_OPS.length} IN (1, 3) THEN 1::UBIGINT << (6 + hash(r + 1) % 20)::INTEGER END AS bytes
    FROM (SELECT r, r % ${processes} AS p, (r // ${processes}) % ${DIRECT_OPS.length * VARIANTS} AS v FROM range(${parts.direct}) t (r))`);
  await run(`INSERT INTO store.nccl_events_args BY NAME
    SELECT v * ${processes} + p AS args_id, ${common}, ['ncclCommInitRank', 'ncclAllReduce', 'ncclAllGather'][v + 1] AS op,
      'nccl' AS layer, 'ok' AS status, 5 + p AS comm, CASE v WHEN 0 THEN 77 END AS comm_id, CASE v WHEN 0 THEN ${processes} END AS nranks,
      CASE v WHEN 0 THEN p END AS rank, CASE WHEN v > 0 THEN 'float32' END AS datatype
    FROM range(3) u (v), range(${processes}) t (p)`);
  await run(`INSERT INTO store.nccl_events BY NAME
    SELECT ${at('r * 300000')} AS start_time, 2000 + p AS tid, 2000000000 + r AS call_id, NULL::UBIGINT AS parent_id,
      CASE WHEN r < ${processes} THEN p ELSE (1 + (r // ${processes}) % 2) * ${processes} + p END AS args_id,
      3000 + hash(r) % 3000 AS duration_ns, CASE WHEN r >= ${processes} THEN 1048576 END AS bytes
    FROM (SELECT r, r % ${processes} AS p FROM range(${parts.nccl}) t (r))`);
  await run(`INSERT INTO store.torch_alloc_events_args BY NAME
    SELECT (v * ${processes} + p) AS args_id, ${common}, 'reportMemoryUsageToProfiler' AS op, 'torch' AS layer, 'entry' AS status, 'cuda' AS device_type,
      0 AS device, 512 * (1 + v // 2) AS ptr, 8589934592 AS reserved_bytes
    FROM range(64) u (v), range(${processes}) t (p)`);
  await run(`INSERT INTO store.torch_alloc_events BY NAME
    SELECT ${at('r * 200000')} AS start_time, 2000 + p AS tid, 3000000000 + r AS call_id, NULL::UBIGINT AS parent_id,
      v * ${processes} + p AS args_id, (CASE WHEN v % 2 = 0 THEN 1 ELSE -1 END) * 512 * (1 + v // 2) AS delta_bytes, 1073741824 + v AS allocated_bytes
    FROM (SELECT r, r % ${processes} AS p, (r // ${processes}) % 64 AS v FROM range(${parts.torch}) t (r))`);
  await run('CHECKPOINT');
  connection.closeSync();
  instance.closeSync();
}

/** What a query took on a capture, or why it could not answer. */
export interface QueryCost {
  name: string;
  ms: number;
  rows: number;
  failure?: string;
}

/** Runs every named query that applies, behind the fence, on 2 threads and within `memory`; the median of `rounds`. */
export async function benchQueries(path: string, memory = '1GiB', rounds = 3): Promise<QueryCost[]> {
  const costs: QueryCost[] = [];
  const capture = await openCapture(path, { memoryLimit: memory, threads: 2 });
  for (const query of readLibrary().values()) {
    if ((await whyNot(capture, query)) !== undefined) continue;
    const budget = new Budget(capture.connection, 60_000);
    const times: number[] = [];
    let rows = 0;
    let failure: string | undefined;
    for (let round = 0; round < rounds && failure === undefined; round++) {
      const started = performance.now();
      try {
        rows = 0;
        const result = await runNamed(capture, query, resolveParams(query, []), budget);
        for await (const chunk of result.chunks()) rows += chunk.rowCount;
      } catch (error) {
        failure = (error as Error).message;
      }
      times.push(performance.now() - started);
    }
    budget.dispose();
    const ms = times.sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN;
    costs.push({ name: query.name, ms, rows, ...(failure === undefined ? {} : { failure }) });
  }
  capture.close();
  return costs;
}
