import { chmodSync, readdirSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { SOCKET_NAME, SocketDirectory, socketName } from './address.js';
import { DONE, type Held, HOLD, type Valid } from './protocol.js';

/** What the recorder does for readers of the capture it writes. */
export interface HoldableFile {
  /**
   * Commits everything seen so far and keeps the file as it is: rows only go to its write-ahead log. Resolves with
   * the wall clock, ns. May be called again while held.
   */
  hold(): Promise<bigint>;
  /** Lets the file change again. */
  release(): void;
  /** How long a reader may take to copy it, ms. */
  patienceMs(): number;
}

/** A reader that says nothing is sent away, ms. */
const SILENCE_MS = 5000;
/** Readers join others' hold for this long; later ones wait for the next, so that holds end. */
const JOIN_MS = 500;
/** Connections; beyond them the kernel and the reader wait or give up. */
const MAX_CONNECTIONS = 256;

/**
 * Answers readers of a capture that is being recorded, on a socket beside it (mode 0600). Readers are served in
 * turns: whoever comes within half a second shares one hold of the file, and between two holds the file is folded
 * as usual. A reader that dies, hangs or talks nonsense only loses its own connection.
 */
export class LiveServer {
  readonly #file: HoldableFile;
  readonly #server: Server;
  readonly #directory: SocketDirectory;
  readonly #name: string;
  readonly #holding = new Set<Socket>();
  readonly #waiting = new Set<Socket>();
  #heldSince: number | null = null;
  #limit: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(file: HoldableFile, capture: string) {
    this.#file = file;
    this.#directory = new SocketDirectory(capture);
    this.#name = socketName(capture);
    this.#server = createServer((socket) => this.#greet(socket));
    this.#server.maxConnections = MAX_CONNECTIONS;
    // The socket must not keep the recorder alive, nor end it.
    this.#server.unref();
    this.#server.on('error', () => {});
  }

  /** Begins to listen. Null where no socket can be made (some file systems): the trace is more important. */
  static async listen(file: HoldableFile, capture: string): Promise<LiveServer | null> {
    try {
      const server = new LiveServer(file, capture);
      await server.#bind();
      return server;
    } catch {
      return null;
    }
  }

  async #bind(): Promise<void> {
    try {
      await this.#bindAt(this.#directory.path(this.#name));
    } catch (error) {
      this.#directory.close();
      throw error;
    }
  }

  async #bindAt(path: string): Promise<void> {
    for (const name of readdirSync(this.#directory.path())) {
      if (SOCKET_NAME.test(name) && (await isAbandoned(this.#directory.path(name)))) {
        unlinkSync(this.#directory.path(name));
      }
    }
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
  }

  #greet(socket: Socket): void {
    socket.on('error', () => {});
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
    socket.once('close', () => this.#leave(socket));
    // A line is short; a reader that sends more is not one of ours.
    let received = 0;
    socket.on('data', (chunk) => {
      received += chunk.length;
      if (received > 1024) socket.destroy();
    });
    const lines = createInterface({ input: socket });
    // It passes on the errors of its socket; a reader that went away must not end the recorder.
    lines.on('error', () => {});
    lines.on('line', (line) => {
      if (line === HOLD && !this.#holding.has(socket)) {
        socket.setTimeout(0);
        this.#waiting.add(socket);
        void this.#serve();
      } else if (line === DONE && this.#holding.has(socket)) {
        socket.end(`${JSON.stringify({ valid: true } satisfies Valid)}\n`);
        this.#leave(socket);
      } else {
        socket.destroy();
      }
    });
  }

  /** Gives the hold to whoever waits, unless the present one is to end first. */
  async #serve(): Promise<void> {
    if (this.#isClosed || this.#waiting.size === 0) return;
    const now = performance.now();
    this.#heldSince ??= now;
    if (now - this.#heldSince > JOIN_MS) return;
    const readers = [...this.#waiting];
    this.#waiting.clear();
    for (const reader of readers) this.#holding.add(reader);
    this.#limit ??= setTimeout(() => this.#revoke(), this.#file.patienceMs());
    try {
      const asOf = await this.#file.hold();
      const held: Held = { held: true, as_of_ns: String(asOf) };
      for (const reader of readers) if (this.#holding.has(reader)) reader.write(`${JSON.stringify(held)}\n`);
    } catch {
      for (const reader of readers) reader.destroy();
    }
  }

  #leave(socket: Socket): void {
    this.#waiting.delete(socket);
    if (!this.#holding.delete(socket) || this.#holding.size > 0) return;
    clearTimeout(this.#limit);
    this.#limit = undefined;
    this.#heldSince = null;
    this.#file.release();
    void this.#serve();
  }

  #revoke(): void {
    for (const reader of [...this.#holding]) reader.destroy();
  }

  /** Sends every reader away and removes the socket. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#limit);
    for (const reader of [...this.#holding, ...this.#waiting]) reader.destroy();
    this.#server.close();
    try {
      unlinkSync(this.#directory.path(this.#name));
    } catch {
      // Somebody removed it, or the directory may no longer be written to; the next trace there tidies up.
    }
    this.#directory.close();
  }
}

/** Whether nobody listens at a socket any more: its recorder was killed. */
function isAbandoned(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
  });
}
