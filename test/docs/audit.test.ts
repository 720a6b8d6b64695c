import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PACKAGE_ROOT } from '../../src/paths.js';

const page = readFileSync(join(PACKAGE_ROOT, 'docs/audit.md'), 'utf8');
const rows = [...page.matchAll(/^\| (.*) \|$/gm)]
  .map(([, row = '']) => row.split(/ *\| */))
  .filter(([claim]) => claim !== 'claim' && !/^-/.test(claim as string));

test('every claim of the audit guide names a test or a check that is there', () => {
  expect(rows.length).toBeGreaterThan(25);
  for (const [claim, , proof = ''] of rows) {
    const named = [...proof.matchAll(/`([^`]+)`/g)].map(([, path]) => path as string);
    expect([claim, named.length > 0]).toEqual([claim, true]);
    for (const path of named) {
      expect(path).toMatch(/^test\/.+\.test\.ts$|^packaging\//);
      expect([path, existsSync(join(PACKAGE_ROOT, path))]).toEqual([path, true]);
    }
  }
});

test('every file its text and commands name is there, and npm scripts as well', () => {
  const { scripts } = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  const paths = [...page.matchAll(/\b(?:test|packaging)\/[\w./-]*\w/g)].map(([path]) => path);
  expect(paths.length).toBeGreaterThan(rows.length);
  expect(paths.filter((path) => !existsSync(join(PACKAGE_ROOT, path)))).toEqual([]);
  const run = [...page.matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name as string);
  expect(run.filter((name) => scripts[name] === undefined)).toEqual([]);
});
