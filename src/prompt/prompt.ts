import { createInterface, type Interface } from 'node:readline';
import { EXIT, IngeroError } from '../errors.js';
import { Budget } from '../query/budget.js';
import { execute, type QueryResult } from '../query/execute.js';
import type { FormatName } from '../query/format.js';
import { bindFreeParams, type FreeParams } from '../query/free-params.js';
import type { QueryLibrary } from '../query/library.js';
import type { OpenCapture } from '../query/open.js';
import { resolveParams } from '../query/params.js';
import { runNamed } from '../query/run.js';
import { liveNote } from '../query/session.js';
import { splitSql } from '../query/split.js';
import { limitRows, writeResult } from '../query/write.js';
import { complete, readVocabulary, type Vocabulary } from './completion.js';
import { readHistory, writeHistory } from './history.js';

/** A running capture is looked at afresh when what is open is older than this, ms. */
const STALE_MS = 2000;

const COMMANDS: Readonly<Record<string, string>> = {
  '.help': 'what can be typed',
  '.tables': 'the tables of the capture, with their descriptions',
  '.schema [TABLE]': 'columns, types and descriptions of a table, or of all',
  '.queries': 'the named queries',
  '.run NAME [k=v]': 'run a named query',
  '.quit': 'leave (also Ctrl-D)',
};

/** What a prompt needs. */
export interface PromptOptions {
  /** Opens the capture; called again for one that is being recorded. */
  open(): Promise<OpenCapture>;
  library: QueryLibrary;
  params: FreeParams;
  format: Exclude<FormatName, 'parquet'>;
  maxRows: number;
  /** Milliseconds a statement may work; 0 is no limit. */
  timeoutMs: number;
  historyPath: string | null;
  note(text: string): void;
  /** Shows an error; the prompt goes on. */
  show(error: IngeroError): void;
  /** Shows an error and ends the process: DuckDB cannot be stopped. */
  abandon(error: IngeroError): void;
  input?: NodeJS.ReadStream;
  output?: NodeJS.WriteStream;
}

/** Reads statements from a terminal until the user leaves. Errors and Ctrl-C end a statement, not the prompt. */
export class Prompt {
  readonly #options: PromptOptions;
  readonly #terminal: Interface;
  readonly #lines: string[] = [];
  #capture: OpenCapture;
  readonly #vocabulary: Vocabulary;
  #pending = '';
  #running: Budget | null = null;
  #isBusy = false;
  #hasLeft = false;
  #leave!: () => void;

