import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { DuckDBInstance } from '@duckdb/node-api';
import { median } from './report.js';

/** One question in the SQL of both engines, over a table of the columns below. */
interface Aggregate {
  name: string;
  duckdb: string;
  sqlite: string;
}

const same = (name: string, sql: string): Aggregate => ({ name, duckdb: sql, sqlite: sql });

const QUANTILES = [0.5, 0.9, 0.99];

/** What the five heaviest summaries of the query library compute. */
const AGGREGATES: readonly Aggregate[] = [
  {
    name: 'quantiles by operation',
    duckdb: `SELECT op, count(*), avg(duration_ns), quantile_disc(duration_ns, [${QUANTILES.join(', ')}]) FROM e GROUP BY op`,
    sqlite: `SELECT op, total, avg(duration_ns), ${QUANTILES.map((q) => `max(CASE WHEN n = CAST(ceil(${q} * total) AS INT) THEN duration_ns END)`).join(', ')}
      FROM (SELECT op, duration_ns, row_number() OVER (PARTITION BY op ORDER BY duration_ns) AS n, count(*) OVER (PARTITION BY op) AS total FROM e)
      GROUP BY op`,
  },
  {
    name: 'calls by second and process',
    duckdb:
      'SELECT at_ns // 1000000000, pid, count(*), sum(duration_ns), max(duration_ns) FROM e GROUP BY ALL',
    sqlite:
      'SELECT at_ns / 1000000000 AS s, pid, count(*), sum(duration_ns), max(duration_ns) FROM e GROUP BY s, pid',
  },
  same(
    'copies by direction',
    "SELECT kind, op, count(*), sum(bytes), max(bytes), sum(duration_ns) FROM e WHERE op LIKE 'cudaMemcpy%' GROUP BY kind, op",
  ),
  same(
    'waits by thread',
    "SELECT pid, tid, op, count(*), sum(duration_ns), max(duration_ns) FROM e WHERE op LIKE '%Synchronize' GROUP BY pid, tid, op",
  ),
  {
    name: 'longest pause between launches',
    duckdb:
      'SELECT pid, max(gap) FROM (SELECT pid, at_ns - lag(at_ns) OVER (PARTITION BY pid ORDER BY at_ns) AS gap FROM e) GROUP BY pid',
    sqlite:
      'SELECT pid, max(gap) FROM (SELECT pid, at_ns - lag(at_ns) OVER (PARTITION BY pid ORDER BY at_ns) AS gap FROM e) GROUP BY pid',
  },
];

const ROWS = `SELECT op::VARCHAR AS op, duration_ns, epoch_ns(start_time) AS at_ns, pid, tid, bytes, kind::VARCHAR AS kind FROM cuda_events`;
const SQLITE = '/usr/bin/sqlite3';

/** Seconds each aggregate takes in DuckDB through the view of a capture, and in sqlite3 on the same rows. */
export interface AggregateCost {
  name: string;
  rows: number;
  duckdb: number;
  /** Null without sqlite3 on this host. */
  sqlite: number | null;
}

/** Asks each aggregate of both engines. The sqlite3 file is removed afterwards. */
export async function benchAggregates(capture: string, sqlitePath: string): Promise<AggregateCost[]> {
  const instance = await DuckDBInstance.create(capture, { access_mode: 'READ_ONLY', threads: '2' });
  const connection = await instance.connect();
  const seconds = new Map<string, number>();
  for (const { name, duckdb } of AGGREGATES) {
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      const before = performance.now();
      await connection.runAndReadAll(`WITH e AS NOT MATERIALIZED (${ROWS}) ${duckdb}`);
      times.push((performance.now() - before) / 1000);
    }
    seconds.set(name, median(times));
  }
  const rows = Number((await connection.runAndReadAll('SELECT count(*) FROM cuda_events')).getRows()[0]?.[0]);
  const csv = `${sqlitePath}.csv`;
  if (existsSync(SQLITE)) await connection.run(`COPY (${ROWS}) TO '${csv}' (HEADER false)`);
  connection.closeSync();
  instance.closeSync();
  if (existsSync(csv)) loadSqlite(sqlitePath, csv);
  const costs = AGGREGATES.map(({ name, sqlite }) => ({
    name,
    rows,
    duckdb: seconds.get(name) ?? Number.NaN,
    sqlite: existsSync(sqlitePath) ? sqliteSeconds(sqlitePath, sqlite) : null,
  }));
  rmSync(sqlitePath, { force: true });
  return costs;
}

function loadSqlite(path: string, csv: string): void {
  rmSync(path, { force: true });
  const script = `${path}.sql`;
  const columns =
    'op TEXT, duration_ns INTEGER, at_ns INTEGER, pid INTEGER, tid INTEGER, bytes INTEGER, kind TEXT';
  writeFileSync(script, `CREATE TABLE e(${columns});\n.mode csv\n.import ${csv} e\n`);
  execFileSync(SQLITE, [path, `.read ${script}`]);
  for (const file of [csv, script]) rmSync(file);
}

function sqliteSeconds(path: string, query: string): number {
  const before = performance.now();
  execFileSync(SQLITE, [path, query]);
  return (performance.now() - before) / 1000;
}
