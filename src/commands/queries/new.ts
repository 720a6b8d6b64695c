import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { EXIT, IngeroError } from '../../errors.js';
import { configDirs, currentHost } from '../../packs/places.js';
import { outputFailure } from '../../query/sink.js';
import { skeletonQuery } from '../../query/skeleton.js';

interface NewQuery {
  name: string;
  path: string;
}

export default class QueriesNew extends BaseCommand {
  static override summary = 'Begin a named query: a file with a header that is right and SQL that runs.';
  static override description =
    'The file goes to queries.d in your configuration folder (/etc/ingero/queries.d for root), where `run-query` finds it. docs/writing-queries.md explains every line of the header.';
  static override examples = [
    '<%= config.bin %> queries new my-launches',
    '<%= config.bin %> queries new my-launches --out my-launches.sql',
  ];
  static override args = {
    name: Args.string({
      description: 'Name of the query: lower-case letters, digits and dashes.',
      required: true,
    }),
  };
  static override flags = {
    table: Flags.string({ description: 'Event table the query reads.', default: 'cuda_events' }),
    out: Flags.string({ char: 'o', description: 'File to write instead.', helpValue: 'FILE' }),
  };

  async run(): Promise<NewQuery> {
    const { args, flags } = await this.parse(QueriesNew);
    if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(args.name) || !/^[a-z_][a-z0-9_]*$/.test(flags.table)) {
      throw new IngeroError(
        `${JSON.stringify(args.name)} on ${JSON.stringify(flags.table)} cannot be a query.`,
        {
          code: 'bad-query-name',
          exitCode: EXIT.usage,
          expected: 'a name of lower-case letters, digits and dashes, and the name of a table',
        },
      );
    }
    const path = flags.out ?? join(ownFolder(), `${args.name}.sql`);
    try {
      if (flags.out === undefined) mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, skeletonQuery(args.name, flags.table), { flag: 'wx' });
    } catch (error) {
      throw outputFailure(path, error);
    }
    this.log(
      `${path}\nCheck it with \`ingero queries validate ${path}\`, run it with \`ingero run-query ${args.name} FILE\`.`,
    );
    return { name: args.name, path };
  }
}

function ownFolder(): string {
  const { own } = configDirs(currentHost());
  if (own !== null) return join(own, 'queries.d');
  throw new IngeroError('There is no configuration folder: neither HOME nor XDG_CONFIG_HOME is set.', {
    code: 'no-config-directory',
    exitCode: EXIT.output,
    next: 'Name a file with --out.',
  });
}
