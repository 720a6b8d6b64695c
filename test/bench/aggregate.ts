import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';
import { median } from './report.js';

const QUANTILES = [0.5, 0.9, 0.99];

/** Calls, mean and exact quantiles by operation: seconds in DuckDB through the view, and in sqlite3 on the same rows. */
export async function benchAggregate(
  capture: string,
  sqlitePath: string,
): Promise<{ rows: number; duckdb: number; sqlite: number | null }> {
  const instance = await DuckDBInstance.create(capture, { access_mode: 'READ_ONLY', threads: '2' });
  const connection = await instance.connect();
  const sql = `SELECT op, count(*), avg(duration_ns), quantile_disc(duration_ns, [${QUANTILES.join(', ')}]) FROM cuda_events GROUP BY op`;
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const before = performance.now();
    await connection.runAndReadAll(sql);
    times.push((performance.now() - before) / 1000);
  }
  const rows = Number((await connection.runAndReadAll('SELECT count(*) FROM cuda_events')).getRows()[0]?.[0]);
  const csv = `${sqlitePath}.csv`;
  if (existsSync('/usr/bin/sqlite3'))
    await connection.run(`COPY (SELECT op, duration_ns FROM cuda_events) TO '${csv}' (HEADER false)`);
  connection.closeSync();
  instance.closeSync();
  return { rows, duckdb: median(times), sqlite: existsSync(csv) ? sqliteSeconds(sqlitePath, csv) : null };
}

function sqliteSeconds(path: string, csv: string): number {
  if (existsSync(path)) rmSync(path);
  const quantiles = QUANTILES.map(
    (q) => `max(CASE WHEN n = CAST(ceil(${q} * total) AS INT) THEN duration_ns END)`,
  ).join(', ');
  const query = `SELECT op, total, avg(duration_ns), ${quantiles} FROM (SELECT op, duration_ns,
    row_number() OVER (PARTITION BY op ORDER BY duration_ns) AS n, count(*) OVER (PARTITION BY op) AS total FROM e) GROUP BY op;`;
  const script = `${path}.sql`;
  writeFileSync(script, `CREATE TABLE e(op TEXT, duration_ns INTEGER);\n.mode csv\n.import ${csv} e\n`);
  execFileSync('/usr/bin/sqlite3', [path, `.read ${script}`]);
  const before = performance.now();
  execFileSync('/usr/bin/sqlite3', [path, query]);
  const seconds = (performance.now() - before) / 1000;
  for (const file of [path, csv, script]) rmSync(file);
  return seconds;
}
