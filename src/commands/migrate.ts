import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { checkVersion, SCHEMA_VERSION } from '../capture/version.js';
import { IngeroError } from '../errors.js';
import type { ConvertReport } from '../migrate/old-capture.js';
import { ProgressLine } from '../migrate/progress-line.js';
import { describeReport } from '../migrate/report.js';
import { filesNamed, type MigrateReport, migrateFile } from '../migrate/run.js';

interface Result {
  files: (MigrateReport | ConvertReport | ({ file: string } & ReturnType<IngeroError['toJSON']>))[];
}

export default class Migrate extends BaseCommand {
  static override summary = 'Bring a capture to the newest schema version.';
  static override description =
    'Writes a new file and leaves the original as it is, byte for byte. Every table is then read again from both files and compared: row counts and checksums. Names without ending and directories of captures are understood. Captures of the older Go agent (SQLite) are converted, and every row of them is accounted for. docs/migrate.md and docs/old-captures.md say what happens to each kind of file.';

  static override examples = [
    { description: 'Writes run.v2.duckdb', command: '<%= config.bin %> migrate run.duckdb' },
    { description: 'What would be done?', command: '<%= config.bin %> migrate run.duckdb --dry-run' },
    {
      description: 'Under another name',
      command: '<%= config.bin %> migrate run.duckdb --out run-migrated.duckdb',
    },
    {
      description: 'A capture of the older Go agent',
      command: '<%= config.bin %> migrate old.db --out new.duckdb',
    },
    { description: 'Every capture in a directory', command: '<%= config.bin %> migrate captures/' },
  ];

  static override args = {
    file: Args.string({ description: 'Capture file, or a directory of captures.', required: true }),
  };

  static override flags = {
    out: Flags.string({
      char: 'o',
      description: 'File to write. [default: beside the original, with the schema version in its name]',
      exclusive: ['in-place'],
    }),
    'in-place': Flags.boolean({
      description: 'Replace the original once the new file is complete and verified.',
    }),
    'dry-run': Flags.boolean({ description: 'Say what would be done, and write nothing.' }),
    salvage: Flags.boolean({
      description:
        'Convert what can be read of a damaged capture of the Go agent, and record what could not.',
    }),
    to: Flags.integer({ description: 'Schema version to reach.', default: SCHEMA_VERSION }),
  };

  async run(): Promise<Result> {
    const { args, flags } = await this.parse(Migrate);
    const to = checkVersion(flags.to);
    const files = filesNamed(args.file);
    const options = {
      out: flags.out,
      inPlace: flags['in-place'],
      dryRun: flags['dry-run'],
      salvage: flags.salvage,
      to,
    };
    if (files.length > 1) return this.migrateAll(files, options);
    return { files: [await this.migrateOne(files[0] as string, options)] };
  }

  private async migrateOne(
    file: string,
    options: Omit<Parameters<typeof migrateFile>[1], 'onProgress'>,
  ): Promise<MigrateReport | ConvertReport> {
    const progress = this.jsonEnabled() ? null : ProgressLine.on(process.stderr);
    try {
      const report = await migrateFile(file, {
        ...options,
        onProgress: (what, share) => progress?.show(what, share),
      });
      progress?.clear();
      for (const line of describeReport(report)) this.log(line);
      return report;
    } finally {
      progress?.clear();
    }
  }

  /** A file that cannot be migrated does not keep the others from it; the exit code is that of the first failure. */
  private async migrateAll(
    files: readonly string[],
    options: Omit<Parameters<typeof migrateFile>[1], 'onProgress'>,
  ): Promise<Result> {
    const result: Result = { files: [] };
    for (const file of files) {
      try {
        result.files.push(await this.migrateOne(file, options));
      } catch (error) {
        if (!(error instanceof IngeroError)) throw error;
        result.files.push({ file, ...error.toJSON() });
        this.failOne(error);
      }
    }
    return result;
  }
}
