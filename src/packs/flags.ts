import { Flags } from '@oclif/core';

/** `--pack-dir`, for commands that look packs up by name. */
export const packDirFlag = Flags.string({
  description: 'Folder with more packs, looked into first; may be repeated.',
  multiple: true,
  multipleNonGreedy: true,
});
