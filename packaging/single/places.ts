/** Where the single executable keeps its unpacked files. */
import { isAbsolute, join, resolve } from 'node:path';

/** Environment variable that names the one folder to unpack into. */
export const UNPACK_DIR = 'INGERO_UNPACK_DIR';

/** Who runs the executable. */
export interface Caller {
  /** Effective user id. */
  uid: number;
  /**
   * Whether the process holds capabilities and is not root (a service, a file with capabilities). Then others with its
   * uid may hold less than it does, and nothing that user could have changed is loaded.
   */
  capable: boolean;
  env: Readonly<Record<string, string | undefined>>;
}

/** The folders to try, in this order. What root has unpacked serves every user. */
export function unpackPlaces({ uid, env }: Caller): readonly string[] {
  const named = env[UNPACK_DIR];
  if (named !== undefined && named !== '') return [resolve(named)];
  // Root's places do not follow the environment, which may be that of the user who called sudo.
  const shared = '/var/cache/ingero';
  if (uid === 0) return [shared, '/run/ingero', '/tmp/ingero-0'];
  const cache = absolute(env.XDG_CACHE_HOME) ?? absolute(env.HOME && join(env.HOME, '.cache'));
  const runtime = absolute(env.XDG_RUNTIME_DIR);
  const own = [cache, runtime].flatMap((folder) => (folder === undefined ? [] : [join(folder, 'ingero')]));
  return [shared, ...own, `/tmp/ingero-${uid}`];
}

/** The XDG directories count only when they are absolute (XDG Base Directory Specification). */
function absolute(path: string | undefined): string | undefined {
  return path !== undefined && isAbsolute(path) ? path : undefined;
}
