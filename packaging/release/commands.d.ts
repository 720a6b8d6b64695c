/** Made by packaging/bundle.mjs from oclif.manifest.json. */
declare module 'ingero:commands' {
  import type { Command } from '@oclif/core';

  /** Loads the module of a command, by command id. */
  export const loaders: Readonly<Record<string, (() => Promise<{ default: Command.Class }>) | undefined>>;
}
