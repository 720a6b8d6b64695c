import { CaptureFile, type Row } from '../../capture/capture-file.js';
import { wallClockNs } from '../../capture/clock.js';
import { RowAppender } from '../../capture/row-appender.js';
import { type CaptureSchema, readCaptureSchema } from '../../capture/schema.js';
import { loadBuiltinPacks } from '../../packs/index.js';
import { ingeroVersion } from '../../paths.js';
import type { SqliteDatabase, SqliteTable } from '../sqlite/index.js';
import { Account, type AccountLine, type SalvageLine } from './account.js';
import { CATALOG_TABLES, type CatalogContext, LOOKUP_TABLES } from './catalog.js';
import { markContradictions } from './contradictions.js';
import { EventRow } from './event-row.js';
import { EventWriter, ProcessNumbers } from './event-writer.js';
import { type Gathered, gather, PROGRESS_EVENTS, scanTable } from './gather.js';
import { type EventPlan, planEvents } from './probe-plan.js';
import { captureRow, processRows, sessionRow, threadRows } from './run-rows.js';
import { bad, digestOf, explained, openSource, type SourceDigest, type SourceSchema } from './source-file.js';
import { readFrames, wordsOf } from './stacks.js';
import { verify } from './verify.js';

/** WAL size at which DuckDB folds it into the file. */
const CHECKPOINT_BYTES = 16 << 20;

export interface ImportOptions {
  /** The old file. */
  source: string;
  /** The new file, which must not exist. */
  out: string;
  /** Convert what can be read of a damaged file. */
  salvage: boolean;
  /**
   * Told how many events were read in the first pass, and written in the second, so far; `of` how many there are, 0
   * while that is not known.
   */
  onProgress?: (step: 'reading' | 'writing', events: number, of: number) => void;
}

/** What a conversion did. All of it is in the new file too (`imports`, `import_accounting`, `import_salvage`). */
export interface ImportReport {
  source: SourceDigest;
  /** The write-ahead log beside the source; null where none was read. */
  wal: SourceDigest | null;
  schema: SourceSchema;
  runs: number;
  events: number;
  accounting: readonly AccountLine[];
  salvage: readonly SalvageLine[];
  /** What a reader should know beyond the counts. */
  notes: readonly string[];
}

/** Reads the events of a capture and says what would be converted, without an accounting. Throws as the conversion. */
export async function surveyGoAgentCapture(source: string, salvage: boolean): Promise<ImportReport> {
  const { database, schema } = await openSource(source, salvage);
  try {
    const account = new Account();
    account.loss('sqlite_schema', database.schemaLoss);
    const gathered = await explained(source, salvage, () => gather(database, account, () => {}));
    return {
      ...describe(source, database, gathered),
      schema,
      accounting: [],
      salvage: account.salvage,
    };
  } finally {
    database.close();
  }
}

/**
 * Converts a capture of the older Go agent into one of the current schema: a pass over the events to see what is there,
 * one to write them, and a comparison of the rows at the end. The source is only read.
 *
 * Throws IngeroError: as {@link openSource}; `import-empty` when there is nothing to convert; `import-too-many-runs`;
 * `migrate-mismatch` when the new file does not hold what was read. Throws DuckDB's error when it cannot write. What
 * there is of the new file is then left to the caller.
 */
