import { arch, release } from 'node:os';
import { Args, Flags } from '@oclif/core';
import { BaseCommand } from '../base-command.js';
import { durationFlag } from '../duration.js';
import { EXIT, IngeroError } from '../errors.js';
import { packDirFlag } from '../packs/flags.js';
import { PackRegistry } from '../packs/registry.js';
import { packSigners } from '../packs/signer.js';
import { readPolicy } from '../policy/read.js';
import { parseSize } from '../query/limits.js';
import { visible } from '../query/visible.js';
import { takeLauncher } from '../trace/launcher.js';
import { LiveDisplay } from '../trace/live-summary.js';
import { planReturns, RETURN_PROBES } from '../trace/return-plan.js';
import { TraceSession } from '../trace/session.js';
import { describeOutcome, exitCodeOf, summarize, type TraceSummary } from '../trace/summary.js';
import type { Target } from '../trace/target.js';
import { describePrivileges } from '../trust/privileges.js';
import { filteredReturns } from '../trust/return-probes.js';
import { readHostTrustStore, readTrustStore } from '../trust/trust-store.js';
import { targetUser } from '../trust/user.js';

const MIB = 2 ** 20;
const LIVE_INTERVAL_MS = 1000;

export default class Trace extends BaseCommand {
  static override summary = 'Record the calls of GPU programs into a capture file.';
  static override description =
    'Probes are put on the library files the packs name; programs are not changed or restarted. Without a target every process is recorded, also those that start later. Ends at --duration, when the target ends, or with Ctrl-C; the file then says how it ended.';
  static override examples = [
    {
      description: 'Every GPU process for five minutes',
      command: '<%= config.bin %> trace --duration 5m --out run.duckdb',
    },
    {
      description: 'One program, from its first call',
      command: '<%= config.bin %> trace --out run.duckdb -- python3 train.py',
    },
    {
      description: 'A running process',
      command: '<%= config.bin %> trace --pid 4242 --duration 30s --out run.duckdb',
    },
  ];

  static override strict = false;
  static override args = {
    command: Args.string({ description: 'Program to start and record, after `--`; its arguments follow.' }),
  };
  static override flags = {
    out: Flags.string({ char: 'o', description: 'Capture file to write.', default: 'capture.duckdb' }),
    force: Flags.boolean({ description: 'Replace an existing capture file.' }),
    duration: Flags.string({
      char: 'd',
      aliases: ['max-duration'],
      description: 'Stop after this long: 90s, 5m, 1h30m.',
    }),
    'max-size': Flags.string({ description: 'Stop when the capture has this size: 500MB, 10GiB.' }),
    'max-overhead': Flags.string({
      description:
        'Percent of a core recording may take from the busiest thread; beyond it less is recorded, step by step. [default: more than 2 is only told]',
    }),
    'min-free': Flags.string({
      description: 'Stop when less than this is free beside the capture: 1GiB. [default: 16 to 64 MiB]',
    }),
    pack: Flags.string({
      description: 'Probe pack by name or file; may be repeated. [default: the enabled packs]',
      multiple: true,
      multipleNonGreedy: true,
    }),
    'pack-dir': packDirFlag,
    pid: Flags.integer({
      description: 'Record this process and its children; may be repeated.',
      multiple: true,
      multipleNonGreedy: true,
      min: 1,
      exclusive: ['comm'],
    }),
    comm: Flags.string({ description: 'Record processes with this command name (/proc/PID/comm).' }),
    'scan-stripped': Flags.boolean({
      description:
        'Also look for a library linked into programs that were stripped (CUDA runtime on x86-64). Reads the code of every program looked at.',
    }),
    'ring-size': Flags.integer({
      description: 'Kernel ring buffers together, MiB.',
      default: 128,
      min: 1,
      max: 4096,
    }),
    'attach-method': Flags.option({
      description: 'perf-link: one link per probe, for kernels whose multi-uprobe links misbehave.',
      options: ['auto', 'perf-link'] as const,
      default: 'auto',
    })(),
    stacks: Flags.boolean({
      description: 'Record how the program came to every call (tables stacks and frames); dearer calls.',
    }),
    'return-probes': Flags.option({
      description:
        'Whether returns of calls are probed: without, rows have no duration, result or error. auto: unless the kernel lets seccomp filters kill processes for it.',
      options: RETURN_PROBES,
      default: 'auto',
    })(),
    user: Flags.string({
      description:
        'User the trace becomes and its command runs as. [default: the one who called sudo, else the one it starts as]',
    }),
    'keep-privileges': Flags.option({
      description:
        'What is kept once the probes are attached. find: what takes it to look for later libraries in processes of other users; auto: that, where it is needed; none: nothing.',
      options: ['auto', 'find', 'none'] as const,
      default: 'auto',
    })(),
  };

