#!/usr/bin/env node
// oclif asks the OS for the home directory and shell at import; both fail for a uid without a passwd entry.
process.env.HOME ??= '/';
process.env.SHELL ??= '/bin/sh';
const { execute } = await import('@oclif/core');
await execute({ dir: import.meta.url });
