import { text } from 'node:stream/consumers';
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { EXIT, IngeroError } from '../errors.js';
import { historyPath } from '../prompt/history.js';
import { Prompt } from '../prompt/prompt.js';
import { execute } from '../query/execute.js';
import { splitFiles } from '../query/files.js';
import { capturesArg, openOptions, type ResultFlags, resultFlags } from '../query/flags.js';
import { bindFreeParams, type FreeParams, parseFreeParams } from '../query/free-params.js';
import { QueryLibrary } from '../query/library.js';
import { boundMemory, exitNow, parseSize } from '../query/limits.js';
import { openCapture } from '../query/open.js';
import { PrivateDirectory } from '../query/private-directory.js';
import { type JsonResults, runScript } from '../query/script.js';
import { runSession } from '../query/session.js';
import { splitSql } from '../query/split.js';
import type { JsonResult } from '../query/write.js';

/** Rows the prompt shows of a result unless --max-rows says otherwise. */
const PROMPT_ROWS = 200;

export default class Query extends BaseCommand {
  static override summary = 'Run SQL on a capture.';
  static override description =
    'The capture is opened read-only: reading statements (SELECT, WITH, FROM, DESCRIBE, SUMMARIZE, EXPLAIN ...) may run, and they reach no other file, no network and no extension. On a terminal, without SQL, there is a prompt with completion and history. Values are printed as stored; docs/query.md describes each format.';

  static override examples = [
    {
      description: 'Calls that took more than a millisecond',
      command: `<%= config.bin %> query run.duckdb "SELECT * FROM cuda_events WHERE duration_ns > 1000000 LIMIT 20"`,
    },
    {
      description: 'A value that is bound, not pasted',
      command: `<%= config.bin %> query run.duckdb 'SELECT count(*) FROM cuda_events WHERE op = $op' --param op=cudaMalloc`,
    },
    { description: 'A prompt', command: '<%= config.bin %> query run.duckdb' },
    { description: 'SQL from a file', command: '<%= config.bin %> query run.duckdb - < question.sql' },
    {
      description: 'What there is to ask about',
      command: `<%= config.bin %> query run.duckdb "SELECT table_name, column_name, comment FROM duckdb_columns() WHERE schema_name = 'main'"`,
    },
    {
      description: 'Several captures as one',
      command: `<%= config.bin %> query 'node*.duckdb' "SELECT run_id, count(*) FROM events GROUP BY run_id"`,
    },
    {
      description: 'Keep a result',
      command: `<%= config.bin %> query run.duckdb "FROM cuda_events" --format parquet --output events.parquet`,
    },
  ];

  static override strict = false;
  static override args = {
    file: capturesArg,
    sql: Args.string({
      ignoreStdin: true,
      description:
        'SQL statements; - reads them from standard input, and so does nothing, unless that is a terminal: then there is a prompt.',
    }),
  };

  static override flags = {
    ...resultFlags,
    param: Flags.string({
      char: 'p',
      description:
        'Value of a parameter $NAME of the SQL; may be repeated. Numbers, true, false and null are bound as such.',
      helpValue: 'NAME=VALUE',
      multiple: true,
      multipleNonGreedy: true,
      default: [],
    }),
  };

  async run(): Promise<JsonResult | JsonResults | undefined> {
    const { argv, flags } = await this.parse(Query);
    const { files, last } = splitFiles(argv as string[]);
    const params = parseFreeParams(flags.param);
    if (last === undefined && process.stdin.isTTY) return this.prompt(files, flags, params);
    const { statements, rest } = splitSql(
      last === undefined || last === '-' ? await text(process.stdin) : last,
    );
    if (rest !== '') statements.push(rest);
    const session = {
      files,
      flags,
      json: this.jsonEnabled(),
      humanUnits: false,
      note: (line: string) => this.logToStderr(line),
      report: (error: IngeroError) => this.fail(error),
    };
    if (statements.length > 1) return runScript(session, statements, params);
    const [sql = ''] = statements;
    return runSession({
      ...session,
      start: (capture, budget) =>
        execute(capture, sql, budget, (statement) => bindFreeParams(statement, params)),
    });
  }

  private async prompt(files: readonly string[], flags: ResultFlags, params: FreeParams): Promise<undefined> {
    const { format } = flags;
    if (this.jsonEnabled() || !process.stdout.isTTY || flags.output !== undefined || format === 'parquet') {
      throw new IngeroError('There is no SQL to run.', {
        code: 'sql-missing',
        exitCode: EXIT.usage,
        expected: 'ingero query FILE "SELECT ..."',
        next: 'Give the SQL as an argument or on standard input; without --json, --output and parquet there is a prompt on a terminal.',
      });
    }
    boundMemory(parseSize(flags['memory-limit']) ?? 0);
    await Prompt.run({
      open: () => openCapture(files, openOptions(flags)),
      library: QueryLibrary.open(),
      params,
      format,
      maxRows: flags['max-rows'] ?? PROMPT_ROWS,
      timeoutMs: flags.timeout,
      historyPath: historyPath(process.env, process.getuid?.() ?? 0),
      note: (line) => this.logToStderr(line),
      show: (error) => this.fail(error),
      abandon: (error) => {
        this.fail(error);
        PrivateDirectory.removeAll();
        exitNow(error.exitCode);
      },
    });
    process.exitCode = EXIT.ok;
    return undefined;
  }
}
