import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { SocketDirectory, socketName } from './address.js';
import { DONE, type Held, HOLD, type Valid } from './protocol.js';

/** How long the recorder may take to answer, ms: others may be served first. */
const PATIENCE_MS = 20_000;

/** The recorder ended the hold: the trace ended, or the copy took too long. */
export class HoldLost extends Error {}

/**
 * Runs `copy` while the recorder of a capture keeps the file as it is. Returns when its contents are from, ns since
 * 1970, or null when no recorder answers. Throws HoldLost when the file may have changed meanwhile, and what `copy`
 * throws.
 */
export async function whileHeld(capture: string, copy: () => Promise<void>): Promise<bigint | null> {
  const directory = new SocketDirectory(capture);
  try {
    const socket = await open(directory.path(socketName(capture)));
    if (socket === null) return null;
    try {
      const answers = lines(socket);
      const { as_of_ns } = await ask<Held>(socket, answers, HOLD);
      await copy();
      await ask<Valid>(socket, answers, DONE);
      return BigInt(as_of_ns);
    } finally {
      socket.destroy();
    }
  } finally {
    directory.close();
  }
}

function open(path: string): Promise<Socket | null> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    // Also when it may not be opened: then the file may not be read either.
    socket.once('error', () => resolve(null));
  });
}

async function* lines(socket: Socket): AsyncGenerator<string, void, undefined> {
  socket.setTimeout(PATIENCE_MS, () => socket.destroy());
  socket.on('error', () => {});
  yield* createInterface({ input: socket });
}

async function ask<T>(socket: Socket, answers: AsyncGenerator<string>, question: string): Promise<T> {
  socket.write(`${question}\n`);
  // A broken connection is the recorder's end as well.
  const answer = await answers.next().catch(() => undefined);
  if (answer === undefined || answer.done === true) throw new HoldLost('the recorder ended the hold');
  return JSON.parse(answer.value) as T;
}
