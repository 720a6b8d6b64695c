import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { importGoAgentCapture } from '../../src/import/go-agent/convert.js';
import { agentDdl } from '../import/support/go-agent-file.js';
import { median } from './report.js';

const ROUNDS = 3;

/**
 * Conversion of a capture of the Go agent (schema 0.10) with `events` events, and the sqlite3 shell reading the same rows: seconds each.
 * null without the shell, which also writes the file.
 */
export async function benchImport(
  source: string,
  events: number,
): Promise<{ events: number; convert: number; sqlite: number } | null> {
  if (!existsSync('/usr/bin/sqlite3')) return null;
  const sqlite = (sql: string): void => {
    execFileSync('/usr/bin/sqlite3', [source], { input: sql, stdio: ['pipe', 'ignore', 'inherit'] });
  };
  sqlite(`PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; ${agentDdl('0.10')}
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${events})
    INSERT INTO events (id, timestamp, pid, tid, source, op, duration, arg0, arg1, stack_hash, node, comm, cgroup_id)
    SELECT 'node-01:' || i, 1790000000000000000 + i * 1000, 1000 + i % 4, 1000 + i % 16,
      CASE i % 5 WHEN 0 THEN 3 WHEN 1 THEN 4 ELSE 1 END, CASE i % 5 WHEN 2 THEN 3 WHEN 3 THEN 7 WHEN 4 THEN 5 ELSE 1 END,
      5000 + i * 7919 % 100000, CASE i % 5 WHEN 3 THEN 4096 * (i % 50) ELSE 140032296799168 + i % 300 * 4096 END, i % 5,
      i % 500, 'node-01', 'python3', 6919 FROM n;`);
  const times: { convert: number; sqlite: number }[] = [];
  const out = `${source}.duckdb`;
  for (let round = 0; round < ROUNDS; round++) {
    const before = performance.now();
    await importGoAgentCapture({ source, out, salvage: false });
    const between = performance.now();
    sqlite('SELECT * FROM events;');
    times.push({ convert: (between - before) / 1000, sqlite: (performance.now() - between) / 1000 });
    rmSync(out);
  }
  rmSync(source);
  return {
    events,
    convert: median(times.map(({ convert }) => convert)),
    sqlite: median(times.map((time) => time.sqlite)),
  };
}
