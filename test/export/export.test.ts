import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { type AsyncBuffer, parquetReadObjects } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventColumns, readCaptureSchema } from '../../src/capture/schema.js';
import { EXIT } from '../../src/errors.js';
import { exportCapture, MANIFESTS } from '../../src/export/export.js';
import { exportedColumns } from '../../src/export/types.js';
import { failure, scratchDir, sha256, sql } from '../query/helpers.js';
import { buildCapture } from '../support/capture-builder.js';
import { buildNodes } from '../support/nodes.js';

const dir = scratchDir();
const DAY = 86_400 * 1_000_000_000;
const id = (number: number): string => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`;

/** Another reader's view of the export: DuckDB knows nothing of captures here. */
let engine: Awaited<ReturnType<DuckDBInstance['connect']>>;
beforeAll(async () => {
  engine = await (await DuckDBInstance.create(':memory:')).connect();
});
afterAll(() => engine.closeSync());

const lake = (root: string, table: string): string =>
  `read_parquet('${root}/table=${table}/*/*/*.parquet', hive_partitioning = true)`;
async function ask(text: string): Promise<unknown[][]> {
  const rows = (await engine.runAndReadAll(text)).getRowsJson();
  return rows as unknown[][];
}

async function capture(number: number, hostname: string, days = 1): Promise<string> {
  const path = join(dir, `capture-${number}.duckdb`);
  await buildCapture(path, {
    capture: { capture_id: id(number), hostname },
    packs: [{}],
    probes: [{ op: 'cudaMalloc' }],
    processes: [{ pid: 100 }],
    cudaEvents: Array.from({ length: 40 }, (_, index) => ({
      op: index % 2 === 0 ? 'cudaMalloc' : 'cudaFree',
      bytes: index === 7 ? null : 2 ** 40 + index,
      ptr: 0xffff_ffff_ffff_0000n + BigInt(index),
      start_time: (index % days) * DAY + index + 1,
    })),
  });
  return path;
}

const files = (root: string): string[] =>
  readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.parquet'))
    .sort();

describe('one capture', () => {
  const root = join(dir, 'one');
  let source: string;
  beforeAll(async () => {
    source = await capture(1, 'host-1', 3);
    const before = sha256(source);
    await exportCapture(source, root, 'test', false);
    expect(sha256(source)).toBe(before);
  });

  test('lies by table, host and date', () => {
    expect(files(root).filter((name) => name.startsWith('table=cuda_events'))).toEqual(
      ['2026-01-01', '2026-01-02', '2026-01-03'].map(
        (date) => `table=cuda_events/host=host-1/date=${date}/${id(1)}-0.parquet`,
      ),
    );
    expect(readdirSync(root).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(readFileSync(join(root, 'README.md'), 'utf8')).toContain('table=TABLE/host=HOST/date=YYYY-MM-DD');
  });

  test('has the rows of the capture, exactly', async () => {
    const facts = (nanoseconds: string, from: string): string =>
      `SELECT count(*)::INT, sum(bytes)::VARCHAR, count(bytes)::INT, max(ptr)::VARCHAR, sum(${nanoseconds})::VARCHAR,
              string_agg(DISTINCT op, ',' ORDER BY op) FROM ${from}`;
    const [expected] = (
      await sql(
        source,
        facts('epoch_ns(start_time)', '(SELECT * REPLACE (op::VARCHAR AS op) FROM cuda_events)'),
      )
    ).rows;
    expect((await ask(facts('start_time_ns', lake(root, 'cuda_events'))))[0]).toEqual(
      Object.values(expected ?? {}),
    );
    expect(
      await ask(`SELECT DISTINCT capture_id, host, date::VARCHAR FROM ${lake(root, 'capture')}`),
    ).toEqual([[id(1), 'host-1', '2026-01-01']]);
    expect(
      await ask(
        `SELECT count(*)::INT FROM ${lake(root, 'cuda_events')} e JOIN ${lake(root, 'probes')} p USING (capture_id, run_id, probe_id)`,
      ),
    ).toEqual([[40]]);
  });

  test('is read by a second, independent reader', async () => {
    let rows = 0;
    let bytes = 0n;
    for (const name of files(root).filter((file) => file.startsWith('table=cuda_events'))) {
      const content = readFileSync(join(root, name));
      const file: AsyncBuffer = {
        byteLength: content.length,
        slice: (start, end) => Uint8Array.from(content.subarray(start, end)).buffer,
      };
      for (const row of await parquetReadObjects({ file, compressors })) {
        rows += 1;
        expect(row.capture_id).toBe(id(1));
        expect(['cudaMalloc', 'cudaFree']).toContain(row.op);
        expect(row.start_time).toBeInstanceOf(Date);
        bytes += BigInt(row.bytes ?? 0);
      }
    }
    expect(rows).toBe(40);
    const [sum] = (await sql(source, 'SELECT sum(bytes)::VARCHAR AS s FROM cuda_events')).rows;
    expect(String(bytes)).toBe(sum?.s);
  });

  test('has a manifest of its files', async () => {
    const manifest = JSON.parse(readFileSync(join(root, MANIFESTS, `${id(1)}.json`), 'utf8'));
    expect(manifest).toMatchObject({
      format: 'ingero-export',
      version: 1,
      capture_id: id(1),
      host: 'host-1',
    });
    expect(manifest.files.map(({ path }: { path: string }) => path).sort()).toEqual(files(root));
    for (const { path, sha256: digest } of manifest.files) expect(sha256(join(root, path))).toBe(digest);
    expect(
      manifest.files
        .filter(({ table }: { table: string }) => table === 'cuda_events')
        .reduce((sum: number, { rows }: { rows: number }) => sum + rows, 0),
    ).toBe(40);
  });

  test('is not written twice, but replaced when told', async () => {
    const before = files(root);
    expect(await failure(exportCapture(source, root, 'test', false))).toMatchObject({
      code: 'output-exists',
      exitCode: EXIT.output,
    });
    await exportCapture(source, root, 'test', true);
    expect(files(root)).toEqual(before);
    expect(await ask(`SELECT count(*)::INT FROM ${lake(root, 'cuda_events')}`)).toEqual([[40]]);
  });
});

test('every column has a type that Spark, Trino and others have', () => {
  const schema = readCaptureSchema();
  const columns = [
    ...Object.values(schema.tables).flatMap((table) => table.columns),
    ...Object.keys(schema.event_tables).flatMap((table) => eventColumns(schema, table)),
  ];
  const portable = /^(BIGINT|INTEGER|SMALLINT|BOOLEAN|DOUBLE|FLOAT|VARCHAR|VARCHAR\[\]|NAME|BLOB)$/;
  const strange = columns.filter(
    (column) => !portable.test(column.type) && exportedColumns(column).every((text) => !text.includes('::')),
  );
  expect(strange.map(({ name, type }) => `${name} ${type}`)).toEqual([]);
});

test('many captures write to one folder at once; names of hosts may be anything', async () => {
  const root = join(dir, 'many');
  const hosts = ['..', "it's a/b", 'x=y%20z ✓'];
  const sources: string[] = [];
  for (const [index, host] of hosts.entries()) sources.push(await capture(10 + index, host));
  await Promise.all(sources.map((source) => exportCapture(source, root, 'test', false)));
  expect(
    await ask(`SELECT host, count(*)::INT FROM ${lake(root, 'cuda_events')} GROUP BY 1 ORDER BY 1`),
  ).toEqual([...hosts].sort().map((host) => [host, 40]));
  expect(readdirSync(join(root, MANIFESTS)).length).toBe(hosts.length);
  expect(readdirSync(dir).filter((name) => name.startsWith('host='))).toEqual([]);
}, 60_000);

test('100 nodes: small files, and a query for one host or day opens only theirs (1000: test/bench)', async () => {
  const path = join(dir, 'nodes.duckdb');
  const root = join(dir, 'nodes');
  await buildNodes(path, 100, 20, (run) => id(100 + run));
  const manifests = await exportCapture(path, root, 'test', false);
  expect(manifests.length).toBe(100);
  expect(files(root).filter((name) => name.startsWith('table=cuda_events')).length).toBe(199);
  expect(
    await ask(`SELECT count(*)::INT, count(DISTINCT host)::INT FROM ${lake(root, 'cuda_events')}`),
  ).toEqual([[1981, 100]]);
  const opened = async (where: string): Promise<string | undefined> => {
    const plan = await ask(
      `EXPLAIN (ANALYZE, FORMAT json) SELECT sum(bytes) FROM ${lake(root, 'cuda_events')} WHERE ${where}`,
    );
    return /"Scanning Files": *"(\d+\/\d+)"/.exec(String(plan[0]?.[1]))?.[1];
  };
  expect(await opened("host = 'node-0050'")).toBe('2/199');
  expect(await opened("date = DATE '2026-01-02'")).toBe('99/199');
  expect(await opened("host = 'node-0050' AND date = DATE '2026-01-02'")).toBe('1/199');
}, 60_000);

describe('refused, and nothing is left', () => {
  test('a truncated capture, none, a folder that is a file', async () => {
    const root = join(dir, 'refused');
    const source = await capture(30, 'h');
    const cut = join(dir, 'cut.duckdb');
    writeFileSync(cut, readFileSync(source).subarray(0, 60_000));
    for (const file of [cut, join(dir, 'none.duckdb')]) {
      expect((await failure(exportCapture(file, root, 'test', false))).exitCode).toBe(EXIT.badCapture);
    }
    expect(readdirSync(root)).toEqual([]);
    const file = join(dir, 'a-file');
    writeFileSync(file, '');
    expect(await failure(exportCapture(source, file, 'test', false))).toMatchObject({
      exitCode: EXIT.output,
    });
  });

  test('a failure half-way leaves no file of the capture', async () => {
    const root = join(dir, 'half');
    mkdirSync(join(root, 'table=threads'), { recursive: true });
    const source = await capture(31, 'h');
    // A column of another type makes one of the tables fail.
    const instance = await DuckDBInstance.create(source);
    const connection = await instance.connect();
    await connection.run('ALTER TABLE threads ALTER tid SET DATA TYPE VARCHAR');
    await connection.run(
      "INSERT INTO threads (tid, pid, process_id, name, run_id, first_seen) VALUES ('x', 1, 1, 'n', 1, now()::TIMESTAMP)",
    );
    connection.closeSync();
    instance.closeSync();
    await expect(exportCapture(source, root, 'test', false)).rejects.toThrow();
    expect(files(root)).toEqual([]);
    expect(readdirSync(root).filter((name) => name.startsWith('.'))).toEqual([]);
    expect(existsSync(join(root, MANIFESTS))).toBe(false);
  });
});
