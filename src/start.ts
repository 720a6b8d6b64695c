/**
 * How every ingero process begins, before anything else is loaded: the launcher of a traced command is forked off,
 * then the process is sealed.
 */
import { IngeroError } from './errors.js';
import { keepLauncher, LAUNCHER_ARGUMENT, Launcher } from './trace/launcher.js';
import { sealProcess } from './trust/seal.js';

/**
 * Starts ingero. `args`: the command line without the program. `program`: the words that start ingero once more.
 * `run`: loads and runs the commands. Without a seal only `check` runs, which tells why.
 */
export async function start(
  args: readonly string[],
  program: readonly string[],
  run: () => Promise<void>,
): Promise<void> {
  if (args[0] === LAUNCHER_ARGUMENT) {
    const { launchCommand } = await import('./trace/launch-command.js');
    launchCommand();
    return;
  }
  if (args[0] === 'trace' && args.includes('--')) keepLauncher(Launcher.start(program));
  try {
    sealProcess({ programs: args[0] === 'probes' && args[1] === 'test' });
  } catch (error) {
    if (!(error instanceof IngeroError)) throw error;
    if (args[0] !== 'check') {
      refuse(error, args.includes('--json'));
      return;
    }
  }
  await run();
}

function refuse(error: IngeroError, json: boolean): void {
  if (json) console.log(JSON.stringify(error.toJSON(), null, 2));
  else console.error(`Error: ${error.message}\n  expected: ${error.expected}\n  next:     ${error.next}`);
  process.exitCode = error.exitCode;
}
