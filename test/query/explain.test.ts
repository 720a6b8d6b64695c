import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { explain } from '../../src/explain/explain.js';
import { Budget } from '../../src/query/budget.js';
import { execute } from '../../src/query/execute.js';
import { readLibrary } from '../../src/query/library.js';
import { openCapture } from '../../src/query/open.js';
import { buildCapture, type Row } from '../support/capture-builder.js';
import { failure, scratchDir, toJson, withCapture } from './helpers.js';

test('a detection that needs more memory than there is is named, and the others answer', async () => {
  const path = join(scratchDir(), 'run.duckdb');
  await buildCapture(path, {
    processes: [{ pid: 100, comm: 'train' }],
    cudaEvents: [{ op: 'cudaMalloc', status: 'error', error: 'cudaErrorMemoryAllocation' }],
  });
  const library = new Map(
    [...readLibrary()].filter(([name]) => ['find-errors', 'find-hangs'].includes(name)),
  );
  const hangs = library.get('find-hangs');
  if (hangs === undefined) throw new Error('no find-hangs');
  const sql = 'SELECT i FROM range(100000000) t (i) ORDER BY hash(i + $min_ms)';
  library.set('find-hangs', { ...hangs, sql });
  await withCapture(
    path,
    async (capture, budget) => {
      const { findings, clean, skipped } = await explain(capture, [path], library, budget);
      expect(findings.map(({ detection }) => detection)).toEqual(['find-errors']);
      expect(clean).toEqual([]);
      expect(skipped).toEqual([
        { detection: 'find-hangs', reason: expect.stringContaining('more memory than it may use') },
      ]);
    },
    { memoryLimit: '50MB' },
  );
});

test('a query that failed for want of memory leaves none taken from the next', async () => {
  const path = join(scratchDir(), 'run.duckdb');
  await buildCapture(path, {});
  await withCapture(
    path,
    async (capture, budget) => {
      const held = 'SELECT (sum(memory_usage_bytes) / 1e6)::INTEGER AS mb FROM duckdb_memory()';
      // A table of a join is held while the window above it runs out of memory.
      const greedy =
        'SELECT max(l) FROM (SELECT row_number() OVER (PARTITION BY i % 8 ORDER BY hash(i)) AS l FROM range(20000000) a (i) JOIN range(1000000) b (j) ON i % 1000000 = j)';
      expect(await failure(execute(capture, greedy, budget).then(toJson))).toMatchObject({
        code: 'sql-out-of-memory',
      });
      const { rows } = await toJson(await execute(capture, held, budget));
      expect(rows[0]?.mb).toBeLessThan(10);
    },
    { memoryLimit: '100MB' },
  );
});

describe('a job whose ranks were recorded apart', () => {
  const HOUR = 3_600_000_000_000;
  const MS = 1_000_000;

  /** What one rank did, recorded by itself on `boot` of a host whose clock is `clock` ns late: a collective and a wait every 10 ms. */
  async function rank(
    path: string,
    number: number,
    { boot = number, clock = 0, late = 0, waits = MS, steps = 40 },
  ): Promise<string> {
    const times = Array.from({ length: steps }, (_, step) => clock + 100 * MS + 10 * MS * step + late);
    const collectives: Row[] = times.map((start_time) => ({
      op: 'ncclAllReduce',
      comm: 5,
      bytes: 4096,
      start_time,
    }));
    await buildCapture(path, {
      capture: {
        capture_id: `00000000-0000-4000-8000-0000000000a${number}`,
        boot_id: `00000000-0000-4000-8000-0000000000b${boot}`,
        hostname: `host-${boot}`,
        started_at: clock,
        ended_at: clock + 10_000 * MS,
      },
      probes: [{ probe_id: 0, op: 'ncclAllReduce' }],
      // Containers of one image: pids and handles say nothing about who is who.
      processes: [{ pid: 100, comm: `rank-${number}` }],
      threads: [{ tid: 100, pid: 100, process_id: 100 }],
      cudaEvents: times.map((time, index) => ({
        ...{
          op: 'cudaStreamSynchronize',
          call_id: 1000 + index,
          start_time: time + 10_000,
          duration_ns: waits,
        },
      })),
      events: {
        nccl_events: [
          { op: 'ncclCommInitRank', comm: 5, comm_id: 77, nranks: 2, rank: number, start_time: clock },
          ...collectives,
        ].map((row, index) => ({ layer: 'nccl', call_id: 1 + index, ...row })),
      },
    });
    return path;
  }

  /** What the detections about ranks find in several captures. */
  async function found(files: readonly string[]): Promise<[string, string | null, number | null][]> {
    const capture = await openCapture(files);
    const budget = new Budget(capture.connection, 0);
    const library = new Map(
      [...readLibrary()].filter(([name]) => /^find-nccl-(slow|strag|desync)/.test(name)),
    );
    try {
      const { findings } = await explain(capture, files, library, budget);
      return findings.map(({ detection, where }) => [detection, where.process, where.rank]);
    } finally {
      budget.dispose();
      capture.close();
    }
  }

  const dir = scratchDir();
  const at = (name: string) => join(dir, `${name}.duckdb`);

  test('on one host: the late one is named by its arrivals', async () => {
    const files = [
      await rank(at('here-0'), 0, { boot: 0, waits: 5 * MS }),
      await rank(at('here-1'), 1, { boot: 0, late: 4 * MS }),
    ];
    expect(await found(files)).toEqual([['find-nccl-stragglers', 'rank-1', 1]]);
  });

  test('on two hosts an hour apart by their clocks: the late one is named by its waits', async () => {
    const files = [
      await rank(at('apart-0'), 0, { waits: 5 * MS }),
      await rank(at('apart-1'), 1, { clock: HOUR, late: 4 * MS }),
    ];
    expect(await found(files)).toEqual([['find-nccl-slow-ranks', 'rank-1', 1]]);
  });

  test('on two hosts an hour apart by their clocks: the one that stays away is named', async () => {
    const files = [
      await rank(at('away-0'), 0, {}),
      await rank(at('away-1'), 1, { clock: -HOUR / 2, steps: 20 }),
    ];
    expect(await found(files)).toEqual([['find-nccl-desync', 'rank-1', 1]]);
  });

  test('in step: nothing is found, however far the clocks are apart', async () => {
    for (const clock of [0, 4 * MS, HOUR]) {
      const files = [
        await rank(at(`step-0-${clock}`), 0, {}),
        await rank(at(`step-1-${clock}`), 1, { clock }),
      ];
      expect(await found(files)).toEqual([]);
    }
  });
});
