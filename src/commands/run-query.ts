import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { EXIT, IngeroError } from '../errors.js';
import { didYouMean } from '../packs/suggest.js';
import { caveats } from '../query/caveats.js';
import { expandFiles } from '../query/files.js';
import { capturesArg, queryDirFlag, type ResultFlags, resultFlags } from '../query/flags.js';
import { QueryLibrary } from '../query/library.js';
import type { NamedQuery } from '../query/named-query.js';
import { flagOf, givenParams, paramFlags } from '../query/param-flags.js';
import { type ParamValues, resolveParams } from '../query/params.js';
import { explainNamed, runNamed } from '../query/run.js';
import { runSession } from '../query/session.js';
import { withCapture } from '../query/with-capture.js';
import type { JsonResult } from '../query/write.js';

interface Explanation {
  name: string;
  params: Record<string, string | null>;
  sql: string;
  plan: string;
}

export default class RunQuery extends BaseCommand {
  static override summary = 'Run a named query on a capture.';
  static override description =
    'Named queries answer a documented question; `ingero queries` lists them. Parameters are flags of their own (`--min-ms 5`) or `--param min_ms=5`; `ingero queries show NAME` explains them. Tables show readable units (1.23 ms, 4.0 MiB), the other formats raw values.';

  static override examples = [
    '<%= config.bin %> run-query cuda-api-sum run.duckdb',
    '<%= config.bin %> run-query slow-memcpy run.duckdb --param min_ms=5 --param limit=10',
    '<%= config.bin %> run-query api-errors run.duckdb --format json',
    '<%= config.bin %> run-query cuda-api-sum run.duckdb --explain',
  ];

  static override strict = false;
  static override args = {
    name: Args.string({ description: 'Name of the query.', required: true }),
    file: capturesArg,
  };

  static override flags = {
    ...resultFlags,
    param: Flags.string({
      char: 'p',
      description: 'Value of a parameter; may be repeated.',
      helpValue: 'NAME=VALUE',
      multiple: true,
      multipleNonGreedy: true,
      default: [],
    }),
    explain: Flags.boolean({
      description: 'Print the SQL and the plan DuckDB makes for it on this capture, and run nothing.',
    }),
    'query-dir': queryDirFlag,
  };

  async run(): Promise<JsonResult | Explanation | undefined> {
    const library = QueryLibrary.open(flagValues(this.argv, 'query-dir'));
    const query = namedIn(this.argv, library);
    const { args, argv, flags } = await this.parseFor(query);
    const chosen = query ?? library.find(args.name);
    const values = resolveParams(chosen, [...flags.param, ...givenParams(chosen, flags)]);
    const files = expandFiles((argv as string[]).slice(1));
    if (flags.explain) return this.explain(files, chosen, values, flags);
    return runSession({
      files,
      flags,
      json: this.jsonEnabled(),
      humanUnits: true,
      start: (capture, budget) => runNamed(capture, chosen, values, budget),
      caveats: (capture) => caveats(capture, chosen),
      note: (line) => this.logToStderr(line),
      report: (error) => this.fail(error),
    });
  }

  /** Parses the command line with a flag for each parameter of the query. */
  private async parseFor(query: NamedQuery | undefined) {
    const own = query === undefined ? {} : paramFlags(query);
    try {
      return await this.parse(
        {
          args: RunQuery.args,
          flags: { ...RunQuery.flags, ...own },
          enableJsonFlag: RunQuery.enableJsonFlag,
          strict: false,
        },
        this.argv,
      );
    } catch (error) {
      const unknown = (error as { flags?: unknown }).flags;
      if (query === undefined || !Array.isArray(unknown)) throw error;
      const flag = String(unknown[0]);
      const known = [...Object.keys(RunQuery.flags), ...query.params.map(({ name }) => flagOf(name))];
      throw new IngeroError(`${query.name} has no parameter ${flag}, and run-query no such flag.`, {
        code: 'bad-parameter',
        exitCode: EXIT.sql,
        expected:
          didYouMean(flag.replace(/^-+/, ''), known) ?? 'a flag of run-query or a parameter of the query',
        next: `\`ingero queries show ${query.name}\` explains its parameters.`,
        cause: error,
      });
    }
  }

  private explain(
    files: string[],
    query: NamedQuery,
    values: ParamValues,
    flags: ResultFlags,
  ): Promise<Explanation> {
    return withCapture(
      files,
      flags,
      (error) => this.fail(error),
      async (capture, budget) => {
        const plan = await explainNamed(capture, query, values, budget);
        const params = Object.fromEntries([...values].map(([param, value]) => [param.name, value ?? null]));
        for (const [name, value] of Object.entries(params)) this.log(`-- $${name} = ${value ?? 'NULL'}`);
        this.log(`${query.sql}\n${plan}`);
        return { name: query.name, params, sql: query.sql, plan };
      },
    );
  }
}

/** Values of a flag that have to be known before the command line can be parsed. */
function flagValues(argv: readonly string[], flag: string): string[] {
  return argv.flatMap((word, index) => {
    if (word.startsWith(`--${flag}=`)) return [word.slice(flag.length + 3)];
    const next = argv[index + 1];
    return word === `--${flag}` && next !== undefined ? [next] : [];
  });
}

/**
 * The query a command line names, whose parameters are flags: the first word that is no flag and no value of one.
 * Throws as {@link QueryLibrary.find}. Undefined when there is no such word.
 */
function namedIn(argv: readonly string[], library: QueryLibrary): NamedQuery | undefined {
  const options = Object.entries(RunQuery.flags).flatMap(([name, flag]) =>
    flag.type === 'option' ? [`--${name}`, `-${flag.char}`] : [],
  );
  const takesValue = (word: string): boolean => options.includes(word);
  const words = argv.filter((word, index) => !word.startsWith('-') && !takesValue(argv[index - 1] ?? ''));
  // Values of parameters that stand before the name are words too: a name that exists wins.
  const name = words.find((word) => library.names.includes(word)) ?? words[0];
  return name === undefined ? undefined : library.find(name);
}
