#!/usr/bin/env node
import { start } from '../dist/start.js';

await start(process.argv.slice(2), async () => {
  // oclif asks the OS for the home directory and shell at import; both fail for a uid without a passwd entry.
  process.env.HOME ??= '/';
  process.env.SHELL ??= '/bin/sh';
  const { execute } = await import('@oclif/core');
  await execute({ dir: import.meta.url });
});
