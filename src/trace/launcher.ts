/**
 * The command of `trace -- COMMAND` is started by a process that was forked before ingero sealed itself: seals and
 * dropped privileges are inherited, and the command has to be as if it had been started by hand.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { type Environment, withoutNodeVariables } from '../node-environment.js';
import type { User } from '../trust/user.js';

/** First argument of the launcher process; nobody types it. */
export const LAUNCHER_ARGUMENT = '--launch-command';

/** What the launcher is told; one JSON text, ended by closing the pipe. */
export interface LaunchOrder {
  argv: readonly string[];
  /** The environment of the caller. */
  env: Environment;
  umask: number;
  user: User | null;
}

/** Descriptors of the launcher: the order comes in by one, the reason of a failure goes out by the other. */
export const ORDER_FD = 3;
export const FAILURE_FD = 4;

/** The tracer's handle on the waiting launcher, which becomes the command. */
export class Launcher {
  readonly child: ChildProcess;
  /** How the launcher, or the command it became, ended. It may end before it has an order. */
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** Resolves when the launcher has become the command or ended: with what it said of a failure, or nothing. */
  readonly #refusal: Promise<string>;
  readonly #env: Environment;

  private constructor(child: ChildProcess, env: Environment) {
    this.child = child;
    this.#env = env;
    this.ended = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve({ code, signal }));
    });
    const failures = child.stdio[FAILURE_FD] as Socket;
    this.#refusal = new Promise((resolve) => {
      let reason = '';
      failures.setEncoding('utf8');
      failures.on('data', (text: string) => {
        reason += text;
      });
      failures.once('close', () => resolve(reason));
    });
  }

  /**
   * Starts a launcher. It waits, and ends by itself when this process does. `program`: the words that start ingero; `env`:
   * the environment of the caller, for the command.
   */
  static start(program: readonly string[], env: Environment): Launcher {
    const [file, ...args] = program as [string, ...string[]];
    const child = spawn(file, [...args, LAUNCHER_ARGUMENT], {
      stdio: ['inherit', 'inherit', 'inherit', 'pipe', 'pipe'],
      env: withoutNodeVariables(env),
    });
    const launcher = new Launcher(child, env);
    launcher.#hold(false);
    return launcher;
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** Lets the launcher become the command. Resolves when it has, with null, or with the reason why it could not. */
  async launch(order: Omit<LaunchOrder, 'env'>): Promise<string | null> {
    this.#hold(true);
    const orders = this.child.stdio[ORDER_FD] as Socket;
    // A launcher that was killed takes no order; its exit says so.
    orders.on('error', () => {});
    orders.end(JSON.stringify({ ...order, env: this.#env } satisfies LaunchOrder));
    return (await this.#refusal) || null;
  }

  /** Whether this process stays for the launcher's sake. One without an order ends when this process does. */
  #hold(stay: boolean): void {
    const method = stay ? 'ref' : 'unref';
    this.child[method]();
    for (const fd of [ORDER_FD, FAILURE_FD]) (this.child.stdio[fd] as Socket)[method]();
  }
}

let waiting: Launcher | null = null;

/** Keeps the launcher started at the beginning of this process for the `trace` command. */
export function keepLauncher(launcher: Launcher): void {
  waiting = launcher;
}

/** The launcher started at the beginning of this process; null when there was no command to start. */
export function takeLauncher(): Launcher | null {
  const launcher = waiting;
  waiting = null;
  return launcher;
}