export async function importGoAgentCapture(options: ImportOptions): Promise<ImportReport> {
  const { source, out, salvage, onProgress } = options;
  const { database, schema: sourceSchema } = await openSource(source, salvage);
  const reading = <T>(step: () => T | Promise<T>): Promise<T> => explained(source, salvage, step);
  try {
    const account = new Account();
    account.loss('sqlite_schema', database.schemaLoss);
    const gathered = await reading(() =>
      gather(database, account, (events) => onProgress?.('reading', events, 0)),
    );
    if (gathered.runs.all.length === 0) {
      throw bad(
        'import-empty',
        `${source} holds neither a session nor an event.`,
        'There is nothing to convert.',
      );
    }
    const schema = readCaptureSchema();
    const plan = planEvents(schema, gathered.runs.all, loadBuiltinPacks());
    const found = { ...describe(source, database, gathered), schema: sourceSchema };
    const file = await CaptureFile.open(out, schema, CHECKPOINT_BYTES);
    try {
      await file.create(plan.tables);
      const numbers = new ProcessNumbers();
      await writeEvents(database, file, schema, plan, gathered, numbers, account, options);
      await writeTables(database, file, schema, gathered, numbers, account, reading);
      await reading(() => database.assertUnchanged());
      const report: ImportReport = { ...found, accounting: account.lines, salvage: account.salvage };
      await writeReport(file, schema, plan, gathered, report);
      await markContradictions(file);
      await verify(file, plan, report.accounting, gathered);
      await file.close();
      return report;
    } catch (error) {
      file.abandon();
      throw error;
    }
  } finally {
    database.close();
  }
}

function describe(
  source: string,
  database: SqliteDatabase,
  gathered: Gathered,
): Pick<ImportReport, 'source' | 'wal' | 'runs' | 'events' | 'notes'> {
  return {
    source: digestOf(source),
    wal: database.walPages > 0 ? digestOf(`${source}-wal`) : null,
    runs: gathered.runs.all.length,
    events: gathered.survey.events,
    notes: notesOf(gathered),
  };
}

/** Second pass over the events. */
async function writeEvents(
  database: SqliteDatabase,
  file: CaptureFile,
  schema: CaptureSchema,
  plan: EventPlan,
  { runs, stacks, survey }: Gathered,
  numbers: ProcessNumbers,
  account: Account,
  { source, salvage, onProgress }: ImportOptions,
): Promise<void> {
  const writer = await EventWriter.open(file.appends, schema, plan, runs, stacks, numbers);
  const table = database.tables.get('events') as SqliteTable;
  const event = new EventRow(table);
  let written = 0;
  try {
    await explained(source, salvage, () =>
      database.scan(table, (row) => {
        if (event.read(row) !== null) return;
        writer.write(event);
        if (++written % PROGRESS_EVENTS === 0) onProgress?.('writing', written, survey.events);
      }),
    );
  } finally {
    writer.close();
  }
  for (const { facts, operation } of plan.probes) {
    account.converted('events', operation.table, facts.events, operation.name);
  }
}

/** Every other table of the file, and what the events say of processes, threads and stacks. */
async function writeTables(
  database: SqliteDatabase,
  file: CaptureFile,
  schema: CaptureSchema,
  gathered: Gathered,
  numbers: ProcessNumbers,
  account: Account,
  reading: <T>(step: () => T | Promise<T>) => Promise<T>,
): Promise<void> {
  const appenders = new Map<string, RowAppender>();
  for (const [table, spec] of Object.entries(schema.tables)) {
    if (
      table === 'processes' ||
      table === 'threads' ||
      table === 'stacks' ||
      table === 'frames' ||
      table.startsWith('imported_')
    ) {
      appenders.set(table, await RowAppender.open(file.appends, table, spec));
    }
  }
  const append = (table: string, row: Row): void => appenders.get(table)?.append(row);
  try {
    for (const row of processRows(gathered, numbers)) append('processes', row);
    for (const row of threadRows(gathered, numbers)) append('threads', row);
    for (const run of gathered.runs.all) {
      if (run.session !== undefined) append('imported_sessions', sessionRow(run, run.session));
    }
    await reading(async () => {
      await writeStacks(database, gathered, account, append);
      const context: CatalogContext = { runs: gathered.runs, schedstat: new Map() };
      for (const name of database.tables.keys()) await copyTable(database, name, context, account, append);
    });
  } finally {
    for (const appender of appenders.values()) appender.close();
  }
}

/** Tables that are dealt with by name. */
const APART = new Set(['events', 'sessions', 'process_names', 'stack_traces']);

