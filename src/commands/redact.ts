import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { type RedactionResult, redactCapture } from '../evidence/redact.js';
import { alignedLines } from '../packs/table-text.js';
import { ingeroVersion } from '../paths.js';
import { visible } from '../query/visible.js';

const many = { multiple: true as const, multipleNonGreedy: true as const, default: [] as string[] };
const WHAT = 'command-lines, paths, names, addresses, environment, or TABLE.COLUMN';

export default class Redact extends BaseCommand {
  static override summary = 'Write a copy of a capture without what must not leave the site.';
  static override description =
    'Values are dropped, or replaced by a keyed hash, so that equal ones can still be told to be equal. The original is not changed; the new file has no trace of the values, and says in its table redactions what was done. Without --drop and --hash: command lines and environment are dropped, paths, names and addresses hashed. docs/evidence.md lists the columns of each class.';
  static override examples = [
    '<%= config.bin %> redact run.duckdb --out public.duckdb',
    '<%= config.bin %> redact run.duckdb --out public.duckdb --drop command-lines --hash names --hash processes.exe',
  ];
  static override args = { file: Args.string({ description: 'Capture file.', required: true }) };
  static override flags = {
    out: Flags.string({ char: 'o', description: 'New capture file.', helpValue: 'NEW', required: true }),
    drop: Flags.string({ ...many, description: `Take out: ${WHAT}; may be repeated.`, helpValue: 'WHAT' }),
    hash: Flags.string({
      ...many,
      description: `Replace by a keyed hash: ${WHAT}; may be repeated.`,
      helpValue: 'WHAT',
    }),
    keep: Flags.string({
      ...many,
      description: 'Class to leave as it is, where neither --drop nor --hash is given; may be repeated.',
      helpValue: 'CLASS',
      exclusive: ['drop', 'hash'],
    }),
    'hash-key': Flags.string({
      description:
        'Key of the hashes, so that several captures get the same ones; without it a random key is used once and forgotten.',
      helpValue: 'FILE',
    }),
  };

  async run(): Promise<RedactionResult & { file: string }> {
    const { args, flags } = await this.parse(Redact);
    const { drop, hash, keep } = flags;
    const result = await redactCapture(
      args.file,
      flags.out,
      { drop, hash, keep },
      flags['hash-key'],
      ingeroVersion(),
    );
    const table = alignedLines([
      ['column', 'class', 'method', 'values'],
      ...result.redactions.map(({ table, column, class: group, method, changed }) => [
        `${table}.${column}`,
        group,
        method,
        String(changed),
      ]),
    ]);
    for (const line of table) this.log(visible(line));
    this.log(visible(`${flags.out}: ${result.events} events; ${result.redactions.length} columns redacted`));
    for (const { from, in: place, values } of result.residue) {
      this.logToStderr(
        `${values} ${values === 1 ? 'value' : 'values'} of ${from} can still be read in ${place}, which was kept.`,
      );
    }
    for (const name of result.left_out)
      this.logToStderr(visible(`Table ${name} is no table of a capture and was left out.`));
    return { file: flags.out, ...result };
  }
}
