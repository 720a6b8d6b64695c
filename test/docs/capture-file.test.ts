import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type CaptureSchema, type ColumnSpec, readCaptureSchema } from '../../src/capture/schema.js';
import { PACKAGE_ROOT } from '../../src/paths.js';

const FILE = join(PACKAGE_ROOT, 'docs/capture-file.md');
const MARK = '<!-- Generated from schema/';

function table(columns: readonly ColumnSpec[]): string {
  const rows = columns.map(({ name, type, nullable, unit, values, description }) => {
    const kind = type === 'NAME' ? `ENUM${values === undefined ? '' : ` (${values.join(', ')})`}` : type;
    return `| \`${name}\` | ${kind} | ${nullable ? 'yes' : ''} | ${unit ?? ''} | ${description.replaceAll('|', '\\|')} |`;
  });
  return ['| column | type | NULL | unit | |', '|---|---|---|---|---|', ...rows].join('\n');
}

function render(schema: CaptureSchema): string {
  const section = (name: string, description: string, columns: readonly ColumnSpec[]): string =>
    `### ${name}\n\n${description}\n\n${table(columns)}\n`;
  return [
    `${MARK}capture-v${schema.version}.yaml; regenerate: npx vitest run test/docs/capture-file.test.ts -u -->`,
    `## Tables of schema version ${schema.version}\n`,
    ...Object.entries(schema.tables).map(([name, spec]) => section(name, spec.description, spec.columns)),
    section('Every event table', 'Event tables begin with these columns.', schema.event_columns),
    ...Object.entries(schema.event_tables).map(([name, spec]) =>
      section(name, spec.description, spec.columns),
    ),
  ].join('\n');
}

test('docs/capture-file.md describes the schema as it is', async () => {
  const [written = ''] = readFileSync(FILE, 'utf8').split(MARK);
  await expect(`${written}${render(readCaptureSchema())}`).toMatchFileSnapshot(FILE);
});
