/** Documented exit codes of the `ingero` command (docs/exit-codes.md). */
export const EXIT = {
  ok: 0,
  /** A defect in ingero itself. */
  internal: 1,
  /** The command line cannot be understood. */
  usage: 2,
  /** This host (kernel, privilege, libbpf) cannot do what was asked. */
  notReady: 3,
  /** A library, symbol or process that was asked for is not there. */
  targetMissing: 4,
  /** The output cannot be written (exists, directory, disk full). */
  output: 5,
  /** The input file is not a capture this version can read. */
  badCapture: 6,
  /** The SQL statement or its parameters are wrong, or it was refused. */
  sql: 7,
  /** A probe pack is wrong. */
  badPack: 8,
  /** The capture ended but its accounting identity does not hold. */
  accounting: 9,
  /** `verify`: a file has no signature and no seal. */
  unsigned: 10,
  /** `verify`: the signature is of a key that is not trusted here. */
  unknownSigner: 11,
  /** `verify`: the file, or its signature or seal, is not what was signed. */
  altered: 12,
  /** `verify`: the signer's key has expired. */
  expired: 13,
  /** The policy of this host does not allow it. */
  policy: 14,
  /** The update cannot be relied on, or does not fit. */
  update: 15,
  /** A query was interrupted or ran out of its time. */
  interrupted: 130,
} as const;

export interface IngeroErrorDetail {
  /** Stable, documented identifier, e.g. `output-exists`. */
  code: string;
  exitCode: number;
  /** What would have been right. */
  expected?: string;
  /** What the reader can do next. */
  next?: string;
  cause?: unknown;
}

/** A failure a user can act on: a sentence, what was expected, what to do next, and an exit code. */
export class IngeroError extends Error {
  readonly code: string;
  readonly exitCode: number;
  readonly expected: string | undefined;
  readonly next: string | undefined;

  constructor(message: string, detail: IngeroErrorDetail) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    this.name = 'IngeroError';
    this.code = detail.code;
    this.exitCode = detail.exitCode;
    this.expected = detail.expected;
    this.next = detail.next;
  }

  /** The stable shape printed by `--json`. */
  toJSON(): { error: { code: string; message: string; expected?: string; next?: string } } {
    return {
      error: {
        code: this.code,
        message: this.message,
        ...(this.expected === undefined ? {} : { expected: this.expected }),
        ...(this.next === undefined ? {} : { next: this.next }),
      },
    };
  }
}
