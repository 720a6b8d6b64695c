import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { redactCapture } from '../../src/evidence/redact.js';
import { type ImportReport, importGoAgentCapture } from '../../src/import/go-agent/convert.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { failure, fingerprint, scratchDir, sha256, sql } from '../query/helpers.js';
import { type AgentSchema, sqlite, writeAgentFile } from './support/go-agent-file.js';
import { at, DEVICE, events, LOST_STACK, merged, STACK, START, singleNode } from './support/scenario.js';

const dir = scratchDir();
const fixture = (name: string): string => join(PACKAGE_ROOT, 'test/fixtures/go-agent', `${name}.db`);
const VERSIONS: readonly AgentSchema[] = ['0.8', '0.9', '0.10', '0.17'];

async function convert(source: string, out: string, salvage = false): Promise<ImportReport> {
  rmSync(out, { force: true });
  return importGoAgentCapture({ source, out, salvage });
}

/** Rows of a query as arrays. */
async function rows(file: string, text: string): Promise<unknown[][]> {
  return (await sql(file, text)).rows.map((row) => Object.values(row));
}

/** Converted rows per operation, and what `events` of the source says of them. */
function perOp(report: ImportReport): Record<string, number> {
  return Object.fromEntries(
    report.accounting.filter(({ op }) => op !== null).map(({ op, converted }) => [op, converted]),
  );
}

