import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/paths.js';

const page = readFileSync(join(PACKAGE_ROOT, 'docs/exit-codes.md'), 'utf8');
const rows = new Map([...page.matchAll(/^\| (\d+) \|.*$/gm)].map((match) => [Number(match[1]), match[0]]));

test('every exit code has its row, and no other', () => {
  expect([...rows.keys()].sort((a, b) => a - b)).toEqual(Object.values(EXIT).sort((a, b) => a - b));
});

test('identifiers on the page exist in the sources', () => {
  const code = ['src', 'packaging']
    .flatMap((folder) =>
      readdirSync(join(PACKAGE_ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => readFileSync(join(PACKAGE_ROOT, folder, file), 'utf8')),
    )
    .join('\n');
  const identifiers = [...rows.values()].flatMap((row) =>
    [...(row.split('|')[3] ?? '').matchAll(/`([a-z-]+)`/g)].map((m) => m[1]),
  );
  expect(identifiers.length).toBeGreaterThan(20);
  expect(identifiers.filter((identifier) => !code.includes(`'${identifier}'`))).toEqual([]);
});
