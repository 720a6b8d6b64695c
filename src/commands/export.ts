import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { exportCapture, type Manifest } from '../export/export.js';
import { ingeroVersion } from '../paths.js';
import { expandFiles } from '../query/files.js';
import { visible } from '../query/visible.js';

interface Exported {
  out: string;
  captures: Manifest[];
}

export default class Export extends BaseCommand {
  static override summary = 'Write captures as partitioned Parquet files for other engines.';
  static override description =
    'Every table becomes a data set below the folder, partitioned by host and date, which DuckDB, Spark, Trino and others read as it is. Captures of many hosts can be written to one folder, also at the same time: every file is complete when it appears and no two captures share a name. docs/export.md describes the layout.';
  static override examples = [
    '<%= config.bin %> export run.duckdb --out lake/',
    "<%= config.bin %> export 'node*.duckdb' --format parquet --out lake/",
  ];
  static override strict = false;
  static override args = {
    file: Args.string({ description: 'Capture files; patterns in quotes work too.', required: true }),
  };
  static override flags = {
    format: Flags.option({
      options: ['parquet'] as const,
      default: 'parquet',
      description: 'Format of the files.',
    })(),
    out: Flags.string({
      char: 'o',
      description: 'Folder to write to; may have other captures.',
      helpValue: 'DIR',
      required: true,
    }),
    replace: Flags.boolean({ description: 'Write a capture anew that is in the folder already.' }),
  };

  async run(): Promise<Exported> {
    const { argv, flags } = await this.parse(Export);
    const captures: Manifest[] = [];
    for (const file of expandFiles(argv as string[])) {
      const manifests = await exportCapture(file, flags.out, ingeroVersion(), flags.replace);
      captures.push(...manifests);
      const files = manifests.flatMap((manifest) => manifest.files);
      const rows = files.reduce((sum, one) => sum + one.rows, 0);
      const runs = manifests.length === 1 ? '1 capture' : `${manifests.length} captures`;
      this.log(visible(`${file}: ${runs}, ${rows} rows in ${files.length} files`));
    }
    return { out: flags.out, captures };
  }
}