describe.each(VERSIONS)('a file of schema %s', (version) => {
  const source = join(dir, `${version}.db`);
  const out = join(dir, `${version}.duckdb`);
  let report: ImportReport;

  beforeAll(async () => {
    writeAgentFile(source, version, singleNode(version));
    const before = sha256(source);
    report = await convert(source, out);
    expect(sha256(source)).toBe(before);
  });

  test('is accounted for, row by row', async () => {
    expect(report.schema).toEqual({
      version: version === '0.17' ? '0.10' : version,
      userVersion: version === '0.8' || version === '0.9' ? 0 : 10,
    });
    const tables = sqlite(
      source,
      "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence';",
    )
      .trim()
      .split('\n');
    for (const table of tables) {
      const lines = report.accounting.filter(({ source_table }) => source_table === table);
      const read = lines.reduce((sum, line) => sum + line.source_rows, 0);
      expect([table, read]).toEqual([table, Number(sqlite(source, `SELECT count(*) FROM ${table};`))]);
      for (const line of lines) expect(line.converted === line.source_rows).toBe(line.reason === null);
    }
    const stored = await rows(
      out,
      'SELECT source_table, op, into_table, source_rows, converted, reason FROM import_accounting',
    );
    expect(stored).toEqual(report.accounting.map((line) => Object.values(line)));
    expect(perOp(report)).toMatchObject({
      cudaMalloc: 2,
      cudaFree: 2,
      tcp_retransmit: 2,
      source_2_op_7: 1,
      ncclAllReduce: 1,
    });
    expect(await rows(out, 'SELECT count(*) FROM events')).toEqual([[events(version, 'n').length]]);
    expect(report.notes).toEqual([]);
  });

  test('says who recorded it, and what is not known', async () => {
    const node = version === '0.8' ? null : 'node-a';
    expect(
      await rows(
        out,
        `SELECT run_id, hostname, boot_id, kernel, arch, cpu_count, started_at, ended_at, end_reason, target, command_line,
           bpf_sha256, ring_bytes, accounting_balanced, schema_version FROM capture`,
      ),
    ).toEqual([
      [
        1,
        node,
        null,
        '6.17.0',
        null,
        4,
        iso(START),
        iso(at(2000)),
        'unknown',
        'pid 500',
        null,
        null,
        null,
        null,
        2,
      ],
    ]);
    expect(
      await rows(out, 'SELECT gpu_model, agent_version, flags, memory_bytes FROM imported_sessions'),
    ).toEqual([
      [
        'Tesla T4, 15360 MiB',
        String(singleNode(version).sessions?.[0]?.ingero_ver),
        'stack,record',
        15785 * 2 ** 20,
      ],
    ]);
    expect(await rows(out, 'SELECT DISTINCT state FROM probes')).toEqual([['imported']]);
    expect(await rows(out, 'SELECT count(*) FROM libraries')).toEqual([[0]]);
    expect(await rows(out, 'SELECT count(*) FROM probe_accounting')).toEqual([[0]]);
    expect(
      await rows(
        out,
        'SELECT format, format_version, source_file, source_sha256, wal_sha256, is_partial FROM imports',
      ),
    ).toEqual([['go-agent', report.schema.version, `${version}.db`, sha256(source), null, false]]);
  });

  test('gives CUDA calls with the arguments its version stored', async () => {
    const columns = 'op, status, error, bytes, kind, stream, ptr, func';
    // Pointers and freed sizes are kept where the file shows that they are what they should be.
    expect(
      await rows(
        out,
        `SELECT ${columns} FROM cuda_events WHERE op IN ('cudaMalloc', 'cudaMallocManaged', 'cudaFree') ORDER BY call_id`,
      ),
    ).toEqual([
      ['cudaMalloc', 'ok', null, 4096, null, null, Number(DEVICE), null],
      ['cudaMalloc', 'error', 'cudaErrorMemoryAllocation', 2 ** 40, null, null, null, null],
      ['cudaMallocManaged', 'ok', null, 8192, null, null, Number(DEVICE) + 65536, null],
      ['cudaFree', 'ok', null, 4096, null, null, Number(DEVICE), null],
      ['cudaFree', 'ok', null, null, null, null, Number(DEVICE) + 65536, null],
    ]);
    expect(
      await rows(out, `SELECT op, bytes, kind FROM cuda_events WHERE op LIKE 'cudaMemcpy%' ORDER BY call_id`),
    ).toEqual([
      ['cudaMemcpy', 4096, 'h2d'],
      ['cudaMemcpyAsync', 1 << 20, null],
      ['cudaMemcpyAsync', 1 << 20, 'd2h'],
      ['cudaMemcpy2D', null, null],
      ['cudaMemcpy2DAsync', null, null],
      ['cudaMemcpyPeer', 2048, 'd2d'],
      ['cudaMemcpyPeerAsync', 2048, 'd2d'],
    ]);
    const stream = 0x5555_0000_0010;
    expect(
      await rows(
        out,
        `SELECT op, func, stream FROM cuda_events WHERE op IN ('cudaLaunchKernel', 'cudaStreamSynchronize') ORDER BY call_id`,
      ),
    ).toEqual([
      ['cudaLaunchKernel', 0x7f00_0000_1230, version === '0.17' ? stream : null],
      ['cudaStreamSynchronize', null, stream],
    ]);
    expect(
      await rows(
        out,
        `SELECT op, status, error FROM cuda_events WHERE op LIKE '%Capture' OR op LIKE 'cudaGraph%' ORDER BY call_id`,
      ),
    ).toEqual([
      ['cudaStreamBeginCapture', 'ok', null],
      ['cudaStreamEndCapture', 'error', 'cudaErrorStreamCaptureInvalidated'],
      ['cudaGraphInstantiate', 'ok', null],
      ['cudaGraphLaunch', 'ok', null],
    ]);
    expect(
      await rows(out, 'SELECT op, bytes, kind, func, stream FROM cuda_driver_events ORDER BY call_id'),
    ).toEqual([
      ['cuMemAlloc_v2', 4096, null, null, null],
      ['cuMemAllocManaged', 8192, null, null, null],
      ['cuMemcpy', 4096, null, null, null],
      ['cuMemcpyAsync', 512, null, null, null],
      ['cuLaunchKernel', null, null, 0x5600_0000_0040, null],
      ['cuCtxSynchronize', null, null, null, null],
    ]);
    expect(await rows(out, 'SELECT op, bytes, comm, status FROM nccl_events')).toEqual([
      ['ncclAllReduce', null, null, 'ok'],
    ]);
    // gpu_id was never measured, and nothing links a runtime call with the driver call inside it.
    expect(await rows(out, 'SELECT DISTINCT device FROM cuda_events')).toEqual([[null]]);
    expect(
      await rows(out, 'SELECT DISTINCT parent_id, current_device, sample_weight, run_id FROM events'),
    ).toEqual([[null, null, 1, 1]]);
  });

  test('gives host events, beginning where their interval begins', async () => {
    expect(
      await rows(
        out,
        `SELECT op, epoch_ns(start_time) - ${START} AS t, duration_ns, status, pid, tid, other_tid, bytes, sector, fd, count, total_ns
         FROM host_events WHERE layer = 'host' AND op NOT LIKE 'pod%' AND op <> 'tcp_retransmit' ORDER BY call_id`,
      ),
    ).toEqual([
      hostRow('process_exec', 10, null, {}),
      hostRow('sched_switch', 250 - 5, 5_000_000, { tid: 501, other: 900 }),
      hostRow('process_exit', 260, null, { tid: 501 }),
      hostRow('sched_wakeup', 270, null, { pid: 0, tid: 0, other: 501 }),
      hostRow('mm_page_alloc', 280, null, { bytes: 4096 }),
      hostRow('oom_kill', 290, null, { other: 700 }),
      hostRow('process_fork', 300, null, { other: 502 }),
      hostRow('mm_page_alloc_summary', 340, null, { bytes: 49152, count: 12 }),
      hostRow('sched_switch_summary', 350, null, { count: 9, total: 800_000 }),
      hostRow('block_read', 360 - 0.4, 400_000, { bytes: 4096, sector: 123456 }),
      hostRow('block_write', 370 - 0.9, 900_000, { bytes: 8192, sector: 123464 }),
      hostRow('block_discard', 380 - 0.1, 100_000, { bytes: 1 << 20, sector: 1 << 20 }),
      hostRow('net_send', 410 - 0.02, 20_000, { bytes: 1500, fd: 12 }),
      hostRow('net_recv', 420 - 0.01, 10_000, { fd: 12 }),
    ]);
    expect(
      await rows(
        out,
        "SELECT src_ipv4, dst_ipv4, src_port, dst_port, tcp_state FROM host_events WHERE op = 'tcp_retransmit' ORDER BY call_id",
      ),
    ).toEqual([
      [0x0a00_0007, 0x0a00_0009, 5001, 443, 'established'],
      [null, null, 5001, 443, 'fin_wait1'],
    ]);
    expect(await rows(out, "SELECT op, layer, arg0, arg1 FROM host_events WHERE layer = 'unknown'")).toEqual([
      ['source_2_op_7', 'unknown', 11, 22],
    ]);
  });

  test('gives processes, threads and stacks', async () => {
    const isNamed = version === '0.10' || version === '0.17';
    const ranks = version === '0.8' ? [null, null, null] : [3, 1, 8];
    expect(
      await rows(
        out,
        'SELECT pid, comm, cgroup, container_id, rank, local_rank, world_size FROM processes ORDER BY pid',
      ),
    ).toEqual([
      [0, isNamed ? 'worker' : null, '/kubepods/pod1', 'ab'.repeat(32), ...ranks],
      [500, isNamed ? 'worker' : 'python3', '/kubepods/pod1', 'ab'.repeat(32), ...ranks],
    ]);
    expect(
      await rows(
        out,
        'SELECT tid, t.pid, p.pid FROM threads t JOIN processes p USING (process_id) ORDER BY tid',
      ),
    ).toEqual([
      [0, 0, 0],
      [500, 500, 500],
      [501, 500, 500],
    ]);
    expect(
      await rows(
        out,
        `SELECT position, kind, address, module, function, function_offset, source_file, line
         FROM frames JOIN stacks USING (stack_id) WHERE imported_hash = ${BigInt.asUintN(64, STACK)} ORDER BY position`,
      ),
    ).toEqual([
      [0, 'native', null, 'libcudart.so.12', 'cudaMalloc', 0x1cb, null, null],
      [1, 'native', 0x7f5c19c1498c, 'libtorch_cuda.so', null, null, null, null],
      [2, 'python', null, null, 'step', null, '/app/train.py', 12],
      [3, 'python', null, null, '<module>', null, '/app/train.py', 40],
    ]);
    expect(
      await rows(
        out,
        `SELECT depth, truncated FROM stacks WHERE imported_hash IN (5, ${LOST_STACK}) ORDER BY depth`,
      ),
    ).toEqual([
      [0, true],
      [2, null],
    ]);
    expect(
      await rows(out, 'SELECT op, depth FROM cuda_events JOIN stacks USING (stack_id) ORDER BY call_id'),
    ).toEqual([
      ['cudaMalloc', 4],
      ['cudaMemcpyAsync', 0],
    ]);
  });

  test('keeps what cannot be vouched for apart', async () => {
    expect(
      await rows(
        out,
        'SELECT op, pid, tid, counted, bytes, rows_here, reliability FROM imported_aggregates WHERE bucket_ns = 60000000000 ORDER BY op',
      ),
    ).toEqual([
      ['cudaLaunchKernel', 500, null, 900, null, 1, 'unreliable'],
      ['cudaMalloc', 500, null, 1, 4096, 2, 'contradicted'],
      ['sched_switch', 500, 501, 1, null, 1, 'unreliable'],
    ]);
    expect(
      await rows(
        out,
        'SELECT finding, severity, summary, recommendations, op, p99_us FROM imported_findings',
      ),
    ).toEqual([
      [
        version === '0.8' ? 'tail-high-cudaMalloc' : 'node-a:tail-high-cudaMalloc',
        'HIGH',
        "cudaMalloc p99=200us - it's slow",
        ['Pin the process', 'Stop cron'],
        'cudaMalloc',
        200,
      ],
    ]);
    expect(
      await rows(
        out,
        'SELECT off_cpu_ns, switches, p99_since_start_ns, window_start FROM imported_cgroup_off_cpu ORDER BY window_end',
      ),
    ).toEqual([
      [100, 4, 7, iso(START)],
      [50, 5, 8, iso(at(1000))],
    ]);
    expect(
      await rows(out, 'SELECT cpu_pct, memory_available_bytes, swap_used_bytes FROM imported_system_samples'),
    ).toEqual([[33.5, 14107 * 2 ** 20, 0]]);
    expect(await rows(out, 'SELECT path, pod, namespace FROM imported_cgroups')).toEqual([
      ['/kubepods/pod1', 'trainer-0', 'ml'],
    ]);
    expect(
      await rows(out, 'SELECT labels, pid, process_start_ticks, peer_uid FROM imported_annotations'),
    ).toEqual(version === '0.17' ? [['{"step":"7"}', 500, 123, 1000]] : []);
  });
});

