import type { RowView, SqliteDatabase, SqliteTable } from '../sqlite/index.js';
import type { Account } from './account.js';
import { EventRow } from './event-row.js';
import { Runs } from './runs.js';
import { readSession, type Session } from './sessions.js';
import { StackIndex } from './stacks.js';
import { Survey } from './survey.js';
import { TableReader } from './table-reader.js';

/** Events between two calls of `onEvents`. */
export const PROGRESS_EVENTS = 1 << 18;

/** Control group of a process as the file names it. */
export interface Cgroup {
  path: string | null;
  containerId: string | null;
}

/** What the first pass finds out. */
export interface Gathered {
  runs: Runs;
  stacks: StackIndex;
  survey: Survey;
  /** Command names by pid, of a file of one node. */
  names: ReadonlyMap<number, string>;
  /** Control groups by id, of a file of one node. */
  cgroups: ReadonlyMap<number, Cgroup>;
}

/** Visits the rows of a table if the file has it. */
export async function scanTable(
  database: SqliteDatabase,
  name: string,
  account: Account,
  onRow: (reader: TableReader, row: RowView) => void,
): Promise<void> {
  const table = database.tables.get(name);
  if (table === undefined) return;
  const reader = new TableReader(table);
  account.loss(name, await database.scan(table, (row) => onRow(reader, row)));
}

/** First pass: the sessions, every event once, and the tables that describe processes. Throws what the reader throws. */
export async function gather(
  database: SqliteDatabase,
  account: Account,
  onEvents: (events: number) => void,
): Promise<Gathered> {
  const sessions: Session[] = [];
  await scanTable(database, 'sessions', account, (reader, row) => {
    const session = readSession(reader, row);
    if (session === null) account.left('sessions', 'it has no time');
    else {
      sessions.push(session);
      account.converted('sessions', 'imported_sessions');
    }
  });
  const runs = new Runs(sessions);
  const stacks = new StackIndex();
  const survey = new Survey(runs, stacks);
  const event = new EventRow(database.tables.get('events') as SqliteTable);
  await scanTable(database, 'events', account, (_reader, row) => {
    survey.add(event, row);
    if (survey.events % PROGRESS_EVENTS === 0) onEvents(survey.events);
  });
  survey.finish();
  for (const [reason, rows] of survey.rejected) account.left('events', reason, rows);
  return {
    runs,
    stacks,
    survey,
    names: await processNames(database, runs, account),
    cgroups: await cgroups(database, runs),
  };
}

/**
 * Names by pid. Where a file was merged from several nodes, the last node's name for a pid has replaced the others': it
 * could be that of another process, and is not taken over.
 */
async function processNames(
  database: SqliteDatabase,
  runs: Runs,
  account: Account,
): Promise<ReadonlyMap<number, string>> {
  const names = new Map<number, string>();
  const seen = new Set(runs.all.flatMap((run) => [...run.processes.keys()]));
  const isOneNode = runs.nodes.length === 1;
  await scanTable(database, 'process_names', account, (reader, row) => {
    const pid = reader.integer(row, 'pid');
    if (!isOneNode) account.left('process_names', 'pids of several nodes cannot be told apart');
    else if (pid === null || !seen.has(pid)) account.left('process_names', 'no event is of this process');
    else {
      names.set(pid, reader.text(row, 'name'));
      account.converted('process_names', 'processes');
    }
  });
  return names;
}

/** Control groups by id; ids of several nodes cannot be told apart. The table is accounted for when it is copied. */
async function cgroups(database: SqliteDatabase, runs: Runs): Promise<ReadonlyMap<number, Cgroup>> {
  const found = new Map<number, Cgroup>();
  const table = database.tables.get('cgroup_metadata');
  if (table === undefined || runs.nodes.length !== 1) return found;
  const reader = new TableReader(table);
  await database.scan(table, (row) => {
    const id = reader.integer(row, 'cgroup_id');
    if (id === null) return;
    found.set(id, {
      path: reader.text(row, 'cgroup_path') || null,
      containerId: reader.text(row, 'container_id') || null,
    });
  });
  return found;
}
