import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { buildCapture, type Row } from '../support/capture-builder.js';
import { query } from '../trace/support/capture.js';

const dir = mkdtempSync(join(tmpdir(), 'ingero-nccl-'));
afterAll(() => rmSync(dir, { recursive: true }));
let captures = 0;

/** A capture of these calls, one a millisecond. */
async function capture(events: readonly Row[], accounting: Row = {}): Promise<string> {
  const path = join(dir, `${captures++}.duckdb`);
  await buildCapture(path, {
    probes: [{ probe_id: 0, pack: 'nccl' }],
    probeAccounting: [accounting],
    events: { nccl_events: events.map((event) => ({ layer: 'nccl', ...event })) },
  });
  return path;
}

const init = (comm: number, id: number, rank: number, more: Row = {}): Row => ({
  op: 'ncclCommInitRankConfig',
  comm,
  comm_id: id,
  rank,
  nranks: 2,
  ...more,
});
const reduce = (comm: number, more: Row = {}): Row => ({ op: 'ncclAllReduce', comm, bytes: 64, ...more });
const destroy = (comm: number): Row => ({ op: 'ncclCommDestroy', comm });

test('calls have the identity of their communicator, and collectives a number', async () => {
  const path = await capture([
    init(0x10, 700, 1),
    reduce(0x10),
    { op: 'ncclSend', comm: 0x10, peer: 0 },
    reduce(0x10, { status: 'error' }),
    { op: 'ncclBcast', comm: 0x10, call_id: 500 },
    { op: 'ncclBroadcast', comm: 0x10, parent_id: 500 },
    reduce(0x10, { status: 'in_flight', duration_ns: null }),
  ]);
  const rows = await query(
    path,
    'SELECT op, comm_id::INTEGER AS id, rank, nranks, seq::INTEGER AS seq FROM nccl_calls ORDER BY start_time',
  );
  const known = { id: 700, rank: 1, nranks: 2 };
  expect(rows).toEqual([
    { op: 'ncclCommInitRankConfig', ...known, seq: null },
    { op: 'ncclAllReduce', ...known, seq: 1 },
    { op: 'ncclSend', ...known, seq: null },
    { op: 'ncclAllReduce', ...known, seq: null },
    { op: 'ncclBcast', ...known, seq: 2 },
    { op: 'ncclBroadcast', ...known, seq: null },
    { op: 'ncclAllReduce', ...known, seq: 3 },
  ]);
});

test('a handle that is used again is another communicator; one from before the trace is nobody', async () => {
  const path = await capture([
    reduce(0x10),
    init(0x10, 700, 0),
    reduce(0x10),
    destroy(0x10),
    // Made unseen at the same address.
    reduce(0x10),
    init(0x10, 800, 1),
    reduce(0x10),
    reduce(0x10),
    // The same handle in another process.
    reduce(0x10, { pid: 200, tid: 200 }),
  ]);
  const rows = await query(
    path,
    `SELECT comm_id::INTEGER AS id, rank, seq::INTEGER AS seq FROM nccl_calls WHERE op = 'ncclAllReduce' ORDER BY start_time`,
  );
  expect(rows).toEqual([
    { id: null, rank: null, seq: null },
    { id: 700, rank: 0, seq: 1 },
    { id: null, rank: null, seq: null },
    { id: 800, rank: 1, seq: 1 },
    { id: 800, rank: 1, seq: 2 },
    { id: null, rank: null, seq: null },
  ]);
  const made = await query(
    path,
    'SELECT comm_id::INTEGER AS id, created_by, ended_at IS NOT NULL AS ended FROM nccl_communicators ORDER BY created_at',
  );
  expect(made).toEqual([
    { id: 700, created_by: 'ncclCommInitRankConfig', ended: true },
    { id: 800, created_by: 'ncclCommInitRankConfig', ended: false },
  ]);
});