function iso(ns: bigint): string {
  return `${new Date(Number(ns / 1_000_000n)).toISOString().slice(0, -1)}${String(ns % 1_000_000n).padStart(6, '0')}Z`;
}

interface HostValues {
  pid?: number;
  tid?: number;
  other?: number;
  bytes?: number;
  sector?: number;
  fd?: number;
  count?: number;
  total?: number;
}

/** `ms`: start after START. */
function hostRow(op: string, ms: number, duration: number | null, values: HostValues): unknown[] {
  const {
    pid = 500,
    tid = 500,
    other = null,
    bytes = null,
    sector = null,
    fd = null,
    count = null,
    total = null,
  } = values;
  const status = duration === null ? 'entry' : 'ok';
  return [op, Math.round(ms * 1_000_000), duration, status, pid, tid, other, bytes, sector, fd, count, total];
}

test('pointers that the file shows to be something else become NULL', async () => {
  const source = join(dir, 'pointers.db');
  const out = join(dir, 'pointers.duckdb');
  const base = { timestamp: START, pid: 1, tid: 1, duration: 10 };
  // Where the pointer was to be stored, as older agents recorded it: an address on the stack, 8-byte aligned.
  writeAgentFile(source, '0.9', {
    events: [
      { ...base, id: 'a:1', source: 1, op: 1, arg0: 64, arg1: 0x7ffd_0000_0108n },
      { ...base, id: 'a:2', source: 1, op: 1, arg0: 64, arg1: DEVICE },
      { ...base, id: 'a:3', source: 1, op: 2, arg0: DEVICE },
    ],
  });
  const report = await convert(source, out);
  expect(await rows(out, 'SELECT op, bytes, ptr FROM cuda_events ORDER BY call_id')).toEqual([
    ['cudaMalloc', 64, null],
    ['cudaMalloc', 64, null],
    ['cudaFree', null, Number(DEVICE)],
  ]);
  expect(report.notes.join('\n')).toMatch(/2 allocations have no address/);
});

