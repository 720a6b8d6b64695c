import { Flags } from '@oclif/core';

/** `--trust`, for commands that check signatures. */
export const trustFlag = Flags.string({
  description: 'Folder with more trusted public keys (.pem), looked into first; may be repeated.',
  helpValue: 'DIR',
  multiple: true,
  multipleNonGreedy: true,
});

/** `--key`, for commands that sign. */
export const keyDescription =
  'Private key (PEM, ECDSA on P-256) to sign with; nobody but its owner may be able to read it.';
