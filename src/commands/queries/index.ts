import { Flags } from '@oclif/core';
import { BaseCommand } from '../../base-command.js';
import { whyNot } from '../../query/applies.js';
import { queryDirFlag } from '../../query/flags.js';
import { type QueryEntry, QueryLibrary } from '../../query/library.js';
import { openCapture } from '../../query/open.js';
import { visible } from '../../query/visible.js';

interface Listed {
  name: string;
  title: string | null;
  question: string | null;
  requires: readonly string[];
  packs: readonly string[];
  fidelity: string | null;
  from: QueryEntry['place']['kind'];
  path: string;
  /** What is wrong with the file; it cannot be run then. */
  problems: string[];
  /** With --capture: whether the query applies, and why not. */
  applies?: boolean;
  why_not?: string | null;
}

interface Listing {
  queries: Listed[];
  /** Files whose name an earlier place has already. */
  shadowed: { name: string; path: string; by: string }[];
}

export default class Queries extends BaseCommand {
  static override summary = 'List the named queries.';
  static override description =
    'Each answers one question; `ingero queries show NAME` documents it and prints its SQL. Queries of yours are read from --query-dir, from queries.d in your configuration folder and from /etc/ingero/queries.d, in this order, before those that ship.';
  static override aliases = ['queries:list'];
  static override examples = [
    '<%= config.bin %> queries',
    '<%= config.bin %> queries --capture run.duckdb',
    '<%= config.bin %> queries list --pack nccl',
  ];
  static override flags = {
    capture: Flags.string({
      description: 'Say which queries apply to this capture, and why the others do not.',
      helpValue: 'FILE',
    }),
    pack: Flags.string({ description: 'Only queries that read what this pack records.' }),
    'query-dir': queryDirFlag,
  };

  async run(): Promise<Listing> {
    const { flags } = await this.parse(Queries);
    const library = QueryLibrary.open(flags['query-dir']);
    let queries = library.entries.map(listed);
    if (flags.pack !== undefined) queries = queries.filter((query) => query.packs.includes(flags.pack ?? ''));
    if (flags.capture !== undefined) await this.tellWhatApplies(flags.capture, library, queries);
    const width = Math.max(0, ...queries.map((query) => query.name.length));
    for (const query of queries) this.log(`${query.name.padEnd(width)}  ${visible(line(query))}`);
    for (const { entry, by } of library.shadowed) {
      this.logToStderr(`${entry.path} is not used: ${by.path} comes first.`);
    }
    return {
      queries,
      shadowed: library.shadowed.map(({ entry, by }) => ({
        name: entry.name,
        path: entry.path,
        by: by.path,
      })),
    };
  }

  private async tellWhatApplies(file: string, library: QueryLibrary, queries: Listed[]): Promise<void> {
    const capture = await openCapture(file);
    try {
      for (const item of queries) {
        const { query } = library.entry(item.name).parsed();
        if (query === undefined) continue;
        const reason = await whyNot(capture, query);
        item.applies = reason === undefined;
        item.why_not = reason?.why ?? null;
      }
    } finally {
      capture.close();
    }
  }
}

function listed(entry: QueryEntry): Listed {
  const { query, problems } = entry.parsed();
  return {
    name: entry.name,
    title: query?.title ?? null,
    question: query?.question ?? null,
    requires: query?.requires.tables ?? [],
    packs: query?.packs ?? [],
    fidelity: query?.fidelity.level ?? null,
    from: entry.place.kind,
    path: entry.path,
    problems: problems.map(({ line, message }) => `${line}: ${message}`),
  };
}

function line(query: Listed): string {
  if (query.problems.length > 0) {
    const count = query.problems.length === 1 ? 'a problem' : `${query.problems.length} problems`;
    return `(cannot be run: ${count}; \`ingero queries validate ${query.path}\`)`;
  }
  const origin = query.from === 'built-in' ? '' : ` (${query.from}: ${query.path})`;
  const not = query.applies === false ? ` (does not apply: ${query.why_not})` : '';
  return `${query.title}${origin}${not}`;
}
