import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readLibrary } from '../../src/query/library.js';
import { buildCapture } from '../support/capture-builder.js';
import { CASES_DIR, readCases, renderResult } from './cases.js';
import { named, scratchDir } from './helpers.js';

const dir = scratchDir();
const names = [...readLibrary().keys()];

// After a change that is meant: npx vitest run test/query/cases.test.ts -u, and read what has changed.
describe('tiny capture, query, expected rows', () => {
  test.each(names)('%s', async (name) => {
    const answers: string[] = [];
    for (const { case: title, params, rows } of readCases(name)) {
      const path = join(mkdtempSync(join(dir, 'case-')), 'run.duckdb');
      await buildCapture(path, rows);
      answers.push(renderResult(title, params, await named(path, name, params)));
    }
    await expect(`${answers.join('\n\n')}\n`).toMatchFileSnapshot(join(CASES_DIR, `${name}.expected`));
  });

  test('every case belongs to a query', () => {
    const stems = readdirSync(CASES_DIR).map((file) => file.replace(/\.(yaml|expected)$/, ''));
    expect([...new Set(stems)].sort()).toEqual([...names].sort());
  });
});
