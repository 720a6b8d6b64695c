/** The launcher process: waits for its order and becomes the command. */
import { closeSync, readFileSync, writeSync } from 'node:fs';
import { findProgram, toEnvironment } from '../discovery/index.js';
import { execvpe, fcntl, lastErrno, signal } from '../trust/libc.js';
import { becomeUser, type User } from '../trust/user.js';
import { FAILURE_FD, type LaunchOrder, ORDER_FD } from './launcher.js';

/** SIGPIPE and SIGXFSZ, which Node.js ignores; an ignored signal would stay ignored in the command (execve(2)). */
const IGNORED_SIGNALS = [13, 25];
const STANDARD_STREAMS = [0, 1, 2];
const F_SETFD = 2;
const FD_CLOEXEC = 1;

/** Waits for the order of the tracer and becomes the command. Returns only when that failed or no order came. */
export function launchCommand(): void {
  const text = readFileSync(ORDER_FD, 'utf8');
  closeSync(ORDER_FD);
  if (text === '') return;
  const { argv, env, umask, user } = JSON.parse(text) as LaunchOrder;
  const reason = become(argv, env, umask, user);
  writeSync(FAILURE_FD, reason);
  process.exitCode = 127;
}

function become(argv: readonly string[], env: LaunchOrder['env'], umask: number, user: User | null): string {
  const environment = { ...env, ...environmentOf(user) };
  try {
    if (user !== null) becomeUser(user);
  } catch (error) {
    return `becoming user ${user?.name ?? user?.uid}: ${(error as Error).message}`;
  }
  const [file] = argv as [string];
  const path = findProgram(file, process.cwd(), toEnvironment(environment));
  if (path === null) return 'there is no such program';
  process.umask(umask);
  for (const number of IGNORED_SIGNALS) signal(number, null);
  // Node.js has marked all of them to be closed.
  for (const fd of STANDARD_STREAMS) fcntl(fd, F_SETFD, 'int', 0);
  // Closed by the kernel the moment the command runs: that is how the tracer knows.
  fcntl(FAILURE_FD, F_SETFD, 'int', FD_CLOEXEC);
  const variables = Object.entries(environment).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${value}`],
  );
  execvpe(path, [...argv, null], [...variables, null]);
  return lastErrno().text;
}

/** sudo sets these to root's; the command runs as the user who called it. */
function environmentOf(user: User | null): Record<string, string> {
  if (user === null) return {};
  return {
    ...(user.name === null ? {} : { USER: user.name, LOGNAME: user.name }),
    ...(user.home === null ? {} : { HOME: user.home }),
    ...(user.shell === null ? {} : { SHELL: user.shell }),
  };
}
