import type { Stats } from 'node:fs';

const GROUP_OR_OTHERS_WRITE = 0o022;

/**
 * Why somebody else than root or this user could change a file or folder; null when nobody could.
 * `uid` is the effective user.
 */
export function othersCanWrite(stat: Stats, uid: number): string | null {
  if (stat.uid !== 0 && stat.uid !== uid) return `it belongs to uid ${stat.uid}, neither root nor this user`;
  if ((stat.mode & GROUP_OR_OTHERS_WRITE) !== 0) {
    return `its mode ${(stat.mode & 0o7777).toString(8)} lets others write to it`;
  }
  return null;
}

/** The effective user of this process. */
export const effectiveUid = (): number => process.geteuid?.() ?? 0;
