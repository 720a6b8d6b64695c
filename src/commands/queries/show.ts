import { Args } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { renderQuery } from '../../query/docs.js';
import { queryDirFlag } from '../../query/flags.js';
import { QueryLibrary } from '../../query/library.js';
import type { NamedQuery } from '../../query/named-query.js';

export default class QueriesShow extends BaseCommand {
  static override summary = 'Show the documentation and SQL of a named query.';

  static override args = {
    name: Args.string({ description: 'Name of the query.', required: true }),
  };
  static override flags = { 'query-dir': queryDirFlag };

  async run(): Promise<NamedQuery> {
    const { args, flags } = await this.parse(QueriesShow);
    const query = QueryLibrary.open(flags['query-dir']).find(args.name);
    this.log(renderQuery(query, 1));
    this.log(`\`\`\`sql\n${query.sql}\`\`\``);
    return query;
  }
}
