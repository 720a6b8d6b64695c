import { Args } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { IngeroError } from '../errors.js';
import { expandFiles } from '../query/files.js';
import { type CaptureInfo, readInfo } from '../query/info.js';
import { infoLines } from '../query/info-text.js';

interface Result {
  files: (CaptureInfo | ({ file: string } & ReturnType<IngeroError['toJSON']>))[];
}

export default class Info extends BaseCommand {
  static override summary = 'Say what a capture is: when, where, of what, how it ended, what was lost.';
  static override description =
    'Reads what the file says of itself and counts rows from its metadata; events are not read, so a large file takes no longer. Several files may be named; one that cannot be read does not keep the others from being described.';

  static override examples = [
    '<%= config.bin %> info run.duckdb',
    { description: 'For a program', command: '<%= config.bin %> info run.duckdb --json' },
  ];

  static override strict = false;
  static override args = {
    file: Args.string({ description: 'Capture file; more may follow.', required: true }),
  };

  async run(): Promise<Result> {
    const { argv } = await this.parse(Info);
    const result: Result = { files: [] };
    for (const file of expandFiles(argv as string[])) {
      try {
        const info = await readInfo(file);
        result.files.push(info);
        for (const line of infoLines(info)) this.log(line);
      } catch (error) {
        if (!(error instanceof IngeroError)) throw error;
        result.files.push({ file, ...error.toJSON() });
        this.failOne(error);
      }
    }
    return result;
  }
}
