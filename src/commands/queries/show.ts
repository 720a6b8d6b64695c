import { Args } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { renderQuery } from '../../query/docs.js';
import type { NamedQuery } from '../../query/header.js';
import { findQuery, readLibrary } from '../../query/library.js';

export default class QueriesShow extends BaseCommand {
  static override summary = 'Show the documentation and SQL of a named query.';

  static override args = {
    name: Args.string({ description: 'Name of the query.', required: true }),
  };

  async run(): Promise<NamedQuery> {
    const { args } = await this.parse(QueriesShow);
    const query = findQuery(readLibrary(), args.name);
    this.log(renderQuery(query, 1));
    this.log(`\`\`\`sql\n${query.sql}\`\`\``);
    return query;
  }
}
