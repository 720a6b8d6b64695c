import { BaseCommand } from '../base-command.js';
import { type Explanation, explain } from '../explain/explain.js';
import { renderExplanation } from '../explain/text.js';
import { expandFiles } from '../query/files.js';
import { capturesArg, limitFlags } from '../query/flags.js';
import { readLibrary } from '../query/library.js';
import { liveField, liveNote } from '../query/session.js';
import { withCapture } from '../query/with-capture.js';

export default class Explain extends BaseCommand {
  static override summary = 'Look for the causes of lost time, failures and leaks in a capture.';
  static override description =
    'Runs the detections (named queries that begin with find-) and ranks what they find by the strength of the evidence. Each finding says what, how much, where and since when, shows the query that proves it, how far it can be trusted, and what to do. docs/explain.md lists the detections.';

  static override examples = [
    '<%= config.bin %> explain run.duckdb',
    '<%= config.bin %> explain run.duckdb --json',
  ];

  static override strict = false;
  static override args = {
    file: capturesArg,
  };

  static override flags = limitFlags;

  async run(): Promise<Explanation & { live_as_of?: string }> {
    const { argv, flags } = await this.parse(Explain);
    const files = expandFiles(argv as string[]);
    return withCapture(
      files,
      flags,
      (error) => this.fail(error),
      async (capture, budget) => {
        const explanation = await explain(capture, files, readLibrary(), budget);
        if (!this.jsonEnabled()) {
          process.stdout.write(renderExplanation(explanation));
          for (const note of liveNote(capture)) this.logToStderr(note);
        }
        return { ...explanation, ...liveField(capture) };
      },
    );
  }
}
