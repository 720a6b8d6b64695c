/**
 * How every ingero process begins, before anything else is loaded: the launcher of a traced command is forked off,
 * then the process is sealed.
 */
import { IngeroError } from './errors.js';
import { takeCallerEnvironment } from './node-environment.js';
import { printFailure } from './print-failure.js';
import { ownProgram } from './program.js';
import { keepLauncher, LAUNCHER_ARGUMENT, Launcher } from './trace/launcher.js';
import { sealProcess } from './trust/seal.js';

/**
 * Starts ingero. `args`: the command line without the program. `run`: loads and runs the commands. Without a seal only
 * `check` runs, which tells why.
 */
export async function start(args: readonly string[], run: () => Promise<void>): Promise<void> {
  if (args[0] === LAUNCHER_ARGUMENT) {
    const { launchCommand } = await import('./trace/launch-command.js');
    launchCommand();
    return;
  }
  const environment = takeCallerEnvironment(process.env);
  if (args[0] === 'trace' && args.includes('--')) keepLauncher(Launcher.start(ownProgram(), environment));
  try {
    sealProcess({ programs: args[0] === 'probes' && args[1] === 'test' });
  } catch (error) {
    if (!(error instanceof IngeroError)) throw error;
    if (args[0] !== 'check') {
      printFailure(error, args.includes('--json'));
      return;
    }
  }
  await run();
}
