import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';

/** Schema versions of the old agent. 0.17 is 0.10 with annotations: its marker did not change. */
export type AgentSchema = '0.8' | '0.9' | '0.10' | '0.17';

export type Value = string | number | bigint | null;
export type Row = Readonly<Record<string, Value>>;

/** Rows by table; what a row leaves out gets the column's default. */
export type AgentRows = Readonly<Record<string, readonly Row[]>>;

const atLeast = (version: AgentSchema, first: AgentSchema): boolean => {
  const order: readonly AgentSchema[] = ['0.8', '0.9', '0.10', '0.17'];
  return order.indexOf(version) >= order.indexOf(first);
};

/** The statements a fresh file of a version begins with: the agent's CREATE TABLE, then the columns it adds by ALTER TABLE. */
export function agentDdl(version: AgentSchema): string {
  const node = atLeast(version, '0.9');
  const rank = "node TEXT NOT NULL DEFAULT '', rank INTEGER, local_rank INTEGER, world_size INTEGER";
  const aggregate = (name: string): string => `CREATE TABLE ${name} (
      bucket INTEGER NOT NULL,  -- truncated unix nanos
      source INTEGER NOT NULL, op INTEGER NOT NULL, pid INTEGER NOT NULL DEFAULT 0,
      count INTEGER NOT NULL DEFAULT 0, stored INTEGER NOT NULL DEFAULT 0, sum_dur INTEGER NOT NULL DEFAULT 0,
      min_dur INTEGER NOT NULL DEFAULT 0, max_dur INTEGER NOT NULL DEFAULT 0, sum_arg0 INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (bucket, source, op, pid)
    );`;
  return `
    CREATE TABLE events (
      ${node ? 'id TEXT PRIMARY KEY' : 'id INTEGER PRIMARY KEY AUTOINCREMENT'},
      timestamp INTEGER NOT NULL,  -- unix nanos
      pid INTEGER NOT NULL, tid INTEGER NOT NULL, source INTEGER NOT NULL, op INTEGER NOT NULL,
      duration INTEGER NOT NULL, gpu_id INTEGER NOT NULL DEFAULT 0, arg0 INTEGER NOT NULL DEFAULT 0,
      arg1 INTEGER NOT NULL DEFAULT 0, ret_code INTEGER NOT NULL DEFAULT 0,
      stack_hash INTEGER NOT NULL DEFAULT 0  -- FK to stack_traces.hash (0 = no stack)
      ${node ? `, ${rank}` : ''} ${atLeast(version, '0.10') ? ", comm TEXT NOT NULL DEFAULT ''" : ''}
    );
    ALTER TABLE events ADD COLUMN stack_ips TEXT NOT NULL DEFAULT '';
    CREATE INDEX idx_events_timestamp ON events(timestamp);
    CREATE TABLE stack_traces (hash INTEGER PRIMARY KEY, ips TEXT NOT NULL, frames TEXT NOT NULL DEFAULT '');
    CREATE TABLE causal_chains (
      id TEXT PRIMARY KEY, detected_at INTEGER NOT NULL, severity TEXT NOT NULL, summary TEXT NOT NULL,
      root_cause TEXT NOT NULL, explanation TEXT NOT NULL, recommendations TEXT NOT NULL DEFAULT '',
      cuda_op TEXT NOT NULL DEFAULT '', cuda_p99_us INTEGER NOT NULL DEFAULT 0, cuda_p50_us INTEGER NOT NULL DEFAULT 0,
      tail_ratio REAL NOT NULL DEFAULT 0, timeline TEXT NOT NULL DEFAULT '' ${node ? ", node TEXT NOT NULL DEFAULT ''" : ''}
    );
    CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL);
    INSERT INTO sources VALUES (1, 'CUDA', 'CUDA Runtime API events'), (3, 'HOST', 'Host events');
    CREATE TABLE ops (source_id INTEGER NOT NULL, op_id INTEGER NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL,
      PRIMARY KEY (source_id, op_id));
    INSERT INTO ops VALUES (1, 1, 'cudaMalloc', ''), (3, 1, 'sched_switch', '');
    CREATE TABLE schema_info (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    INSERT INTO schema_info VALUES ('version', '${version === '0.17' ? '0.10' : version}'), ('duration_unit', 'nanoseconds');
    CREATE TABLE system_snapshots (
      id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL UNIQUE, cpu_pct REAL NOT NULL, mem_pct REAL NOT NULL,
      mem_avail INTEGER NOT NULL, swap_mb INTEGER NOT NULL, load_avg REAL NOT NULL
    );
    CREATE TABLE sessions (
      id INTEGER PRIMARY KEY AUTOINCREMENT, started_at INTEGER NOT NULL, stopped_at INTEGER NOT NULL DEFAULT 0,
      gpu_model TEXT NOT NULL DEFAULT '', gpu_driver TEXT NOT NULL DEFAULT '', cpu_model TEXT NOT NULL DEFAULT '',
      cpu_cores INTEGER NOT NULL DEFAULT 0, mem_total INTEGER NOT NULL DEFAULT 0, kernel TEXT NOT NULL DEFAULT '',
      os_release TEXT NOT NULL DEFAULT '', cuda_ver TEXT NOT NULL DEFAULT '', python_ver TEXT NOT NULL DEFAULT '',
      ingero_ver TEXT NOT NULL DEFAULT '', pid_filter TEXT NOT NULL DEFAULT '', flags TEXT NOT NULL DEFAULT ''
      ${node ? `, ${rank}` : ''}
    );
    CREATE TABLE process_names (pid INTEGER NOT NULL, name TEXT NOT NULL, seen_at INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (pid));
    ${aggregate('event_aggregates')}
    ALTER TABLE events ADD COLUMN cgroup_id INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX idx_events_cgroup ON events(cgroup_id) WHERE cgroup_id != 0;
    CREATE TABLE cgroup_metadata (cgroup_id INTEGER PRIMARY KEY, container_id TEXT NOT NULL DEFAULT '',
      cgroup_path TEXT NOT NULL DEFAULT '', pod_name TEXT NOT NULL DEFAULT '', namespace TEXT NOT NULL DEFAULT '');
    CREATE TABLE cgroup_schedstat (
      cgroup_id INTEGER NOT NULL, p99_off_cpu INTEGER NOT NULL, total_off_cpu INTEGER NOT NULL, event_count INTEGER NOT NULL,
      window_start INTEGER NOT NULL DEFAULT 0, window_end INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (cgroup_id, window_end)
    );
    ${atLeast(version, '0.10') ? `${aggregate('event_aggregates_5s')} PRAGMA user_version = 10;` : ''}
    ${
      atLeast(version, '0.17')
        ? `CREATE TABLE annotations (id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, labels TEXT NOT NULL,
      pid INTEGER NOT NULL DEFAULT 0, start_time INTEGER NOT NULL DEFAULT 0, span_start INTEGER NOT NULL DEFAULT 0,
      span_end INTEGER NOT NULL DEFAULT 0, peer_uid INTEGER NOT NULL DEFAULT 0, peer_gid INTEGER NOT NULL DEFAULT 0,
      peer_pid INTEGER NOT NULL DEFAULT 0);`
        : ''
    }`;
}

/** Runs SQL with the sqlite3 shell, which the tests compare with; returns what it prints. */
export function sqlite(path: string, sql: string): string {
  return execFileSync('sqlite3', ['-batch', '-bail', path], {
    input: sql,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
  });
}

/** Writes a file of a version. `setup` runs before the tables are made: page size, encoding, journal mode. */
export function writeAgentFile(path: string, version: AgentSchema, rows: AgentRows, setup = ''): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) rmSync(file, { force: true });
  const inserts = Object.entries(rows).flatMap(([table, list]) =>
    list.map((row) => {
      const names = Object.keys(row);
      return `INSERT INTO ${table} (${names.join(', ')}) VALUES (${names.map((name) => literal(row[name] as Value)).join(', ')});`;
    }),
  );
  sqlite(path, `${setup} BEGIN; ${agentDdl(version)} ${inserts.join('\n')} COMMIT;`);
}

function literal(value: Value): string {
  if (value === null) return 'NULL';
  return typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value);
}
