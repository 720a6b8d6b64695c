import { readProc } from './procfs.js';

/** A file mapped by a process, from its first line in /proc/PID/maps. */
export interface MappedFile {
  /** Path in the process's mount namespace, without ` (deleted)`. */
  path: string;
  deleted: boolean;
  /** Address range as /proc/PID/map_files names it. */
  range: string;
  /** `major:minor` as the kernel prints it; on overlay and btrfs not what stat reports. */
  device: string;
  inode: number;
  /** Whether any of its mappings is executable. */
  executable: boolean;
}

const DELETED = ' (deleted)';

/** Every file a process maps (any permissions), once each; null when it is gone or may not be read. */
export function mappedFiles(pid: number): MappedFile[] | null {
  const bytes = readProc(`/proc/${pid}/maps`);
  return bytes === null ? null : parseMaps(bytes.toString('utf8'));
}

/**
 * Parses /proc/PID/maps (proc(5)). Memory that is no file, and devices, are left out; /dev/shm stays, for
 * environments are unpacked there.
 */
export function parseMaps(text: string): MappedFile[] {
  const files = new Map<string, MappedFile>();
  let previousPath = '';
  let previous: MappedFile | null = null;
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline;
    const slash = text.indexOf('/', at);
    if (slash >= 0 && slash < end) {
      const path = text.slice(slash, end);
      // A library's segments follow each other: most lines repeat the path before them.
      if (path !== previousPath) previous = fileOf(files, text.slice(at, slash), path);
      previousPath = path;
      if (previous !== null && text[text.indexOf(' ', at) + 3] === 'x') previous.executable = true;
    }
    at = end + 1;
  }
  return [...files.values()];
}

/** Code in a process's memory. */
export interface CodeRange {
  start: bigint;
  end: bigint;
  /** Offset in the file of its first byte. */
  fileOffset: bigint;
  inode: number;
  /** In the process's mount namespace, with ` (deleted)` behind it when the file is gone; null: code made by the process, or the kernel's. */
  path: string | null;
}

/** Where a process has code; empty when it is gone or may not be read. */
export function codeRanges(pid: number): CodeRange[] {
  const text = readProc(`/proc/${pid}/maps`)?.toString('utf8') ?? '';
  return text.split('\n').flatMap((line) => {
    const [, start, end, offset, inode, path] =
      /^([0-9a-f]+)-([0-9a-f]+) ..x. ([0-9a-f]+) \S+ (\d+) *(\/.*)?/.exec(line) ?? [];
    if (start === undefined) return [];
    return [
      {
        start: BigInt(`0x${start}`),
        end: BigInt(`0x${end}`),
        fileOffset: BigInt(`0x${offset}`),
        inode: Number(inode),
        path: path ?? null,
      },
    ];
  });
}

function fileOf(files: Map<string, MappedFile>, fields: string, rawPath: string): MappedFile | null {
  const [range, , , device, inode] = fields.split(' ');
  if (range === undefined || device === undefined || inode === undefined || inode === '0') return null;
  if (rawPath.startsWith('/dev/') && !rawPath.startsWith('/dev/shm/')) return null;
  const key = `${device}:${inode}:${rawPath}`;
  const known = files.get(key);
  if (known !== undefined) return known;
  const deleted = rawPath.endsWith(DELETED);
  const file: MappedFile = {
    path: (deleted ? rawPath.slice(0, -DELETED.length) : rawPath).replaceAll('\\012', '\n'),
    deleted,
    range: range.replace(/(^|-)0+(?=[0-9a-f])/g, '$1'),
    device,
    inode: Number(inode),
    executable: false,
  };
  files.set(key, file);
  return file;
}