describe('a merged file', () => {
  test.each(['0.9', '0.10', '0.17'] as const)(
    'of schema %s has a run per session, and tells the nodes apart',
    async (version) => {
      const source = join(dir, `merged-${version}.db`);
      const out = join(dir, `merged-${version}.duckdb`);
      writeAgentFile(source, version, merged(version));
      const report = await convert(source, out);
      expect(report.runs).toBe(2);
      expect(await rows(out, 'SELECT run_id, hostname FROM capture ORDER BY run_id')).toEqual([
        [1, 'node-a'],
        [2, 'node-b'],
      ]);
      const each = events(version, 'n').length;
      expect(await rows(out, 'SELECT run_id, count(*) FROM events GROUP BY run_id ORDER BY run_id')).toEqual([
        [1, each],
        [2, each],
      ]);
      expect(
        await rows(out, 'SELECT count(*), count(DISTINCT process_id), count(DISTINCT run_id) FROM processes'),
      ).toEqual([[4, 4, 2]]);
      expect(
        await rows(
          out,
          'SELECT count(*), count(DISTINCT probe_id) FROM events JOIN probes USING (probe_id, run_id)',
        ),
      ).toEqual([
        [2 * each, 2 * new Set(events(version, 'n').map(({ source: s, op }) => `${s} ${op}`)).size],
      ]);
      // Names by pid are of the node that was merged last.
      expect(report.accounting.find(({ source_table }) => source_table === 'process_names')).toMatchObject({
        converted: 0,
        reason: 'pids of several nodes cannot be told apart',
      });
      expect(await rows(out, 'SELECT DISTINCT run_id FROM imported_findings ORDER BY run_id')).toEqual([
        [1],
        [2],
      ]);
    },
  );

  test('of the real cluster sample converts', async () => {
    const out = join(dir, 'cluster.duckdb');
    const report = await convert(fixture('0.9-cluster'), out);
    expect(report).toMatchObject({ runs: 3, events: 600, salvage: [], schema: { version: '0.9' } });
    expect(
      await rows(
        out,
        'SELECT hostname, count(*) FROM events JOIN capture USING (run_id) GROUP BY 1 ORDER BY 1',
      ),
    ).toEqual([
      ['gpu-node-01', 200],
      ['gpu-node-02', 200],
      ['gpu-node-03', 200],
    ]);
  });
});

