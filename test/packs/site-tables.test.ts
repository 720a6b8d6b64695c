import { describe, expect, it } from 'vitest';
import { readCaptureSchema } from '../../src/capture/schema.js';
import { type Pack, parsePack } from '../../src/packs/index.js';
import { withSiteTables } from '../../src/packs/site-tables.js';

const schema = readCaptureSchema();

function packText(table: string, columns: string, capture = '{ arg: size, column: size }'): string {
  return `name: site
version: 1.0.0
description: A library of the site
layer: site
libraries: [{ soname: libsite.so.* }]
table: ${table}
columns:
${columns}
probes:
  - prototype: int site_put(size_t size)
    capture: [${capture}]
`;
}

const SIZE = '  - { name: size, type: UBIGINT, unit: bytes, description: Size }';
const problemsOf = (text: string) =>
  parsePack(text, 'site.yaml', schema).problems.map(({ rule, line }) => [rule, line]);
const pack = (text: string): Pack => parsePack(text, 'site.yaml', schema).pack as Pack;

describe("a pack's own table", () => {
  it('is accepted, and its captures are checked against its columns', () => {
    expect(problemsOf(packText('site_events', SIZE))).toEqual([]);
    expect(problemsOf(packText('site_events', SIZE, '{ arg: size, column: sise }'))).toEqual([
      ['unknown-column', 11],
    ]);
    expect(problemsOf(packText('site_events', SIZE.replace('UBIGINT', 'INTEGER')))).toEqual([
      ['column-type', 11],
    ]);
  });

  it.each(['cuda_events', 'capture', 'Events', 'EVENTS', 'site_args'])('cannot be called %s', (table) => {
    expect(problemsOf(packText(table, SIZE))).toEqual([['table-name', 6]]);
  });

  it('has no column twice, and none that every event table has', () => {
    const columns = [SIZE, SIZE.replace('size', 'Size'), SIZE.replace('size', 'duration_ns')].join('\n');
    expect(problemsOf(packText('site_events', columns))).toEqual([
      ['duplicate-column', 9],
      ['duplicate-column', 10],
    ]);
  });

  it('must be declared', () => {
    const text = packText('site_events', SIZE).replace(/columns:\n.*\n/, '');
    expect(problemsOf(text)).toEqual([['unknown-table', 6]]);
  });

  it('becomes a table of the schema; two packs may share it only when they agree', () => {
    const one = pack(packText('site_events', SIZE));
    const table = withSiteTables(schema, [one]).event_tables.site_events;
    expect(table?.columns).toEqual([
      { name: 'size', type: 'UBIGINT', unit: 'bytes', description: 'Size', nullable: true },
    ]);
    expect(withSiteTables(schema, [one, { ...one, name: 'other' }]).event_tables.site_events).toEqual(table);
    const other = pack(packText('site_events', SIZE.replace('Size }', 'Bytes }')));
    expect(() => withSiteTables(schema, [one, other])).toThrow(/define table site_events differently/);
  });
});
