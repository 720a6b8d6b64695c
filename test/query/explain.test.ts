import { join } from 'node:path';
import { expect, test } from 'vitest';
import { explain } from '../../src/explain/explain.js';
import { readLibrary } from '../../src/query/library.js';
import { buildCapture } from '../support/capture-builder.js';
import { scratchDir, withCapture } from './helpers.js';

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
