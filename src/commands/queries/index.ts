import { BaseCommand } from '../../base-command.js';
import { readLibrary } from '../../query/library.js';

interface Listing {
  queries: { name: string; title: string; question: string; requires: readonly string[]; fidelity: string }[];
}

export default class Queries extends BaseCommand {
  static override summary = 'List the named queries.';
  static override description =
    'Each answers one question; `ingero queries show NAME` documents it and prints its SQL.';

  async run(): Promise<Listing> {
    await this.parse(Queries);
    const queries = [...readLibrary().values()];
    const width = Math.max(0, ...queries.map((query) => query.name.length));
    for (const query of queries) this.log(`${query.name.padEnd(width)}  ${query.title}`);
    return {
      queries: queries.map((query) => ({
        name: query.name,
        title: query.title,
        question: query.question,
        requires: query.requires.tables,
        fidelity: query.fidelity.level,
      })),
    };
  }
}