async function copyTable(
  database: SqliteDatabase,
  name: string,
  context: CatalogContext,
  account: Account,
  append: (table: string, row: Row) => void,
): Promise<void> {
  if (APART.has(name)) return;
  const convert = CATALOG_TABLES[name];
  await scanTable(database, name, account, (reader, row) => {
    const converted = convert?.(reader, row, context) ?? {
      reason: LOOKUP_TABLES[name] ?? 'not a table of the Go agent',
    };
    if ('reason' in converted) account.left(name, converted.reason);
    else {
      append(converted.table, converted.row);
      account.converted(name, converted.table);
    }
  });
}

/**
 * The stacks. Of one that events refer to and the file lacks, only the hash is known; one that no event refers to is
 * kept where it can only be of one run.
 */
async function writeStacks(
  database: SqliteDatabase,
  { stacks, runs }: Gathered,
  account: Account,
  append: (table: string, row: Row) => void,
): Promise<void> {
  const depths = new Map<number, number>();
  await scanTable(database, 'stack_traces', account, (reader, row) => {
    const hash = reader.bigint(row, 'hash') ?? 0n;
    const [run, ...others] = runs.all;
    if (run !== undefined && others.length === 0) stacks.meet(run, ...wordsOf(hash));
    const used = stacks.withHash(hash);
    const frames = readFrames(reader.text(row, 'ips'), reader.text(row, 'frames'));
    if (used.length === 0) return account.left('stack_traces', 'no event refers to it');
    if (frames === null) return account.left('stack_traces', 'its frames are not the JSON the agent writes');
    for (const { id } of used) {
      // Damage can make a hash appear twice.
      if (depths.has(id)) continue;
      depths.set(id, frames.length);
      for (const frame of frames) append('frames', { ...frame, stack_id: id });
    }
    account.converted('stack_traces', 'stacks');
  });
  for (const { id, run, hash } of stacks.all) {
    const depth = depths.get(id);
    append('stacks', {
      run_id: run.id,
      stack_id: id,
      depth: depth ?? 0,
      // The agent forgets to write stacks again when it begins a new file.
      truncated: depth === undefined ? true : null,
      imported_hash: hash,
    });
  }
}

async function writeReport(
  file: CaptureFile,
  schema: CaptureSchema,
  plan: EventPlan,
  { runs }: Gathered,
  report: ImportReport,
): Promise<void> {
  const now = wallClockNs();
  const version = ingeroVersion();
  await file.insert(
    'capture',
    runs.all.map((run) => captureRow(run, report.source.sha256, schema.version, version)),
  );
  await file.insert('schema_migrations', [
    { version: schema.version, applied_at: now, ingero_version: version },
  ]);
  await file.insert('packs', plan.packRows);
  await file.insert('probes', plan.probeRows);
  const { sha256 } = report.source;
  await file.insert(
    'imports',
    runs.all.map(({ id }) => ({
      run_id: id,
      imported_at: now,
      ingero_version: version,
      format: 'go-agent',
      format_version: report.schema.version,
      source_file: report.source.file,
      source_bytes: BigInt(report.source.bytes),
      source_sha256: sha256,
      wal_sha256: report.wal?.sha256 ?? null,
      is_partial: report.salvage.length > 0,
      notes: report.notes,
    })),
  );
  await file.insert(
    'import_accounting',
    report.accounting.map((line) => ({ source_sha256: sha256, ...line })),
  );
  await file.insert(
    'import_salvage',
    report.salvage.map((line) => ({ source_sha256: sha256, ...line })),
  );
}

/** What the counts do not say: what named queries will miss, and why. */
function notesOf({ survey, runs }: Gathered): string[] {
  const notes: string[] = [];
  if (survey.inlineStacks > 0) {
    notes.push(
      `${survey.inlineStacks} events carry their stack in a form from before schema 0.8, which is not read`,
    );
  }
  const strays = runs.all.filter(({ session }) => session === undefined).length;
  if (strays > 0)
    notes.push(
      `${strays} of ${runs.all.length} runs have no session: when they began and ended is not known`,
    );
  const allocations = runs.all.reduce((sum, run) => sum + run.allocationsWithoutAddress, 0);
  if (allocations > 0) {
    notes.push(
      `${allocations} allocations have no address, which this version of the agent did not record: they cannot be paired with frees`,
    );
  }
  return notes;
}
