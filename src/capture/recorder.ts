import { Worker } from 'node:worker_threads';
import { EXIT, IngeroError } from '../errors.js';
import type { FromRecorder, RecorderResult, RecorderStart, ToRecorder } from './recorder-protocol.js';

type Listener = (message: FromRecorder) => void;

/** The tracer's handle on the recorder thread. */
export class Recorder {
  readonly #worker: Worker;
  readonly #listeners = new Set<Listener>();

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Starts the recorder: creates the capture file and begins to read the rings. Throws `output-write` when it cannot. */
  static async start(start: RecorderStart): Promise<Recorder> {
    const worker = new Worker(new URL('./recorder-worker.js', import.meta.url), { workerData: start });
    const recorder = new Recorder(worker);
    await new Promise<void>((resolve, reject) => {
      const refuse = (cause: Error): void =>
        reject(
          new IngeroError(`The capture ${start.path} could not be created: ${cause.message}`, {
            code: 'output-write',
            exitCode: EXIT.output,
            next: 'Check the directory and its file system, or give another path with --out.',
            cause,
          }),
        );
      worker.once('error', refuse);
      worker.on('message', (message: FromRecorder) => {
        if (message.type === 'ready') {
          worker.off('error', refuse);
          worker.on('error', (error) =>
            recorder.#tell({
              type: 'stopped',
              reason: 'failed',
              detail: `recorder thread: ${error.message}`,
            }),
          );
          resolve();
        }
        recorder.#tell(message);
      });
    });
    return recorder;
  }

  /** Calls `listener` for every message of the recorder. */
  onMessage(listener: Listener): void {
    this.#listeners.add(listener);
  }

  send(message: ToRecorder): void {
    this.#worker.postMessage(message);
  }

  /** Completes the file: everything in the rings is read, the accounting written, the WAL folded in. */
  async finish(message: Extract<ToRecorder, { type: 'finish' }>): Promise<RecorderResult> {
    const result = new Promise<RecorderResult>((resolve, reject) => {
      this.onMessage((answer) => {
        if (answer.type === 'finished') resolve(answer.result);
      });
      this.#worker.once('exit', (code) => reject(new Error(`the recorder thread ended with code ${code}`)));
    });
    this.send(message);
    try {
      return await result;
    } finally {
      await this.#worker.terminate();
    }
  }

  #tell(message: FromRecorder): void {
    for (const listener of this.#listeners) listener(message);
  }
}
