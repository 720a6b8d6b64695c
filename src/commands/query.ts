import { text } from 'node:stream/consumers';
import { Args } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { EXIT, IngeroError } from '../errors.js';
import { execute } from '../query/execute.js';
import { splitFiles } from '../query/files.js';
import { resultFlags } from '../query/flags.js';
import { runSession } from '../query/session.js';
import type { JsonResult } from '../query/write.js';

export default class Query extends BaseCommand {
  static override summary = 'Run SQL on a capture.';
  static override description =
    'The capture is opened read-only: one reading statement (SELECT, WITH, FROM, DESCRIBE, SUMMARIZE, EXPLAIN ...) may run, and it reaches no other file, no network and no extension. Values are printed as stored; docs/query.md describes each format.';

  static override examples = [
    {
      description: 'Calls that took more than a millisecond',
      command: `<%= config.bin %> query run.duckdb "SELECT * FROM cuda_events WHERE duration_ns > 1000000 LIMIT 20"`,
    },
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
    file: Args.string({
      description: 'Capture file; several, or a pattern in quotes, are asked as one.',
      required: true,
    }),
    sql: Args.string({
      description: 'One SQL statement; - or nothing reads it from standard input.',
      ignoreStdin: true,
    }),
  };

  static override flags = resultFlags;

  async run(): Promise<JsonResult | undefined> {
    const { argv, flags } = await this.parse(Query);
    const { files, last } = splitFiles(argv as string[]);
    const sql = last === undefined || last === '-' ? await this.readStdin(last) : last;
    return runSession({
      files,
      flags,
      json: this.jsonEnabled(),
      humanUnits: false,
      start: (capture, budget) => execute(capture, sql, budget),
      note: (line) => this.logToStderr(line),
      report: (error) => this.fail(error),
    });
  }

  private async readStdin(asked: string | undefined): Promise<string> {
    if (asked === undefined && process.stdin.isTTY) {
      throw new IngeroError('There is no SQL to run.', {
        code: 'sql-missing',
        exitCode: EXIT.usage,
        expected: 'ingero query FILE "SELECT ..."',
        next: 'Give the SQL as an argument or on standard input; `ingero queries` lists questions that are ready to run.',
      });
    }
    return text(process.stdin);
  }
}
