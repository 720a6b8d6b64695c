import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type ColumnSpec, readCaptureSchema } from '../../src/capture/schema.js';
import { SCHEMA_VERSION } from '../../src/capture/version.js';
import { PACKAGE_ROOT } from '../../src/paths.js';

const released = JSON.parse(readFileSync(join(PACKAGE_ROOT, 'schema/released.json'), 'utf8')) as Record<
  string,
  string
>;
const versions = Array.from({ length: SCHEMA_VERSION }, (_, index) => index + 1);

/** Every list of columns of a version, by table. */
function columnLists(version: number): Map<string, { columns: readonly ColumnSpec[]; since: number }> {
  const schema = readCaptureSchema(version);
  const tables = Object.entries({ ...schema.tables, ...schema.event_tables, ...schema.views });
  return new Map([
    ['event_columns', { columns: schema.event_columns, since: 1 }],
    ...tables.map(([name, { columns, since }]) => [name, { columns, since: since ?? 1 }] as const),
  ]);
}

test('a released version does not change, and every version before the newest is released', () => {
  for (const version of versions) {
    const text = readFileSync(join(PACKAGE_ROOT, `schema/capture-v${version}.yaml`));
    const digest = createHash('sha256').update(text).digest('hex');
    if (version < SCHEMA_VERSION || String(version) in released) {
      expect(digest, `schema/capture-v${version}.yaml is released`).toBe(released[version]);
    }
  }
});

test.each(versions.slice(1))('version %i keeps what the version before promised', (version) => {
  const before = columnLists(version - 1);
  const after = columnLists(version);
  for (const [table, { columns }] of before) {
    for (const { name, type, unit, nullable, values = [] } of columns) {
      const now = after.get(table)?.columns.find((column) => column.name === name);
      expect(now, `${table}.${name}`).toMatchObject({ type });
      // A column may become nullable, for files that do not have the value; the version says so.
      const wasNullable = now?.nullable === true && now.nullable_since !== version;
      expect([now?.unit, wasNullable], `${table}.${name}`).toEqual([unit, nullable ?? false]);
      expect(now?.values ?? [], `${table}.${name}`).toEqual(expect.arrayContaining([...values]));
    }
  }
});

test.each(versions.slice(1))('version %i says of what it adds since when and how it is filled', (version) => {
  const before = columnLists(version - 1);
  for (const [table, { columns, since }] of columnLists(version)) {
    const old = before.get(table);
    if (old === undefined) expect(since, table).toBe(version);
    for (const column of columns) {
      const name = `${table}.${column.name}`;
      if (old === undefined || old.columns.some((known) => known.name === column.name)) continue;
      expect(column.since, name).toBe(version);
      if (!column.nullable) expect(column.migrate, `${name} has no rule for old rows`).toBeTruthy();
    }
  }
});
