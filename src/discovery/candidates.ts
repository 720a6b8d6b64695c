import { statfsSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { ElfFile } from './elf.js';
import { ElfError } from './elf-error.js';
import { HOST_ARCH } from './host-arch.js';
import type { LibraryFile } from './model.js';
import { type SonameMatcher, versionInName } from './soname-glob.js';

/** A file that may be one of the libraries looked for. */
export interface Candidate {
  /** Path a person would recognise. */
  path: string;
  /** Path to open it by. */
  openPath: string;
  foundBy: string;
  /** Names it was reached by, besides its own (a symlink, a DT_NEEDED entry). */
  names?: readonly string[];
}

/** A file that looked right and is not used. */
export interface IgnoredLibrary {
  path: string;
  reason: string;
}

const OVERLAYFS_MAGIC = 0x794c7630;

/** Identity of a file as `known` sets hold it. */
export function fileKey(file: { dev: number; inode: number }): string {
  return `${file.dev}:${file.inode}`;
}

/**
 * Gathers library files, each inode once, however many paths lead to it. Never throws for a file it is offered:
 * what cannot be used is listed with the reason.
 */
export class LibraryCollector {
  readonly files: LibraryFile[] = [];
  readonly ignored: IgnoredLibrary[] = [];

  constructor(
    private readonly matcher: SonameMatcher,
    /** `dev:inode` of files already looked at, and images already used; grows with every file offered. */
    private readonly seen: Set<string>,
    /** Functions that betray a statically linked copy; empty: such copies are not looked for. */
    private readonly embeddedSymbols: ReadonlySet<string> = new Set(),
  ) {}

  /** Whether a file of that name is worth offering, before anything is opened. */
  wantsName(name: string): boolean {
    return this.matcher.matches(name) || this.matcher.mayCarry(name);
  }

  /** Looks at a file and adds it when its name, its DT_SONAME or (embedded copies) its functions are looked for. */
  offer(candidate: Candidate): void {
    const stat = statSync(candidate.openPath, { throwIfNoEntry: false });
    if (stat === undefined || !stat.isFile()) return;
    const key = fileKey({ dev: stat.dev, inode: stat.ino });
    if (this.seen.has(key)) return;
    const byName = [basename(candidate.path), ...(candidate.names ?? [])].some((name) =>
      this.matcher.matches(name),
    );
    if (candidate.path.split('/').includes('stubs')) {
      // Link-time stubs carry the real soname and no code that could be called.
      if (byName) this.ignored.push({ path: candidate.path, reason: 'a link-time stub' });
      return;
    }
    this.seen.add(key);
    try {
      this.inspect(candidate, byName);
    } catch (error) {
      if (!(error instanceof ElfError)) throw error;
      if (byName) this.ignored.push({ path: candidate.path, reason: error.message });
    }
  }

  private inspect(candidate: Candidate, byName: boolean): void {
    const elf = ElfFile.open(candidate.openPath);
    try {
      const { soname } = elf;
      const named = byName || (soname !== null && this.matcher.matches(soname));
      if (!named && !this.embeds(elf, candidate)) return;
      if (elf.machine !== HOST_ARCH) {
        this.ignored.push({
          path: candidate.path,
          reason: `built for ${elf.machine}, this host is ${HOST_ARCH}`,
        });
        return;
      }
      if (this.isSameImage(elf, candidate)) return;
      this.files.push({
        path: candidate.path,
        openPath: candidate.openPath,
        dev: elf.dev,
        inode: elf.inode,
        sizeBytes: elf.sizeBytes,
        buildId: elf.buildId,
        soname,
        version: named ? versionInName(basename(candidate.path)) : null,
        foundBy: candidate.foundBy,
        ...(named ? {} : { embedded: true }),
      });
    } finally {
      elf.close();
    }
  }

  private embeds(elf: ElfFile, candidate: Candidate): boolean {
    if (this.embeddedSymbols.size === 0) return false;
    if (elf.hasSymtab && elf.findSymbols(this.embeddedSymbols).size > 0) return true;
    const usesShared = elf.needed.some((name) => this.matcher.matches(name));
    if (elf.hasSection('.nv_fatbin') && !usesShared && !elf.hasSymtab) {
      this.ignored.push({
        path: candidate.path,
        reason:
          'holds CUDA code and no symbols: a library linked into it cannot be probed (driver calls can)',
      });
    }
    return false;
  }

  /**
   * Two overlay mounts of one image show one file under two device numbers, and the kernel puts a probe on the
   * file below both: attaching twice would record every call twice. Inode, size, time and build-id tell.
   */
  private isSameImage(elf: ElfFile, candidate: Candidate): boolean {
    if (elf.buildId === null || statfsSync(candidate.openPath).type !== OVERLAYFS_MAGIC) return false;
    const { mtimeMs } = statSync(candidate.openPath);
    const image = `image:${elf.inode}:${elf.sizeBytes}:${mtimeMs}:${elf.buildId}`;
    if (this.seen.has(image)) {
      this.ignored.push({
        path: candidate.path,
        reason: 'the same image file is traced through another overlay mount',
      });
      return true;
    }
    this.seen.add(image);
    return false;
  }
}
