/** Whose work a trace is: the user who asked for it, who is not the one it starts as under sudo. */
import { EXIT, IngeroError } from '../errors.js';
import { getpwnam, getpwuid, initgroups, lastErrno } from './libc.js';

/** A user a trace can become. */
export interface User {
  uid: number;
  gid: number;
  /** Null for a uid without an entry in the user database. */
  name: string | null;
  home: string | null;
  shell: string | null;
}

/**
 * The user a process should end up as: the one named, else the one who called sudo, else null for who it is already.
 * Throws `no-such-user` for an unknown name, `bad-sudo` when sudo's variables make no sense, `not-root` when it would take root
 * to become that user.
 */
export function targetUser(
  named: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
  uid: number = process.getuid?.() ?? 0,
): User | null {
  const wanted = named === undefined ? sudoUser(environment, uid) : userByName(named);
  if (wanted === null || wanted.uid === uid) return null;
  if (uid !== 0) {
    throw new IngeroError(`Only root can become another user; this is uid ${uid}.`, {
      code: 'not-root',
      exitCode: EXIT.notReady,
      next: 'Leave --user away, or start ingero with sudo.',
    });
  }
  return wanted;
}

/** sudo(8) says in SUDO_UID and SUDO_GID who called it. Only root's word for it counts: others cannot become anybody. */
function sudoUser(environment: Readonly<Record<string, string | undefined>>, uid: number): User | null {
  const { SUDO_UID, SUDO_GID } = environment;
  if (uid !== 0 || SUDO_UID === undefined) return null;
  const called = Number(SUDO_UID);
  const group = Number(SUDO_GID);
  if (!isId(SUDO_UID, called) || !isId(SUDO_GID, group)) {
    throw new IngeroError(`SUDO_UID=${SUDO_UID} SUDO_GID=${SUDO_GID ?? ''} do not say who called sudo.`, {
      code: 'bad-sudo',
      exitCode: EXIT.usage,
      expected: 'both as sudo sets them: a uid and a gid',
      next: 'Name the user with --user, --user root among them.',
    });
  }
  const known = getpwuid(called);
  return {
    uid: called,
    gid: group,
    name: known?.name ?? null,
    home: known?.dir ?? null,
    shell: known?.shell ?? null,
  };
}

function isId(text: string | undefined, value: number): boolean {
  return text !== undefined && /^\d+$/.test(text) && value < 0xffffffff;
}

function userByName(name: string): User {
  const known = /^\d+$/.test(name) ? getpwuid(Number(name)) : getpwnam(name);
  if (known === null) {
    throw new IngeroError(`There is no user ${name}.`, {
      code: 'no-such-user',
      exitCode: EXIT.targetMissing,
      expected: 'a name or uid of the user database (/etc/passwd)',
    });
  }
  return { uid: known.uid, gid: known.gid, name: known.name, home: known.dir, shell: known.shell };
}

/** Gives this process, all its threads, the ids and groups of a user for good. Needs root. Throws when it may not. */
export function becomeUser(user: User): void {
  // The groups of an unknown uid cannot be looked up.
  if (user.name === null) process.setgroups?.([user.gid]);
  else if (initgroups(user.name, user.gid) !== 0) throw new Error(`initgroups: ${lastErrno().text}`);
  process.setgid?.(user.gid);
  process.setuid?.(user.uid);
}

/** Runs `step` with the effective ids of a user, so that the kernel applies that user's file permissions. */
export function asUser<T>(user: User | null, step: () => T): T {
  if (user === null) return step();
  const before = { gid: process.getegid?.() ?? 0, uid: process.geteuid?.() ?? 0 };
  process.setegid?.(user.gid);
  process.seteuid?.(user.uid);
  try {
    return step();
  } finally {
    process.seteuid?.(before.uid);
    process.setegid?.(before.gid);
  }
}
