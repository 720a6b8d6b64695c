import { lstatSync, readlinkSync } from 'node:fs';

/** As many links as the kernel follows in one path (MAXSYMLINKS). */
const MAX_LINKS = 40;

/**
 * Resolves every symlink of the absolute `path` as a process whose root directory is `root` would, and
 * returns the path it arrives at, seen from inside (without `root`). Null when it does not exist. `realpath`
 * will not do: it would follow an absolute link found under /proc/PID/root into our own root.
 */
export function resolveInRoot(root: string, path: string): string | null {
  const pending = path.split('/').reverse();
  const done: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop();
    if (part === undefined || part === '' || part === '.') continue;
    if (part === '..') {
      done.pop();
      continue;
    }
    done.push(part);
    const here = `${root}/${done.join('/')}`;
    const target = linkTarget(here);
    if (target === null) return null;
    if (target === '') continue;
    if (++links > MAX_LINKS) return null;
    done.pop();
    if (target.startsWith('/')) done.length = 0;
    pending.push(...target.split('/').reverse());
  }
  return `/${done.join('/')}`;
}

/** Where a link points; '' for anything that is not a link; null when it does not exist. */
function linkTarget(path: string): string | null {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : '';
  } catch {
    return null;
  }
}