  private constructor(options: PromptOptions, capture: OpenCapture, vocabulary: Vocabulary) {
    this.#options = options;
    this.#capture = capture;
    this.#vocabulary = vocabulary;
    this.#terminal = createInterface({
      input: options.input ?? process.stdin,
      output: options.output ?? process.stdout,
      terminal: true,
      history: readHistory(options.historyPath),
      historySize: 1000,
      removeHistoryDuplicates: true,
      completer: (line: string) =>
        complete(
          line,
          this.#vocabulary,
          Object.keys(COMMANDS).map((command) => command.split(' ')[0] as string),
        ),
    });
  }

  /** Opens the capture and serves the terminal. Throws IngeroError when the capture cannot be opened. */
  static async run(options: PromptOptions): Promise<void> {
    const capture = await options.open();
    const vocabulary = await readVocabulary(capture.connection, options.library.names);
    const prompt = new Prompt(options, capture, vocabulary);
    try {
      await prompt.#serve();
    } finally {
      prompt.#capture.close();
    }
  }

  async #serve(): Promise<void> {
    const left = new Promise<void>((resolve) => {
      this.#leave = () => {
        this.#hasLeft = true;
        resolve();
      };
    });
    let history: string[] = [];
    this.#terminal.on('history', (lines: string[]) => {
      history = [...lines];
    });
    this.#terminal.on('line', (line) => {
      this.#lines.push(line);
      void this.#work();
    });
    this.#terminal.on('SIGINT', () => this.#interrupt());
    this.#terminal.on('close', () => this.#leave());
    this.#options.note(
      `${this.#capture.path}: a statement ends with a semicolon; .help for help, .quit to leave.`,
    );
    this.#ask();
    await left;
    this.#terminal.close();
    if (history.length > 0) writeHistory(this.#options.historyPath, history);
  }

  /** Ctrl-C stops what runs, or forgets what was typed. */
  #interrupt(): void {
    if (this.#running !== null) {
      this.#running.interrupt();
      return;
    }
    this.#pending = '';
    this.#terminal.write(null, { ctrl: true, name: 'e' });
    this.#terminal.write(null, { ctrl: true, name: 'u' });
    (this.#options.output ?? process.stdout).write('\n');
    this.#ask();
  }

  #ask(): void {
    if (this.#hasLeft) return;
    this.#terminal.setPrompt(this.#pending === '' ? 'ingero> ' : '   ...> ');
    this.#terminal.prompt();
  }

  /** Works off the lines typed, one after the other. */
  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift())
      await this.#take(line);
    this.#isBusy = false;
    this.#ask();
  }

  async #take(line: string): Promise<void> {
    if (this.#pending === '' && /^\s*\.\w/.test(line)) return this.#command(line.trim());
    const { statements, rest } = splitSql(`${this.#pending}${line}\n`);
    this.#pending = rest;
    for (const sql of statements) await this.#runSql(sql);
  }

  async #command(line: string): Promise<void> {
    const [name = '', ...args] = line.split(/\s+/);
    switch (name) {
      case '.quit':
      case '.exit':
        this.#leave();
        return;
      case '.help':
        this.#print(Object.entries(COMMANDS).map(([command, text]) => [command, text]));
        return;
      case '.queries':
        this.#print(
          this.#options.library.names.map((query) => [
            query,
            this.#options.library.entry(query).parsed().query?.title ?? 'cannot be read',
          ]),
        );
        return;
      case '.tables':
        return this.#runSql(
          `SELECT table_name, comment FROM (SELECT table_name, comment, schema_name, internal FROM duckdb_tables() UNION ALL
           SELECT view_name, comment, schema_name, internal FROM duckdb_views()) WHERE schema_name = 'main' AND NOT internal ORDER BY ALL`,
        );
      case '.schema':
        return this.#runSql(
          `SELECT table_name, column_name, CASE WHEN data_type LIKE 'ENUM%' THEN 'ENUM' ELSE data_type END AS type, comment
           FROM duckdb_columns() WHERE schema_name = 'main' AND NOT internal AND table_name = coalesce($table, table_name)
           ORDER BY table_name, column_index`,
          new Map([['table', args[0] === undefined ? 'null' : `'${args[0]}'`]]),
        );
      case '.run':
        return this.#run(async (capture, budget) => {
          const query = this.#options.library.find(args[0] ?? '');
          return runNamed(capture, query, resolveParams(query, args.slice(1)), budget);
        }, true);
      default:
        this.#options.note(`There is no ${name}; .help lists what there is.`);
    }
  }

  #print(rows: readonly (readonly [string, string])[]): void {
    const width = Math.max(...rows.map(([first]) => first.length));
    const text = rows.map(([first, second]) => `${first.padEnd(width)}  ${second}\n`).join('');
    (this.#options.output ?? process.stdout).write(text);
  }

  #runSql(sql: string, params: FreeParams = this.#options.params): Promise<void> {
    return this.#run(
      (capture, budget) => execute(capture, sql, budget, (statement) => bindFreeParams(statement, params)),
      false,
    );
  }

  async #run(
    start: (capture: OpenCapture, budget: Budget) => Promise<QueryResult>,
    humanUnits: boolean,
  ): Promise<void> {
    const { maxRows, format, note } = this.#options;
    try {
      await this.#refresh();
      this.#running = new Budget(this.#capture.connection, this.#options.timeoutMs, this.#options.abandon);
      const result = limitRows(await start(this.#capture, this.#running), maxRows);
      await writeResult(result, { format, output: undefined, humanUnits });
      if (result.truncated) note(`Stopped after ${maxRows} rows (--max-rows); there are more.`);
      for (const text of liveNote(this.#capture)) note(text);
    } catch (error) {
      this.#options.show(error instanceof IngeroError ? error : unexpected(error));
    } finally {
      this.#running?.dispose();
      this.#running = null;
    }
  }

  /** Of a capture that is being recorded, what is looked at is never older than two seconds. */
  async #refresh(): Promise<void> {
    const { asOfNs } = this.#capture;
    if (asOfNs === undefined || Date.now() - Number(asOfNs / 1_000_000n) < STALE_MS) return;
    const fresh = await this.#options.open();
    this.#capture.close();
    this.#capture = fresh;
  }
}

function unexpected(cause: unknown): IngeroError {
  return new IngeroError(`Unexpected failure: ${cause instanceof Error ? cause.message : String(cause)}`, {
    code: 'internal',
    exitCode: EXIT.internal,
    cause,
  });
}
