import { Flags } from '@oclif/core';
import { EXIT, IngeroError } from '../errors.js';
import { FORMATS, type FormatName } from './format.js';
import { parseSize } from './limits.js';
import { DEFAULT_MEMORY_LIMIT, DEFAULT_THREADS, type OpenOptions } from './open.js';

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };

/** Milliseconds of a duration: `30` (seconds), `30s`, `500ms`, `5m`, `1h`. Undefined when it is none. */
export function parseDuration(text: string): number | undefined {
  const parts = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text.trim());
  return parts === null ? undefined : Number(parts[1]) * (SECONDS[parts[2] ?? 's'] ?? 1) * 1000;
}

function usage(message: string, expected: string): IngeroError {
  return new IngeroError(message, { code: 'usage', exitCode: EXIT.usage, expected });
}

const duration = Flags.custom<number>({
  parse: async (text) => {
    const ms = parseDuration(text);
    if (ms === undefined)
      throw usage(`${JSON.stringify(text)} is not a duration.`, 'such as 30s, 500ms or 5m');
    return ms;
  },
});

const size = Flags.custom<string>({
  parse: async (text) => {
    if (parseSize(text) === undefined) {
      throw usage(`${JSON.stringify(text)} is not a size.`, 'such as 512MB or 4GiB');
    }
    return text;
  },
});

/** `--query-dir`, for commands that look queries up by name. */
export const queryDirFlag = Flags.string({
  description: 'Folder with more queries, looked into first; may be repeated.',
  helpValue: 'DIR',
  multiple: true,
  multipleNonGreedy: true,
});

/** Flags of every command that runs SQL: what it may take. */
export const limitFlags = {
  timeout: duration({
    description: 'Give up after this much work (30s, 5m); 0 is no limit.',
    default: 300_000,
    defaultHelp: async () => '5m',
    helpValue: 'DURATION',
  }),
  'memory-limit': size({
    description: 'Memory the query may use.',
    default: DEFAULT_MEMORY_LIMIT,
    helpValue: 'SIZE',
  }),
  spill: size({
    description:
      'Disk space the query may use beyond its memory, in a private temporary directory that is removed afterwards. [default: none]',
    helpValue: 'SIZE',
  }),
  threads: Flags.integer({
    description: 'Threads the query may use.',
    default: DEFAULT_THREADS,
    min: 1,
    max: 256,
  }),
};

/** Flags of every command that prints a query's result. */
export const resultFlags = {
  format: Flags.option({
    char: 'f',
    options: FORMATS,
    default: 'table' as FormatName,
    description: 'Form of the output; parquet needs --output.',
    exclusive: ['json'],
  })(),
  output: Flags.string({
    char: 'o',
    description: 'Write to this new file instead of standard output.',
    helpValue: 'FILE',
    exclusive: ['json'],
  }),
  'max-rows': Flags.integer({
    description: 'Stop after this many rows and say so; 0 is no limit. --json stops at 100000 unless told.',
    min: 0,
  }),
  ...limitFlags,
};

/** What {@link resultFlags} parse to. */
export interface ResultFlags {
  format: FormatName;
  output: string | undefined;
  'max-rows': number | undefined;
  /** Milliseconds. */
  timeout: number;
  'memory-limit': string;
  spill: string | undefined;
  threads: number;
}

/** The part of the flags that bounds what statements may take. */
export type LimitFlags = Pick<ResultFlags, 'timeout' | 'memory-limit' | 'spill' | 'threads'>;

/** How a capture is opened under these flags. */
export function openOptions(flags: LimitFlags): OpenOptions {
  return { memoryLimit: flags['memory-limit'], spill: flags.spill, threads: flags.threads };
}
