import { Args, Flags } from '@oclif/core';
import { durationFlag } from '../duration.js';
import { EXIT, IngeroError } from '../errors.js';
import { FORMATS, type FormatName } from './format.js';
import { parseSize } from './limits.js';
import { DEFAULT_MEMORY_LIMIT, DEFAULT_THREADS, type OpenOptions } from './open.js';

function usage(message: string, expected: string): IngeroError {
  return new IngeroError(message, { code: 'usage', exitCode: EXIT.usage, expected });
}

const timeout = Flags.custom<number>({
  parse: async (text) =>
    text === '0' ? 0 : durationFlag(text, 'Leave --timeout out for 5 minutes; --timeout 0 is no limit.'),
});

const size = Flags.custom<string>({
  parse: async (text) => {
    if (parseSize(text) === undefined) {
      throw usage(`${JSON.stringify(text)} is not a size.`, 'such as 512MB or 4GiB');
    }
    return text;
  },
});

/** The captures of a command that asks several as one; more of them follow in `argv`. */
export const capturesArg = Args.string({
  description: 'Capture file; several, or a pattern in quotes, are asked as one.',
  required: true,
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
  timeout: timeout({
    description: 'Give up after this much work (30s, 5m, 1h30m); 0 is no limit.',
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
