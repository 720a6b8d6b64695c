import { closeSync, constants, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';

/** No file of /proc that is read here is longer in practice; a process cannot make us hold more. */
const MAX_PROC_FILE = 16 * 1024 * 1024;
const FIRST_READ = 16 * 1024;

/**
 * The whole of a /proc or /sys file, or null when it cannot be read (process gone, no privilege). Such files have
 * size 0 and are read until they end; at most 16 MiB are.
 */
export function readProc(path: string): Buffer | null {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return null;
  }
  try {
    let bytes = Buffer.allocUnsafe(FIRST_READ);
    let length = 0;
    for (;;) {
      const got = readSync(fd, bytes, length, bytes.length - length, null);
      if (got === 0) return bytes.subarray(0, length);
      length += got;
      if (length < bytes.length) continue;
      if (length >= MAX_PROC_FILE) return bytes.subarray(0, length);
      bytes = Buffer.concat([bytes], bytes.length * 4);
    }
  } catch {
    return null;
  } finally {
    closeSync(fd);
  }
}

/** `readProc` as text without a final newline. */
export function readProcText(path: string): string | null {
  return readProc(path)?.toString('utf8').replace(/\n$/, '') ?? null;
}

/** Target of a link in /proc, or null. */
export function readProcLink(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}

/** Names in a directory, or [] when it cannot be read. */
export function listDirectory(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** Numeric names in a /proc directory, ascending. */
export function numericEntries(path: string): number[] {
  return listDirectory(path)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}
