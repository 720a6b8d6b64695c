import { EXIT, IngeroError } from '../errors.js';

/** Why an ELF file cannot be used: wrong bytes, a kind we do not trace, or an I/O failure. */
export type ElfErrorCode = 'elf-malformed' | 'elf-unsupported' | 'elf-unreadable';

/** A file that was to be read as an ELF library and cannot be. */
export class ElfError extends IngeroError {
  readonly path: string;

  constructor(code: ElfErrorCode, path: string, problem: string, cause?: unknown) {
    super(`${path}: ${problem}`, {
      code,
      exitCode: EXIT.targetMissing,
      ...(code === 'elf-unsupported'
        ? { expected: 'a 64-bit little-endian ELF file for x86-64 or AArch64' }
        : {}),
      ...(cause === undefined ? {} : { cause }),
    });
    this.name = 'ElfError';
    this.path = path;
  }
}