test('splits: all ranks of a part agree on its identity, and on no other', async () => {
  const split = (comm: number, made: number, color: number, more: Row = {}): Row => ({
    op: 'ncclCommSplit',
    comm,
    new_comm: made,
    color,
    ...more,
  });
  /** What one rank does: handles are its own. */
  const rank = (pid: number, handle: number, number: number): Row[] =>
    [
      init(handle, 900, number),
      split(handle, handle + 1, number % 2),
      // In no part of this one.
      split(handle, 0, -1),
      split(handle, handle + 2, 0),
      split(handle + 2, handle + 3, 0),
      { op: 'ncclCommUserRank', comm: handle + 3, rank: number },
      { op: 'ncclCommCount', comm: handle + 3, nranks: 4 },
      reduce(handle + 3),
      // Of a communicator nobody saw being made.
      split(0x999, handle + 4, 0),
    ].map((row) => ({ ...row, pid, tid: pid }));
  const path = await capture([...rank(100, 0x10, 0), ...rank(200, 0x50, 2), ...rank(300, 0x90, 1)]);
  const made = await query(
    path,
    `SELECT pid, row_number() OVER (PARTITION BY pid ORDER BY created_at)::INTEGER AS made, comm_id, parent_comm_id, rank, nranks
     FROM nccl_communicators ORDER BY pid, made`,
  );
  const of = (pid: number): Row[] => made.filter((row) => row.pid === pid) as Row[];
  const ids = (pid: number) => of(pid).map(({ comm_id }) => comm_id);
  expect(ids(100)).toEqual(ids(200));
  const [base, part, whole, below, unknown] = ids(300);
  expect([base, whole, below]).toEqual([ids(100)[0], ids(100)[2], ids(100)[3]]);
  expect(part).not.toBe(ids(100)[1]);
  expect(new Set([base, part, ids(100)[1], whole, below]).size).toBe(5);
  expect(unknown).toBeNull();
  expect(of(100).map(({ parent_comm_id }) => parent_comm_id)).toEqual([null, base, base, whole, null]);
  expect(of(200)[3]).toMatchObject({ rank: 2, nranks: 4 });
  const calls = await query(
    path,
    `SELECT count(DISTINCT comm_id)::INTEGER AS ids, list(rank ORDER BY rank)::VARCHAR AS ranks, max(seq)::INTEGER AS seq
     FROM nccl_calls WHERE op = 'ncclAllReduce'`,
  );
  expect(calls).toEqual([{ ids: 1, ranks: '[0, 1, 2]', seq: 1 }]);
});

test('hundreds of communicators: the plan DuckDB chooses for them has no limit of its own', async () => {
  const made = Array.from({ length: 100 }, (_, index) => [
    init(0x1000 + index, 5000 + index, 0),
    { op: 'ncclCommSplit', comm: 0x1000 + index, new_comm: 0x2000 + index, color: 0 },
    reduce(0x2000 + index),
    reduce(0x1000 + index),
    destroy(0x2000 + index),
  ]).flat();
  const path = await capture(made);
  expect(
    await query(
      path,
      `SELECT count(*)::INTEGER AS calls, count(DISTINCT comm_id)::INTEGER AS ids, count(parent_comm_id)::INTEGER AS below,
              max(seq)::INTEGER AS seq
       FROM nccl_calls WHERE op = 'ncclAllReduce'`,
    ),
  ).toEqual([{ calls: 200, ids: 200, below: 100, seq: 1 }]);
});

test('ncclCommInitAll has the identity of the unique id it made itself', async () => {
  const path = await capture([
    { op: 'ncclCommInitAll', comm: 0x10, nranks: 4, call_id: 500, duration_ns: 5_000_000 },
    { op: 'ncclGetUniqueId', comm_id: 77, parent_id: 500 },
  ]);
  expect(await query(path, 'SELECT comm_id::INTEGER AS id, rank, nranks FROM nccl_communicators')).toEqual([
    { id: 77, rank: 0, nranks: 4 },
  ]);
});

test('no number where collectives may be missing', async () => {
  const path = await capture([init(0x10, 700, 0), reduce(0x10)], { hits: 3, rows: 2, lost_ring_full: 1 });
  expect(
    await query(path, `SELECT comm_id::INTEGER AS id, seq FROM nccl_calls WHERE op = 'ncclAllReduce'`),
  ).toEqual([{ id: 700, seq: null }]);
});
