import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { EXIT, IngeroError } from '../errors.js';
import { type MergeResult, mergeCaptures } from '../merge/merge.js';
import { ProgressLine } from '../migrate/progress-line.js';
import { alignedLines } from '../packs/table-text.js';
import { ingeroVersion } from '../paths.js';
import { expandFiles } from '../query/files.js';
import { visible } from '../query/visible.js';

export default class Merge extends BaseCommand {
  static override summary = 'Merge captures of several nodes or runs into one.';
  static override description =
    'Writes a new capture with every row of the others; these are not changed. Each capture becomes a run (run_id); keys are renumbered so that they stay unique, processes that several runs have recorded are recognised, and clocks are aligned by their anchors, with the error estimated in clock_alignment. docs/many-captures.md says how. `query` takes several files without merging, too.';
  static override examples = [
    '<%= config.bin %> merge node1.duckdb node2.duckdb --out job.duckdb',
    "<%= config.bin %> merge 'runs/*.duckdb' --out all.duckdb",
  ];
  static override strict = false;
  static override args = {
    file: Args.string({ description: 'Captures to merge; globs in quotes work too.', required: true }),
  };
  static override flags = {
    out: Flags.string({ char: 'o', description: 'New capture file.', helpValue: 'NEW', required: true }),
  };

  async run(): Promise<MergeResult & { file: string }> {
    const { argv, flags } = await this.parse(Merge);
    const files = expandFiles(argv as string[]);
    if (files.length < 2) {
      throw new IngeroError('There is nothing to merge: one capture was named.', {
        code: 'usage',
        exitCode: EXIT.usage,
        expected: 'at least two captures',
      });
    }
    const progress = this.jsonEnabled() ? null : ProgressLine.on(process.stderr);
    let result: MergeResult;
    try {
      result = await mergeCaptures(files, flags.out, ingeroVersion(), (file, index) =>
        progress?.show(visible(file), index / files.length),
      );
    } finally {
      progress?.clear();
    }
    const lines = alignedLines([
      ['run', 'events', 'host', 'clock', 'corrected_ns', 'error_ns', 'file'],
      ...result.runs.map(({ run_id, events, hostname, clock, file }) => [
        String(run_id),
        String(events),
        hostname ?? '-',
        clock?.method ?? 'as it was',
        clock?.correction_ns ?? '-',
        clock?.error_ns ?? '-',
        file,
      ]),
    ]);
    for (const line of lines) this.log(visible(line));
    const { runs, events, processes, shared_processes } = result;
    const shared = shared_processes === 0 ? '' : ` (${shared_processes} recorded by several runs)`;
    this.log(visible(`${flags.out}: ${runs.length} runs, ${events} events, ${processes} processes${shared}`));
    for (const name of result.left_out) {
      this.logToStderr(visible(`Table ${name} is no table of a capture and was left out.`));
    }
    return { file: flags.out, ...result };
  }
}
