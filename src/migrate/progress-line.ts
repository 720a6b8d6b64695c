import type { WriteStream } from 'node:tty';

/** One line on a terminal that is drawn again in place. */
export class ProgressLine {
  readonly #stream: WriteStream;
  #isShown = false;

  private constructor(stream: WriteStream) {
    this.#stream = stream;
  }

  /** null where the stream is no terminal. */
  static on(stream: WriteStream): ProgressLine | null {
    return stream.isTTY ? new ProgressLine(stream) : null;
  }

  /** @param share 0 to 1. */
  show(what: string, share: number): void {
    const line = `${String(Math.round(share * 100)).padStart(3)} %  ${what}`.slice(
      0,
      this.#stream.columns - 1,
    );
    // Carriage return, erase to the end of the line (ECMA-48 EL).
    this.#stream.write(`\r\x1b[K${line}`);
    this.#isShown = true;
  }

  clear(): void {
    if (this.#isShown) this.#stream.write('\r\x1b[K');
    this.#isShown = false;
  }
}
