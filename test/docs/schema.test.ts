import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { SCHEMA_VERSION } from '../../src/capture/version.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { describeSchema } from '../../src/schema/describe.js';
import { renderPages } from '../../src/schema/pages.js';
import { renderRowTypes } from '../../src/schema/row-types.js';

/** What is generated from the schema is fresh. `npm run schema` writes it again. */
const versions = Array.from({ length: SCHEMA_VERSION }, (_, index) =>
  describeSchema(readCaptureSchema(index + 1)),
);
const pages = renderPages(versions);
const BY_HAND = ['versions.md'];

test.each([...pages])('docs/schema/%s', async (name, text) => {
  await expect(text).toMatchFileSnapshot(join(PACKAGE_ROOT, 'docs/schema', name));
});

test('docs/schema/ has no page of a table that is gone', () => {
  expect(readdirSync(join(PACKAGE_ROOT, 'docs/schema')).sort()).toEqual([...pages.keys(), ...BY_HAND].sort());
});

test('src/capture/rows.ts', async () => {
  const newest = versions.at(-1) as (typeof versions)[number];
  await expect(renderRowTypes(newest)).toMatchFileSnapshot(join(PACKAGE_ROOT, 'src/capture/rows.ts'));
});

test('every table and column of every version says what it is, and refers to a key there is', () => {
  for (const { schema_version, tables } of versions) {
    const keys = new Set(tables.flatMap(({ name, key }) => key.map((column) => `${name}.${column}`)));
    for (const { name, description, key, columns } of tables) {
      const at = `${name} in version ${schema_version}`;
      expect(description, at).toMatch(/\S/);
      expect(columns.map((column) => column.name)).toEqual(expect.arrayContaining([...key]));
      for (const column of columns) {
        expect(column.description, `${at}: ${column.name}`).toMatch(/\S/);
        expect(column.type, `${at}: ${column.name}`).toMatch(/^[A-Z_]+(\[\])?$/);
        if (column.references !== null) expect(keys, `${at}: ${column.name}`).toContain(column.references);
      }
    }
  }
});

/** Unquoted text with a comma would end at the comma, and the rest become a key of its own. */
test('a column of an unreleased version is specified with keys there are', () => {
  const known = new Set([
    ...['name', 'type', 'values', 'nullable', 'nullable_since', 'unit', 'description', 'storage'],
    ...['references', 'since', 'migrate'],
  ]);
  const { tables, event_columns, event_tables, views = {} } = readCaptureSchema();
  const specs = [...Object.values({ ...tables, ...event_tables, ...views }), { columns: event_columns }];
  const keys = specs.flatMap(({ columns }) => columns.flatMap(Object.keys));
  expect([...new Set(keys)].filter((key) => !known.has(key))).toEqual([]);
});
