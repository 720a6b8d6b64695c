import { copyFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/errors.js';
import { PACKAGE_ROOT } from '../../src/paths.js';
import { sqlite, writeAgentFile } from '../import/support/go-agent-file.js';
import { events, merged, singleNode } from '../import/support/scenario.js';
import { fingerprint, scratchDir, sql } from '../query/helpers.js';
import { buildCli, type Cli } from '../support/cli.js';

const dir = scratchDir();
let cli: Cli;

beforeAll(async () => {
  cli = await buildCli();
});
afterAll(() => cli.remove());

const folder = (): string => mkdtempSync(join(dir, 'case-'));
const fixture = (name: string): string => join(PACKAGE_ROOT, 'test/fixtures/go-agent', name);

interface Converted {
  files: {
    state?: string;
    error?: { code: string };
    salvage: { source_table: string; damaged_places: number }[];
    accounting: { source_table: string; source_rows: number; converted: number; reason: string | null }[];
  }[];
}

test('converts, says what became of every row, and leaves the original as it is', async () => {
  const at = folder();
  const file = join(at, 'old.db');
  copyFileSync(fixture('0.9-node-01.db'), file);
  const before = fingerprint(at)['old.db'];
  const out = join(at, 'new.duckdb');
  const { code, stdout, stderr } = await cli.run(['migrate', file, '--out', out]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/old\.db: Go agent, schema 0\.9, 1 run, 200 events, .* s\n/);
  expect(stdout).toMatch(/rows read = [\d,]+ converted \+ [\d,]+ left out; counted again in the new file\n/);
  expect(stdout).toMatch(/left out: 7 of process_names: no event is of this process\n/);
  expect(stdout).toContain(`written to ${out}; the original is unchanged\n`);
  expect(fingerprint(at)['old.db']).toBe(before);
  expect(readdirSync(at).sort()).toEqual(['new.duckdb', 'old.db']);
  const again = await cli.run(['migrate', file, '--out', out]);
  expect(again.code).toBe(EXIT.output);
});

test('--dry-run writes nothing; a directory is converted as a whole, each file beside the old one', async () => {
  const at = folder();
  writeAgentFile(join(at, 'a.db'), '0.8', singleNode('0.8'));
  writeAgentFile(join(at, 'b.db'), '0.17', merged('0.17'));
  sqlite(join(at, 'c.db'), 'CREATE TABLE places (url TEXT);');
  const dry = await cli.run(['migrate', join(at, 'a.db'), '--dry-run']);
  expect(dry.stdout).toMatch(
    new RegExp(`a\\.db: Go agent, schema 0\\.8, 1 run, ${events('0.8', '').length} events; would be written`),
  );
  expect(readdirSync(at)).toHaveLength(3);
  const { code, stdout } = await cli.run(['migrate', at, '--json']);
  expect(code).toBe(EXIT.badCapture);
  const { files } = JSON.parse(stdout) as Converted;
  expect(files.map(({ state, error }) => state ?? error?.code)).toEqual([
    'converted',
    'converted',
    'not-a-capture',
  ]);
  for (const line of files.slice(0, 2).flatMap(({ accounting }) => accounting)) {
    expect(line.source_rows === line.converted).toBe(line.reason === null);
  }
  expect(readdirSync(at).sort()).toEqual(['a.db', 'a.duckdb', 'b.db', 'b.duckdb', 'c.db']);
});

describe('a damaged file', () => {
  test('is an error; --salvage converts what can be read and records what could not', async () => {
    const at = folder();
    const file = join(at, 'old.db');
    const bytes = readFileSync(fixture('0.8-empty-cache-excerpt.db'));
    // The end of the file is gone, as after a copy that was cut off.
    writeFileSync(file, bytes.subarray(0, Math.floor(bytes.length * 0.6)));
    const refused = await cli.run(['migrate', file]);
    expect(refused.code).toBe(EXIT.badCapture);
    expect(refused.stderr).toMatch(/old\.db is truncated or damaged: page \d+: .*\n.*\n.*--salvage/);
    expect(readdirSync(at)).toEqual(['old.db']);
    const saved = await cli.run(['migrate', file, '--salvage', '--json']);
    expect(saved.code).toBe(EXIT.ok);
    const [report] = (JSON.parse(saved.stdout) as Converted).files;
    expect(report?.salvage.length).toBeGreaterThan(0);
    const out = join(at, 'old.duckdb');
    const stored = (await sql(out, 'SELECT source_table, damaged_places FROM import_salvage')).rows.map(
      Object.values,
    );
    expect(stored).toEqual(
      report?.salvage.map(({ source_table, damaged_places }) => [source_table, damaged_places]),
    );
    expect((await sql(out, 'SELECT is_partial FROM imports')).rows).toEqual([{ is_partial: true }]);
    expect((await sql(out, 'SELECT count(*) AS n FROM events')).rows[0]?.n).toBeGreaterThan(100);
  });

  test('stays where it is: --in-place and another --to are refused', async () => {
    const at = folder();
    const file = join(at, 'old.db');
    writeAgentFile(file, '0.10', singleNode('0.10'));
    expect((await cli.run(['migrate', file, '--in-place'])).code).toBe(EXIT.output);
    expect((await cli.run(['migrate', file, '--to', '1'])).code).toBe(EXIT.usage);
    expect(readdirSync(at)).toEqual(['old.db']);
  });
});