test('the real 0.8 sample converts, and its overwritten aggregates are marked', async () => {
  const source = fixture('0.8-empty-cache-excerpt');
  const out = join(dir, 'real.duckdb');
  const report = await convert(source, out);
  expect(report.salvage).toEqual([]);
  const direct = sqlite(
    source,
    'SELECT source, op, count(*), sum(duration) FROM events WHERE source IN (1, 4) GROUP BY 1, 2 ORDER BY 1, 2;',
  );
  expect(
    (
      await rows(
        out,
        "SELECT count(*), sum(duration_ns)::BIGINT FROM events WHERE layer <> 'host' GROUP BY op ORDER BY 1, 2",
      )
    ).sort(),
  ).toEqual(
    direct
      .trim()
      .split('\n')
      .map((line) => line.split('|').slice(2).map(Number))
      .sort(),
  );
  expect(
    await rows(
      out,
      "SELECT op, counted FROM imported_aggregates WHERE reliability = 'contradicted' ORDER BY op, counted",
    ),
  ).not.toEqual([]);
  expect(await rows(out, 'SELECT max(depth), count(*), count(*) FILTER (truncated) FROM stacks')).toEqual([
    [expect.any(Number), 189, 0],
  ]);
  // A thread that the scheduler's events name as if it were a process.
  expect(await rows(out, 'SELECT DISTINCT pid FROM host_events WHERE tid = 30591')).toEqual([[30581]]);
  const text = await rows(
    out,
    "SELECT function, source_file, line FROM frames WHERE kind = 'python' AND function = 'main' LIMIT 1",
  );
  expect(text).toEqual([
    [
      'main',
      '/home/user/workspace/ingero/tests/workloads/pathological/cuda_empty_cache_leak.py',
      expect.any(Number),
    ],
  ]);
});

