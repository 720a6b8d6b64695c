import { join } from 'node:path';
import { PACKAGE_ROOT } from '../paths.js';

/** A folder that is looked into: one of the command line (`Given` is its flag), the user's, the host's, or the one that ships. */
export interface Place<Given extends string> {
  kind: Given | 'user' | 'system' | 'built-in';
  path: string;
}

/** A folder that may hold packs. */
export type PackPlace = Place<'pack-dir'>;

export type PlaceKind = PackPlace['kind'];

/** What decides where configuration is: given in tests, else that of this process. */
export interface ConfigHost {
  env: Readonly<Record<string, string | undefined>>;
  /** Effective user. */
  uid: number;
  systemDir: string;
}

/** The configuration folders; null where there is none. */
export interface ConfigDirs {
  user: string | null;
  system: string | null;
  /** The one this user's choices are written to: the host's for root, so that they hold for every root shell. */
  own: string | null;
}

/** Configuration of the host. */
export const HOST_CONFIG = '/etc/ingero';

/** The environment and user of this process. */
export function currentHost(): ConfigHost {
  return { env: process.env, uid: process.geteuid?.() ?? 0, systemDir: HOST_CONFIG };
}

/** Works out the configuration folders. `INGERO_CONFIG_DIR` stands for all of them. */
export function configDirs({ env, uid, systemDir }: ConfigHost): ConfigDirs {
  const override = absolute(env.INGERO_CONFIG_DIR);
  if (override !== null) return { user: override, system: null, own: override };
  const home = absolute(env.HOME);
  const base = absolute(env.XDG_CONFIG_HOME) ?? (home === null ? null : join(home, '.config'));
  const user = base === null ? null : join(base, 'ingero');
  return { user, system: systemDir, own: uid === 0 ? systemDir : user };
}

/** A relative folder would mean another one in every working directory; XDG says to ignore it. */
function absolute(path: string | undefined): string | null {
  return path?.startsWith('/') ? path : null;
}

/** Every folder to look into, in the order of precedence. `folder` is its name in a configuration folder. */
export function placesOf<Given extends string>(
  flag: Given,
  given: readonly string[],
  folder: string,
  { user, system }: ConfigDirs,
  shipped: string,
): Place<Given>[] {
  return [
    ...given.map((path) => ({ kind: flag, path })),
    ...(user === null ? [] : [{ kind: 'user' as const, path: join(user, folder) }]),
    ...(system === null ? [] : [{ kind: 'system' as const, path: join(system, folder) }]),
    { kind: 'built-in', path: shipped },
  ];
}

/** Every folder packs come from, in the order of precedence. */
export function packPlaces(packDirs: readonly string[], dirs: ConfigDirs): PackPlace[] {
  return placesOf('pack-dir', packDirs, 'probes.d', dirs, join(PACKAGE_ROOT, 'probes'));
}
