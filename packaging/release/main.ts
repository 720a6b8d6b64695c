/**
 * Entry of the released bundle. What can be answered without oclif is answered before it is loaded: that is
 * half of the start-up time.
 */
import { arch, version as nodeVersion, platform } from 'node:process';
import { ingeroVersion } from '../../src/paths.js';
import { start } from '../../src/start.js';

const args = process.argv.slice(2);
// Not awaited: the single executable loads this with require(), which takes no top-level await.
void start(args, async () => {
  if (args.length === 1 && args[0] === '--version') {
    // As oclif prints it.
    console.log(`ingero/${ingeroVersion()} ${platform}-${arch} node-${nodeVersion}`);
  } else {
    // oclif asks the OS for both at import; that fails for a uid without a passwd entry.
    process.env.HOME ??= '/';
    process.env.SHELL ??= '/bin/sh';
    const { runCli } = await import('./cli.js');
    await runCli();
  }
});