test('a file converted twice is the same capture', async () => {
  const ids: unknown[] = [];
  for (const name of ['once', 'twice']) {
    const out = join(dir, `${name}.duckdb`);
    await convert(fixture('0.9-node-01'), out);
    ids.push(await rows(out, 'SELECT capture_id FROM capture'));
  }
  expect(ids[0]).toEqual(ids[1]);
});

describe('a file that cannot be converted', () => {
  test.each([
    [
      'a database of something else',
      'CREATE TABLE places (url TEXT); CREATE TABLE marks (a);',
      /not a capture of the Go agent: it has the tables places, marks, and no table events/,
    ],
    [
      'another table of events',
      'CREATE TABLE events (id INTEGER, title TEXT, timestamp INTEGER);',
      /its table events has no column pid, tid, source, op, duration/,
    ],
    ['an empty database', 'CREATE TABLE t (a); DROP TABLE t;', /it has no table, and no table events/],
  ])('%s is named', async (name, statements, message) => {
    const source = join(dir, `${name}.db`);
    sqlite(source, statements);
    const error = await failure(convert(source, join(dir, 'never.duckdb')));
    expect([error.code, error.exitCode]).toEqual(['not-a-capture', 6]);
    expect(error.message).toMatch(message);
  });

  test('a newer one is refused, an empty one too', async () => {
    const newer = join(dir, 'newer.db');
    writeAgentFile(newer, '0.17', singleNode('0.17'));
    sqlite(newer, 'PRAGMA user_version = 11;');
    expect((await failure(convert(newer, join(dir, 'never.duckdb')))).code).toBe('capture-newer');
    const empty = join(dir, 'no-rows.db');
    writeAgentFile(empty, '0.10', {});
    expect((await failure(convert(empty, join(dir, 'never.duckdb')))).code).toBe('import-empty');
  });
});

test('a redacted copy keeps no network address of the old file', async () => {
  const source = join(dir, 'addresses.db');
  const out = join(dir, 'addresses.duckdb');
  writeAgentFile(source, '0.17', singleNode('0.17'));
  await convert(source, out);
  const copy = join(dir, 'redacted.duckdb');
  await redactCapture(
    out,
    copy,
    { drop: ['host_events.dst_ipv4'], hash: ['names'], keep: [] },
    undefined,
    'test',
  );
  const before = "SELECT src_ipv4, dst_ipv4 FROM host_events WHERE op = 'tcp_retransmit' ORDER BY call_id";
  expect(await rows(out, before)).toEqual([
    [0x0a00_0007, 0x0a00_0009],
    [null, null],
  ]);
  const [first, second] = await rows(copy, before);
  expect(first).toEqual([expect.any(Number), null]);
  expect(first?.[0]).not.toBe(0x0a00_0007);
  expect(second).toEqual([null, null]);
});

test('hostile names in a file are text and nothing else', async () => {
  const source = join(dir, 'hostile.db');
  const out = join(dir, 'hostile.duckdb');
  const node = `x'; DROP TABLE capture; --\u001b[31m\n"`;
  writeAgentFile(source, '0.17', {
    ...singleNode('0.17', node),
    process_names: [{ pid: 500, name: node }],
  });
  sqlite(source, 'CREATE TABLE "a\'b; DROP" (x);  INSERT INTO "a\'b; DROP" VALUES (1), (2);');
  const before = fingerprint(dir)['hostile.db'];
  const report = await convert(source, out);
  expect(await rows(out, 'SELECT hostname FROM capture')).toEqual([[node]]);
  expect(report.accounting.find(({ source_table }) => source_table === "a'b; DROP")).toMatchObject({
    source_rows: 2,
    converted: 0,
    reason: 'not a table of the Go agent',
  });
  expect(fingerprint(dir)['hostile.db']).toBe(before);
});
