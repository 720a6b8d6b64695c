import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { IngeroError } from '../../src/errors.js';
import { importGoAgentCapture } from '../../src/import/go-agent/convert.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { readLibrary } from '../../src/query/library.js';
import { named, scratchDir } from '../query/helpers.js';
import { writeAgentFile } from './support/go-agent-file.js';
import { singleNode } from './support/scenario.js';

const dir = scratchDir();
const library = [...readLibrary().values()];

/** Event tables no version of the old agent has rows for: queries of them do not apply, and say so. */
const NEVER_RECORDED = new Set(['torch_alloc_events']);

const SOURCES: readonly (readonly [name: string, write: (path: string) => void])[] = [
  ['0.8', (path) => writeAgentFile(path, '0.8', singleNode('0.8'))],
  ['0.9', (path) => writeAgentFile(path, '0.9', singleNode('0.9'))],
  ['0.10', (path) => writeAgentFile(path, '0.10', singleNode('0.10'))],
  ['0.17', (path) => writeAgentFile(path, '0.17', singleNode('0.17'))],
];

describe.each(SOURCES)('every named query on a converted file of schema %s', (name, write) => {
  const capture = join(dir, `${name}.duckdb`);
  beforeAll(async () => {
    const source = join(dir, `${name}.db`);
    write(source);
    await importGoAgentCapture({ source, out: capture, salvage: false });
  });

  test.each(library.map((query) => [query.name, query] as const))(
    '%s answers, or says why not',
    async (_name, query) => {
      const needed = query.requires.tables.filter((table) => NEVER_RECORDED.has(table));
      try {
        const result = await named(capture, query.name);
        expect(needed).toEqual([]);
        expect(result.columns.map((column) => column.name)).toEqual(
          query.columns.map((column) => column.name),
        );
      } catch (error) {
        if (!(error instanceof IngeroError) || error.code !== 'query-does-not-apply') throw error;
        expect(needed).not.toEqual([]);
        expect(error.message).toContain(needed[0]);
      }
    },
  );
});

describe('on the real 0.8 sample', () => {
  const capture = join(dir, 'real.duckdb');
  beforeAll(async () => {
    const source = join(PACKAGE_ROOT, 'test/fixtures/go-agent/0.8-empty-cache-excerpt.db');
    await importGoAgentCapture({ source, out: capture, salvage: false });
  });

  test('cuda-api-sum counts what the file holds', async () => {
    const { rows } = await named(capture, 'cuda-api-sum');
    expect(Object.fromEntries(rows.map((row) => [row.op, row.calls]))).toEqual({
      cudaLaunchKernel: 84,
      cudaStreamSynchronize: 56,
      cudaMalloc: 45,
      cudaFree: 40,
      cudaMemcpyAsync: 11,
    });
  });
});
