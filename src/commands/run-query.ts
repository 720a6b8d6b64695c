import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { expandFiles } from '../query/files.js';
import { resultFlags } from '../query/flags.js';
import { findQuery, readLibrary } from '../query/library.js';
import { resolveParams } from '../query/params.js';
import { runNamed } from '../query/run.js';
import { runSession } from '../query/session.js';
import type { JsonResult } from '../query/write.js';

export default class RunQuery extends BaseCommand {
  static override summary = 'Run a named query on a capture.';
  static override description =
    'Named queries answer a documented question; `ingero queries` lists them. Tables show readable units (1.23 ms, 4.0 MiB), the other formats raw values.';

  static override examples = [
    '<%= config.bin %> run-query cuda-api-sum run.duckdb',
    '<%= config.bin %> run-query slow-memcpy run.duckdb --param min_ms=5 --param limit=10',
    '<%= config.bin %> run-query api-errors run.duckdb --format json',
  ];

  static override strict = false;
  static override args = {
    name: Args.string({ description: 'Name of the query.', required: true }),
    file: Args.string({
      description: 'Capture file; several, or a pattern in quotes, are asked as one.',
      required: true,
    }),
  };

  static override flags = {
    ...resultFlags,
    param: Flags.string({
      char: 'p',
      description: 'Value of a parameter; may be repeated.',
      helpValue: 'NAME=VALUE',
      multiple: true,
      multipleNonGreedy: true,
      default: [],
    }),
  };

  async run(): Promise<JsonResult | undefined> {
    const { args, argv, flags } = await this.parse(RunQuery);
    const query = findQuery(readLibrary(), args.name);
    const values = resolveParams(query, flags.param);
    return runSession({
      files: expandFiles((argv as string[]).slice(1)),
      flags,
      json: this.jsonEnabled(),
      humanUnits: true,
      start: (capture, budget) => runNamed(capture, query, values, budget),
      note: (line) => this.logToStderr(line),
      report: (error) => this.fail(error),
    });
  }
}
