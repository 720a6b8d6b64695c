import { closeSync, constants, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Lines kept. */
const MOST_LINES = 1000;

/**
 * File of the prompt's history: in XDG_STATE_HOME, or under HOME. Null for a user without a home of their own (also
 * `/`, which stands for none, and somebody else's under sudo).
 */
export function historyPath(env: NodeJS.ProcessEnv, uid: number): string | null {
  const home = env.HOME ?? '/';
  const hasHome = home.startsWith('/') && home !== '/' && ownedBy(home, uid);
  const given = env.XDG_STATE_HOME ?? '';
  const state = given.startsWith('/') ? given : hasHome ? join(home, '.local', 'state') : null;
  return state === null ? null : join(state, 'ingero', 'query-history');
}

function ownedBy(path: string, uid: number): boolean {
  try {
    return statSync(path).uid === uid;
  } catch {
    return false;
  }
}

/** The lines typed before, newest first; none when there is no file or it cannot be read. */
export function readHistory(path: string | null): string[] {
  if (path === null) return [];
  try {
    return readFileSync(path, 'utf8').split('\n').filter(Boolean).slice(-MOST_LINES).reverse();
  } catch {
    return [];
  }
}

/** Writes the lines, newest first, to a file only this user can read (0600). A history that cannot be kept is not. */
export function writeHistory(path: string | null, lines: readonly string[]): void {
  if (path === null) return;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
    const file = openSync(path, flags, 0o600);
    writeSync(
      file,
      lines
        .slice(0, MOST_LINES)
        .reverse()
        .map((line) => `${line}\n`)
        .join(''),
    );
    closeSync(file);
  } catch {
    // A read-only home, a full disk: the prompt works without.
  }
}
