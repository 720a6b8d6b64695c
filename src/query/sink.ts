import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { EXIT, IngeroError } from '../errors.js';

/** Where formatted text goes. */
export interface Sink {
  /** Columns of the terminal; undefined when the text does not go to one. */
  readonly width: number | undefined;
  /** Resolves when more may be written. Throws ReaderGone when nobody reads any more. */
  write(text: string): Promise<void>;
  close(): void;
  /** Ends after a failure: a half-written file is removed. */
  discard(): void;
}

/** The reader of a pipe has gone (`| head`): there is no one left to write to, which is no failure. */
export class ReaderGone extends Error {}

/** Standard output. */
export function stdoutSink(stdout: NodeJS.WriteStream = process.stdout): Sink {
  // The failed write reports EPIPE itself; without a listener the same error would end the process.
  const ignore = (): void => {};
  stdout.on('error', ignore);
  const close = (): void => {
    stdout.off('error', ignore);
  };
  return {
    width: stdout.isTTY ? stdout.columns : undefined,
    write: (text) =>
      new Promise((done, failed) => {
        stdout.write(text, (error) => {
          if (error === null || error === undefined) done();
          else failed((error as NodeJS.ErrnoException).code === 'EPIPE' ? new ReaderGone() : error);
        });
      }),
    close,
    discard: close,
  };
}

/** Says why an output file cannot be written, with `EXIT.output`. */
export function outputFailure(path: string, cause: unknown): IngeroError {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'EEXIST') {
    return new IngeroError(`${path} exists already.`, {
      code: 'output-exists',
      exitCode: EXIT.output,
      expected: 'the name of a file that does not exist',
      next: 'Choose another name, or remove the file first.',
      cause,
    });
  }
  return new IngeroError(`Cannot write ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    code: 'output-unwritable',
    exitCode: EXIT.output,
    next: 'Check that the directory exists, is writable, and has space.',
    cause,
  });
}

/** Creates an output file, private to this user. Throws IngeroError (`output-exists`, `output-unwritable`). */
export function createOutput(path: string): number {
  try {
    return openSync(path, 'wx', 0o600);
  } catch (cause) {
    throw outputFailure(path, cause);
  }
}

/** A new file. Throws as {@link createOutput}; a write that fails throws `output-unwritable`. */
export function fileSink(path: string): Sink {
  const file = createOutput(path);
  return {
    width: undefined,
    async write(text) {
      try {
        const bytes = Buffer.from(text);
        for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
      } catch (cause) {
        throw outputFailure(path, cause);
      }
    },
    close: () => closeSync(file),
    discard() {
      closeSync(file);
      rmSync(path, { force: true });
    },
  };
}
