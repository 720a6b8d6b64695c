#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { start } from '../dist/start.js';

await start(process.argv.slice(2), async () => {
  // oclif asks the OS for the home directory and shell at import; both fail for a uid without a passwd entry.
  process.env.HOME ??= '/';
  process.env.SHELL ??= '/bin/sh';
  const { execute } = await import('@oclif/core');
  // A plugin is code in the home directory of whoever starts this, root's sudo among them.
  const root = fileURLToPath(import.meta.url);
  await execute({ loadOptions: { root, userPlugins: false, devPlugins: false } });
});
