import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { EXIT } from '../../errors.js';
import { checkSql, openModelCapture } from '../../query/check-sql.js';
import type { HeaderProblem } from '../../query/header.js';
import { readQueryFile } from '../../query/library.js';
import { openCapture } from '../../query/open.js';
import { visible } from '../../query/visible.js';

interface FileVerdict {
  path: string;
  ok: boolean;
  problems: Omit<HeaderProblem, 'file'>[];
}

export default class QueriesValidate extends BaseCommand {
  static override summary = 'Check query files: their headers, and the headers against the SQL.';
  static override description =
    'The SQL is prepared, not run, on an empty capture of the newest schema; name a capture with --capture when it reads tables of your own packs. docs/writing-queries.md explains the rules. Exit status 0 when all files are right, 8 when one is not.';
  static override examples = [
    '<%= config.bin %> queries validate my-query.sql',
    '<%= config.bin %> queries validate site-calls.sql --capture run.duckdb',
  ];
  static override args = {
    files: Args.string({ description: 'Query files.', required: true, multiple: true }),
  };
  static override flags = {
    capture: Flags.string({ description: 'Capture that has the tables the SQL reads.', helpValue: 'FILE' }),
  };

  async run(): Promise<{ files: FileVerdict[] }> {
    const { args, flags } = await this.parse(QueriesValidate);
    const model = flags.capture === undefined ? await openModelCapture() : await openCapture(flags.capture);
    const files: FileVerdict[] = [];
    try {
      for (const path of args.files) {
        const { query, problems: inHeader } = readQueryFile(path);
        const problems = query === undefined ? inHeader : await checkSql(model.connection, query, path);
        for (const { file, line, message } of problems) this.log(visible(`${file}:${line}: ${message}`));
        if (problems.length === 0) this.log(`${path}: OK: ${query?.title ?? ''}`);
        files.push({
          path,
          ok: problems.length === 0,
          problems: problems.map(({ line, message }) => ({ line, message })),
        });
      }
    } finally {
      model.close();
    }
    if (files.some((file) => !file.ok)) process.exitCode = EXIT.badPack;
    return { files };
  }
}