  async run(): Promise<TraceSummary> {
    const { argv, flags } = await this.parse(Trace);
    const durationMs =
      flags.duration === undefined
        ? null
        : durationFlag(flags.duration, 'Leave --duration out to record until Ctrl-C.');
    const launcher = takeLauncher();
    const policy = readPolicy();
    const target = targetOf(flags, argv as string[], commandIn(this.argv));
    const display = process.stderr.isTTY && !this.jsonEnabled() ? new LiveDisplay(process.stderr) : null;
    const packs = PackRegistry.open(flags['pack-dir']).select(flags.pack);
    const session = new TraceSession(
      {
        packs,
        signers: await packSigners(packs, readTrustStore()),
        hostSigners: policy === null ? new Map() : await packSigners(packs, readHostTrustStore()),
        target,
        out: flags.out,
        force: flags.force,
        limits: {
          durationMs,
          sizeBytes: sizeFlag('--max-size', flags['max-size']),
          overheadPercent: percentFlag('--max-overhead', flags['max-overhead']),
        },
        minFreeBytes: sizeFlag('--min-free', flags['min-free']),
        policy,
        ringBytes: flags['ring-size'] * MIB,
        attachMethod: flags['attach-method'],
        scanStripped: flags['scan-stripped'],
        stacks: flags.stacks,
        returns: planReturns(flags['return-probes'], await filteredReturns(arch(), release())),
        launcher,
        user: targetUser(flags.user),
        keepPrivileges: flags['keep-privileges'],
        commandLine: ['ingero', 'trace', ...this.argv],
      },
      {
        started: ({ libraries, probes, searched, privileges }) => {
          if (libraries === 0) {
            this.logToStderr(
              visible(`No library found yet; watching for one. Looked at: ${searched.join('; ')}.`),
            );
          } else if (display !== null) {
            this.logToStderr(
              `${probes} probes in ${libraries} ${libraries === 1 ? 'library' : 'libraries'}; ${describePrivileges(privileges)}; Ctrl-C ends the trace.`,
            );
          }
          if (display !== null) live = setInterval(() => session.requestTotals(), LIVE_INTERVAL_MS);
        },
        totals: (totals) => display?.show(totals),
      },
    );
    let live: NodeJS.Timeout | undefined;
    try {
      const outcome = await session.run();
      const summary = summarize(outcome);
      display?.clear();
      for (const line of describeOutcome(summary)) this.log(line);
      process.exitCode = exitCodeOf(summary, outcome.commandRefused);
      return summary;
    } finally {
      clearInterval(live);
    }
  }
}

function percentFlag(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const percent = Number(text);
  if (!(percent > 0 && percent <= 100)) {
    throw new IngeroError(`${flag} ${text} is not a share of a core.`, {
      code: 'bad-percent',
      exitCode: EXIT.usage,
      expected: 'a number above 0, at most 100',
    });
  }
  return percent;
}

function sizeFlag(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const bytes = parseSize(text);
  if (bytes === undefined) {
    throw new IngeroError(`${flag} ${text} is not a size.`, {
      code: 'bad-size',
      exitCode: EXIT.usage,
      expected: 'a number with a unit: 500MB (decimal), 10GiB (binary)',
    });
  }
  return bytes;
}

/** What stands after --, word by word: the parser sorts words by where the same word stands first. */
function commandIn(args: readonly string[]): string[] {
  const dashes = args.indexOf('--');
  return dashes < 0 ? [] : args.slice(dashes + 1);
}

/** `words`: all that are no flags and no values of flags, those of the command among them. */
function targetOf(
  flags: { pid: number[] | undefined; comm: string | undefined },
  words: readonly string[],
  command: readonly string[],
): Target {
  if (words.length > command.length) {
    const before = words.find((word) => !command.includes(word)) ?? words[0];
    throw new IngeroError(`The command to trace stands after --, and ${before} does not.`, {
      code: 'command-without-dashes',
      exitCode: EXIT.usage,
      expected: `ingero trace [OPTIONS] -- ${words.join(' ')}`,
    });
  }
  if (command.length > 0) {
    if (flags.pid !== undefined || flags.comm !== undefined) {
      throw new IngeroError('A command cannot be combined with --pid or --comm.', {
        code: 'two-targets',
        exitCode: EXIT.usage,
        expected: 'one target: --pid, --comm or -- COMMAND',
      });
    }
    return { kind: 'command', argv: command };
  }
  if (flags.pid !== undefined) return { kind: 'pids', pids: flags.pid };
  if (flags.comm !== undefined) return { kind: 'comm', comm: flags.comm };
  return { kind: 'all' };
}
