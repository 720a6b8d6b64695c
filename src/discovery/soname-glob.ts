/** Decides whether a file name or DT_SONAME is one of the libraries a pack names. */
export interface SonameMatcher {
  /** Whether a name (no directory) is one of them, bundled wheel names such as `libcudart-1a2b3c4d.so.12` included. */
  matches(name: string): boolean;
  /** Whether a file of that name may carry a matching DT_SONAME under another name (`libcudart.so`, `libcudart_app.so`). */
  mayCarry(name: string): boolean;
}

/**
 * Compiles sonames with `*` (any characters) and `?` (one), e.g. `libcudart.so.*`. Wheel builders rename bundled
 * libraries to `STEM-HASH.so...`, eight hex digits of the file's SHA-256, so a hash before `.so` is always allowed.
 */
export function sonameMatcher(globs: readonly string[]): SonameMatcher {
  const patterns = globs.map(
    (glob) => new RegExp(`^${glob.split('.so').map(globToRegex).join('(?:-[0-9a-f]{8})?\\.so')}$`),
  );
  const stems = globs.map((glob) => glob.split(/\.so|[*?]/)[0] ?? '').filter((stem) => stem !== '');
  return {
    matches: (name) => patterns.some((pattern) => pattern.test(name)),
    mayCarry: (name) => name.includes('.so') && stems.some((stem) => name.startsWith(stem)),
  };
}

/** The version in a library's file name: what follows `.so.` (`libcudart.so.12.4.127` -> `12.4.127`), or null. */
export function versionInName(name: string): string | null {
  return /\.so\.(\d+(?:\.\d+)*)$/.exec(name)?.[1] ?? null;
}

function globToRegex(glob: string): string {
  return glob
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
}
